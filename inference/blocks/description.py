"""What a block says of itself: its parameters with types and defaults, and a line from its docstring."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from inference.blocks import registry
from inference.blocks.parameters import ANYTHING, taken

#: Stands for the default of a parameter that must be written.
NEEDED = "needed"


@dataclass(frozen=True)
class Parameter:
    """`schema` is the JSON Schema of its values, `default` a JSON value; both mean nothing where it is `needed`."""

    name: str
    type: str
    schema: dict[str, Any]
    needed: bool
    default: Any


@dataclass(frozen=True)
class Description:
    """`source` is the module that registers the block, `summary` the first sentence of its docstring; of a docstring of
    several blocks the line that begins with the name."""

    family: str
    name: str
    parameters: tuple[Parameter, ...]
    summary: str
    source: str
    traits: registry.Traits

    def as_json(self) -> dict[str, Any]:
        return {
            "family": self.family,
            "name": self.name,
            "parameters": [
                {"name": p.name, "type": p.type, **({"needed": True} if p.needed else {"default": p.default})}
                for p in self.parameters
            ],
            "summary": self.summary,
            "source": self.source,
            "takes": self.traits.takes,
            "gives": self.traits.gives,
            "colour": self.traits.colour,
        }


def describe(family: str, name: str) -> Description:
    """
    Raises
    ------
    UnknownBlock
        No such block.
    """
    factory = registry.factory(family, name)
    hints, needed = taken(factory)
    written = inspect.signature(factory).parameters
    parameters = []
    for key, hint in hints.items():
        default = written[key].default if key in written and key not in needed else None
        parameters.append(Parameter(key, _words(hint), _schema(hint), key in needed, _plain(default)))
    return Description(
        family, name, tuple(parameters), _summary(name, inspect.getdoc(factory) or ""),
        registry.source(family, name), registry.traits(family, name),
    )  # fmt: skip


def every(families: tuple[str, ...] = registry.FAMILIES) -> list[Description]:
    """All blocks of these families; their modules are imported for it."""
    return [describe(family, name) for family in families for name in registry.names(family)]


def _schema(hint: Any) -> dict[str, Any]:
    try:
        return TypeAdapter(hint, config=ANYTHING).json_schema()
    except PydanticUserError:  # a hint that JSON has no word for
        return {}


def _words(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        schema = _schema(hint)
        bounds = {"≥": schema.get("minimum"), "≤": schema.get("maximum")}
        inner = _words(get_args(hint)[0])
        return f"{inner} " + " and ".join(
            f"{sign} {bound}" for sign, bound in bounds.items() if bound is not None
        )
    text = hint.__name__ if isinstance(hint, type) and not getattr(hint, "__args__", None) else str(hint)
    return re.sub(r"\b(?:typing|collections\.abc|inference(?:\.\w+)*)\.", "", text)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, tuple | list | frozenset | set):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _summary(name: str, text: str) -> str:
    if own := re.search(rf"^`{name}`: (.+)$", text, re.MULTILINE):
        return own[1]
    paragraph = " ".join(text.split("\n\n")[0].split())
    end = re.search(r"(?<=[.:;])(?<!e\.g\.)\s+(?=[A-Z`])", paragraph)
    return paragraph[: end.start()] if end else paragraph
