"""A block's parameters against its factory's signature: a misspelt or ill-typed one is found before any work.

Some arguments are never written in a recipe, because only the runner knows them (`SUPPLIED`).
"""

from __future__ import annotations

import inspect
from typing import Any, Unpack, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from inference.blocks import registry

#: What the runner hands to every factory that takes it: channels of the maps before it, number of classes,
#: the run's seed, the steps of a training; and what the registry does, the block's own name.
SUPPLIED = ("channels", "classes", "seed", "steps", "name")


#: Any hint's schema, classes without one of their own too.
ANYTHING = ConfigDict(arbitrary_types_allowed=True)


class BlockError(Exception):
    """An unknown block, or a parameter that its factory does not take. One sentence."""


def check(family: str, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters as the factory's annotations want them (lists become tuples, and so on).

    Raises
    ------
    BlockError
        Unknown block, unknown or missing parameter, wrong type.
    """
    try:
        factory = registry.factory(family, name)
    except registry.UnknownBlock as error:
        raise BlockError(str(error)) from None
    takes, needed = taken(factory)
    unknown = sorted(set(parameters) - set(takes))
    if unknown:
        raise BlockError(f"{name} takes no {unknown[0]!r}; it takes: {', '.join(takes) or 'nothing'}")
    missing = sorted(needed - set(parameters))
    if missing:
        raise BlockError(f"{name} needs {missing[0]!r}")
    for key in set(parameters) & set(registry.FAMILIES):
        _check_inner(name, key, parameters[key])
    return {key: _fitting(name, key, value, takes[key]) for key, value in parameters.items()}


def _check_inner(outer: str, family: str, written: Any) -> None:
    """A block inside a block's parameters (`classifier`'s backbone), written as in a recipe."""
    if isinstance(written, str):
        written = {written: {}}
    if not isinstance(written, dict) or len(written) != 1:
        return
    name, parameters = next(iter(written.items()))
    try:
        check(family, name, parameters or {})
    except BlockError as error:
        raise BlockError(f"{outer}: {family}: {error}") from None


def make(family: str, name: str, parameters: dict[str, Any], **supplied: Any) -> Any:
    """Build the block; of `supplied` it gets what it takes.

    Raises
    ------
    BlockError
        As `check`; or the factory itself refuses a value.
    """
    fitting = check(family, name, parameters)
    takes = inspect.signature(registry.factory(family, name)).parameters
    extra = {key: value for key, value in supplied.items() if key in takes}
    try:
        return registry.build(family, name, **extra, **fitting)
    except (TypeError, ValueError) as error:
        raise BlockError(f"{name}: {error}") from error


def taken(factory: Any) -> tuple[dict[str, Any], set[str]]:
    """The annotations of what a recipe may write, and the names of what it must write."""
    target = factory.__init__ if inspect.isclass(factory) else factory
    try:
        hints = get_type_hints(target, include_extras=True)
    except NameError:  # an annotation that exists for the type checker only
        hints = {}
    takes: dict[str, Any] = {}
    needed = set()
    for key, parameter in inspect.signature(factory).parameters.items():
        hint = hints.get(key, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            if get_origin(hint) is Unpack:
                takes |= get_type_hints(get_args(hint)[0], include_extras=True)
        elif key not in SUPPLIED and parameter.kind is not parameter.VAR_POSITIONAL:
            takes[key] = hint
            if parameter.default is parameter.empty:
                needed.add(key)
    return takes, needed


def _fitting(block: str, key: str, value: Any, hint: Any) -> Any:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ANYTHING)
    except PydanticUserError:  # a hint that brings its own configuration or that pydantic cannot read
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise BlockError(f"{block}: {key}: {error.errors()[0]['msg']}, not {value!r}") from None
