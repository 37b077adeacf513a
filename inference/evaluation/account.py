"""What a card says beside its figures: how the model was made, told by the run that made it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

ACCOUNT = "protocol.json"


class AccountError(ValueError):
    """`protocol.json` is missing or not what `write_account` writes."""


@dataclass(frozen=True)
class Account:
    """Written into the model's folder by the training run; the card is made from it and the figures alone.

    `refitted`: the served weights were fitted again after the predictions of record were made, on data that
    hold the measured images; the card then says so. `run`: facts of the run in words (epochs, folds, seed,
    hours), one row each. `foreign`: for a data set, the classes that no network trained on that set answers: of them
    the set is an external measurement.
    """

    data: str
    method: str
    protocol: str
    limits: tuple[str, ...]
    recipe: str = ""
    recipe_sha256: str = ""
    refitted: bool = False
    run: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, tuple[str, ...]] = field(default_factory=dict)


def write_account(folder: Path, account: Account) -> Path:
    """`protocol.json` in `folder`."""
    path = folder / ACCOUNT
    path.write_text(json.dumps(asdict(account), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_account(folder: Path) -> Account:
    """
    Raises
    ------
    AccountError
        The file is missing, or has other fields.
    """
    path = folder / ACCOUNT
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        foreign = {name: tuple(classes) for name, classes in stated.get("foreign", {}).items()}
        return Account(**{**stated, "limits": tuple(stated["limits"]), "foreign": foreign})
    except FileNotFoundError as error:
        raise AccountError(
            f"{folder.parent.name} {folder.name} has no {ACCOUNT}: how it was made is not on record"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AccountError(
            f"{folder.parent.name}/{folder.name}/{ACCOUNT} is not an account of a run: {error}"
        ) from error
