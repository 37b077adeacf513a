"""What all parts of a recipe have in common: immutable models, blocks by name, and the digest of what is said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError


class Part(BaseModel):
    """Immutable; an unknown key is an error, so that a misspelt one cannot pass unnoticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Block(Part):
    """A registered block with its parameters: `name`, or `{name: {parameter: value}}`."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


def _block(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and len(value) == 1 and "name" not in value:
        name, parameters = next(iter(value.items()))
        return {"name": name, "parameters": parameters or {}}
    return value


BlockName = Annotated[Block, BeforeValidator(_block)]


def older(content: dict[str, Any], **since: Any) -> dict[str, Any]:
    """The content without keys that came later and say nothing, so that the digests of older recipes hold."""
    silent = {key for key, nothing in since.items() if key in content and content[key] in (nothing, ())}
    return {key: value for key, value in content.items() if key not in silent}


def digest_of(recipe: Part, without: Collection[str] = ()) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces, defaults filled in), keys `without` left out."""
    return hashlib.sha256(canonical(recipe, without).encode()).hexdigest()


def digest_of_content(content: Mapping[str, Any], without: Collection[str] = ()) -> str:
    """`digest_of` of a recipe as a run keeps it (`recipe.json`), which today's schema need not read any more."""
    kept = {key: value for key, value in content.items() if key not in without}
    return hashlib.sha256(_canonical(kept).encode()).hexdigest()


def canonical(recipe: Part, without: Collection[str] = ()) -> str:
    """The text that `digest_of` takes the digest of."""
    return _canonical(recipe.model_dump(mode="json", exclude=set(without)))


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def first_error(error: ValidationError) -> str:
    """The first key that is wrong, and what is wrong with it."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}"
