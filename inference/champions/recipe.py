"""`champions/<name>/recipe.yaml`: how a served model is trained, calibrated and gated, for which studies, and on whose
data. Its hash pins all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from inference.contract import ModalityCode, Sha256
from inference.recipes.part import Part, canonical, digest_of, first_error
from inference.recipes.schema import Expect, RecipeError
from inference.recipes.stages import NetworkRecipe

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
#: Whom the model serves, what it is measured on and what was known before: none of it decides the training.
_LATER = frozenset({"modality", "datasets", "history"})


class Protocol(Part):
    """Where figures and calibration come from: `folds` over groups, pooled out of fold; or (`kept_part`) one of so many
    grouped parts of `train`, on which nothing is fitted but the calibration. `served`: the network of record, or one
    that is fitted again afterwards on everything. `collections`: the sets that are learned from, where there are
    several to choose from; `leave_out`: further networks of record, each of which has seen nothing of one collection,
    or of one scanner, trained for the share `left_out_epochs` of the epochs."""

    folds: int | None = Field(None, ge=2)
    kept_part: int | None = Field(None, ge=2)
    served: Literal["measured", "refitted"] = "measured"
    collections: tuple[str, ...] = Field((), exclude_if=lambda names: not names)
    leave_out: tuple[Literal["collection", "scanner"], ...] = Field((), exclude_if=lambda kinds: not kinds)
    left_out_epochs: float = Field(1.0, gt=0, le=1, exclude_if=lambda share: share == 1)


class Calibration(Part):
    """What is fitted on held-out predictions. `least_temperature`: held-out images of one hospital are no reason for
    more confidence than the network itself shows. `outline_levels`: first, last and step of those that are tried.
    `false_marks`: shown on an average held-out film that are none. `points`: whether the operating points are those of
    all scanners together or hold on each of them; `sensitivity_room`: so far above the promise the latter aim.
    `fused_images`: of so many of a patient's images her answer is made."""

    method: Literal["temperature", "temperature_and_biases", "platt"] = "platt"
    least_temperature: float = Field(1.0, gt=0)
    coverage: float = Field(0.9, gt=0, lt=1)
    sensitivity: float = Field(0.95, gt=0, lt=1)
    specificity: float = Field(0.95, gt=0, lt=1)
    outline_levels: tuple[float, float, float] = (0.2, 0.75, 0.05)
    false_marks: float = Field(1.5, gt=0)
    points: Literal["pooled", "worst_scanner"] = Field("pooled", exclude_if=lambda how: how == "pooled")
    sensitivity_room: float = Field(0.0, ge=0, lt=1, exclude_if=lambda room: not room)
    fused_images: int = Field(1, ge=1, exclude_if=lambda images: images == 1)


class Gates(Part):
    """What is flagged. The novelty gate lets `novelty_quantile` of held-out training images through, and
    `novelty_room` times more, because held-out folds are small and other hospitals' machines differ a little.
    `colour`: above it a grey image is none."""

    novelty_quantile: float = Field(0.99, gt=0, le=1)
    novelty_room: float = Field(1.15, gt=0)
    colour: float = Field(0.06, gt=0)


class Taken(Part):
    """A network that is not trained but taken over from a version of the same model, by the digest of that version's
    weights."""

    version: str
    weights_sha256: Sha256


class ChampionRecipe(Part):
    """A served model's recipe. `networks` are trained by the one loop, but those `taken` over; `settings` are what no
    other champion has, as its own module means them. `modality` is the DICOM code of the studies it serves, `datasets`
    are the sets that its figures come from. `history`, for the card: what was changed after figures had been read."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    champion: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    modality: ModalityCode
    datasets: tuple[str, ...] = Field(min_length=1)
    protocol: Protocol
    networks: dict[_Name, NetworkRecipe] = Field(default_factory=dict)
    taken: dict[_Name, Taken] = Field(default_factory=dict, exclude_if=lambda taken: not taken)
    settings: dict[_Name, float] = Field(default_factory=dict)
    calibrate: Calibration = Calibration()
    gates: Gates = Gates()
    history: str = ""
    expect: tuple[Expect, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of what decides the training; cards name it."""
        return digest_of(self, without=_LATER)

    @property
    def canonical(self) -> str:
        """The text that `hash` is the digest of; it is kept beside the weights."""
        return canonical(self, without=_LATER)

    def network(self, name: str) -> NetworkRecipe:
        """The network of that name.

        Raises
        ------
        RecipeError
            The recipe has none.
        """
        if name not in self.networks:
            raise RecipeError(f"{self.id}: networks: there is no {name!r}")
        return self.networks[name]

    def setting(self, name: str) -> float:
        """What the recipe sets under that name.

        Raises
        ------
        RecipeError
            Nothing.
        """
        if name not in self.settings:
            raise RecipeError(f"{self.id}: settings: there is no {name!r}")
        return self.settings[name]


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
