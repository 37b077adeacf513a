"""`champions/<name>/recipe.yaml`: how a served model is trained, for which studies, and on whose data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from inference.contract import ModalityCode
from inference.recipes.schema import Expect, Part, RecipeError, digest_of, first_error


class ChampionRecipe(Part):
    """A served model's recipe; the champion's own `train` knows what its parameters mean.

    `modality` is the DICOM code of the studies it serves, `datasets` are the sets that its figures come from.
    """

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    champion: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    modality: ModalityCode
    datasets: tuple[str, ...] = Field(min_length=1)
    train: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")],
        bool | int | float | str | tuple[bool | int | float | str, ...],
    ] = Field(default_factory=dict)
    expect: tuple[Expect, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of what decides the training. Whom the model serves and what it is measured on came to the recipe
        later; cards name the digest without them."""
        return digest_of(self, without={"modality", "datasets"})


def parse(content: dict[str, Any], source: Path) -> ChampionRecipe:
    """The validated content of `source`.

    Raises
    ------
    RecipeError
        It names the file, the key and what is wrong with it.
    """
    try:
        return ChampionRecipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{source.name}: {first_error(error)}") from None
