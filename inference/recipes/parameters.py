"""A block's parameters against its factory's signature: a misspelt or ill-typed one is found before any work.

Some arguments are never written in a recipe, because only the runner knows them (`SUPPLIED`).
"""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from inference.recipes import registry

#: What the runner hands to every factory that takes it: channels of the maps before it, number of classes,
#: the run's seed.
SUPPLIED = ("channels", "classes", "seed")


class BlockError(Exception):
    """An unknown block, or a parameter that its factory does not take. One sentence."""


def check(family: str, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters as the factory's annotations want them (lists become tuples, and so on).

    Raises:
        BlockError: unknown block, unknown or missing parameter, wrong type.
    """
    try:
        factory = registry.factory(family, name)
    except registry.UnknownBlock as error:
        raise BlockError(str(error)) from None
    takes = inspect.signature(factory).parameters
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    own = {
        key: parameter
        for key, parameter in takes.items()
        if key not in SUPPLIED and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    unknown = sorted(set(parameters) - set(own))
    if unknown and not free:
        raise BlockError(f"{name} takes no {unknown[0]!r}; it takes: {', '.join(own) or 'nothing'}")
    missing = sorted(
        key for key, parameter in own.items() if parameter.default is parameter.empty and key not in parameters
    )
    if missing:
        raise BlockError(f"{name} needs {missing[0]!r}")
    hints = _hints(factory)
    return {key: _fitting(name, key, value, hints.get(key, Any)) for key, value in parameters.items()}


def make(family: str, name: str, parameters: dict[str, Any], **supplied: Any) -> Any:
    """Build the block; of `supplied` it gets what it takes.

    Raises:
        BlockError: as `check`; or the factory itself refuses a value.
    """
    fitting = check(family, name, parameters)
    takes = inspect.signature(registry.factory(family, name)).parameters
    extra = {key: value for key, value in supplied.items() if key in takes}
    try:
        return registry.build(family, name, **extra, **fitting)
    except (TypeError, ValueError) as error:
        raise BlockError(f"{name}: {error}") from error


def _hints(factory: Any) -> dict[str, Any]:
    target = factory.__init__ if inspect.isclass(factory) else factory
    try:
        return get_type_hints(target)
    except NameError:  # an annotation that exists for the type checker only
        return {}


def _fitting(block: str, key: str, value: Any, hint: Any) -> Any:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, Exception):  # noqa: BLE001 - a hint that pydantic cannot take
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise BlockError(f"{block}: {key}: {error.errors()[0]['msg']}, not {value!r}") from None
