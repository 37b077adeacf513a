"""A recipe's file: found by name or path, its YAML read, its variants laid over it.

A variant (`quick`, `port`, …) is a part of the YAML that is laid over the rest before validation, so that a hash
always names exactly what was run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from inference.blocks import registry
from inference.recipes.schema import Recipe, RecipeError, parse

#: Recipes that are known by name.
FOLDER = Path(__file__).parent


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of taking the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} stands there twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def known() -> tuple[str, ...]:
    """The recipes of this folder."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def find(name: str, others: Sequence[str] = ()) -> Path:
    """The file of a recipe by name or path; `others` are names that the sentence lists beside this folder's.

    Raises
    ------
    RecipeError
        There is none.
    """
    path = FOLDER / f"{name}.yaml" if name in known() else Path(name)
    if not path.is_file():
        raise RecipeError(
            f"{name} is neither a file nor one of the recipes {', '.join(sorted((*known(), *others)))}"
        )
    return path


def load(name: str, variants: Sequence[str] = ()) -> Recipe:
    """`find`, `read` and `parse` together.

    Raises
    ------
    RecipeError
        With the file, the key and what is wrong with it.
    """
    path = find(name)
    return parse(read(path, variants), path.name)


def read(path: Path, variants: Sequence[str] = ()) -> dict[str, Any]:
    """The keys of a recipe's file, with the variants laid over them in turn; not validated yet.

    Raises
    ------
    RecipeError
        No mapping of keys, or a variant that it does not have.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path.name}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path.name} is no mapping of keys")
    offered = content.pop("variants", None) or {}
    for variant in variants:
        if variant not in offered:
            raise RecipeError(
                f"{path.name}: variants: there is no {variant!r} ({', '.join(offered) or 'none'})"
            )
        content = overlay(content, offered[variant], f"{path.name}: variants.{variant}")
    whole: dict[str, Any] = content
    return whole


def overlay(base: Any, over: Any, source: str) -> Any:
    """`over` laid upon `base`: mappings key by key, a mapping with numbers upon a list entry by entry,
    `substitutions` added, all else (an empty mapping and another block too) replaced.

    Raises
    ------
    RecipeError
        A number that the list does not have.
    """
    if isinstance(base, list) and isinstance(over, dict):
        merged = list(base)
        for index, value in over.items():
            if not isinstance(index, int) or not 0 <= index < len(base):
                raise RecipeError(f"{source}: {index!r} is no entry of a list of {len(base)}")
            merged[index] = overlay(base[index], value, f"{source}.{index}")
        return merged
    if not isinstance(base, dict) or not isinstance(over, dict) or not over or _other_block(base, over):
        return over
    result = dict(base)
    for key, value in over.items():
        if key == "substitutions":
            result[key] = [*(base.get(key) or []), *value]
        else:
            result[key] = overlay(base[key], value, f"{source}.{key}") if key in base else value
    return result


def _other_block(base: dict[Any, Any], over: dict[Any, Any]) -> bool:
    """Whether both are blocks with parameters, but not the same one."""
    if len(base) != 1 or len(over) != 1 or set(base) == set(over):
        return False
    name = next(iter(over))
    return any(name in registry.names(family) for family in registry.FAMILIES)
