"""A recipe's file: found by name or path, its YAML read, what it extends laid under it, points and variants over it.

`extends: NAME` starts from another recipe's keys. A point of `sweep` and a variant (`quick`, `port`, …) are parts of
the YAML that are laid over the rest before validation, so that a hash always names exactly what was run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from inference.blocks import registry
from inference.recipes.schema import Recipe, RecipeError
from inference.recipes.sweep import Point, in_point, named, points_of
from inference.recipes.validation import parse

#: Recipes that are known by name.
FOLDER = Path(__file__).parent
#: A recipe of a recipe of a recipe … is no longer read by anyone.
DEPTH = 5
#: Variants that say on what, and for how long; all others are methods, and keep the blocks that they name.
CONDITIONS = ("port", "quick")
#: In a method: by condition, what that substitutes where the method leaves only a part of it, in its own words' place.
TOLD = "substitutions_in"
#: What is asked of which images. A condition that says otherwise than a method would run something else in its name.
_QUESTION = re.compile(r"task\..+|data\.(dataset|where\..+)")
_STREAM = re.compile(r"streams\.\d+")


@dataclass(frozen=True)
class Written:
    """The keys of a recipe's file over those of what it extends, not validated yet.

    `files`: the file itself and what it extends, in turn. `points`: those of its sweep."""

    content: dict[str, Any]
    files: tuple[Path, ...]
    variants: dict[str, Any]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        return self.files[0].name

    def laid(self, variants: Sequence[str] = (), point: Point | None = None) -> dict[str, Any]:
        """The keys with a point of the sweep, and then the variants, laid over them: methods first, then conditions.

        Raises
        ------
        RecipeError
            A variant that the recipe does not have, two methods of which one would undo the other, a condition that
            would undo what a method or the point asks, or a part that does not fit.
        """
        content = self.content
        questions: dict[str, tuple[str, Any]] = {}
        if point is not None:
            content = in_point(content, point, self.name, overlay)
            for _, part in point.parts:
                questions |= _questions(f"the point {point.name}", part)
        for variant in variants:
            if variant not in self.variants:
                listed = ", ".join(self.variants) or "none"
                raise RecipeError(f"{self.name}: variants: there is no {variant!r} ({listed})")
        methods = [variant for variant in dict.fromkeys(variants) if variant not in CONDITIONS]
        asked = self._asked_of(methods)
        for variant in (*methods, *(name for name in dict.fromkeys(variants) if name in CONDITIONS)):
            part = {key: value for key, value in self.variants[variant].items() if key != TOLD}
            if variant in CONDITIONS:
                part = _sparing(part, asked)
                if (told := asked.get(f"{TOLD}.{variant}")) is not None:
                    part["substitutions"] = told
            content = overlay(content, part, f"{self.name}: variants.{variant}")
            if variant in CONDITIONS:
                self._refuse_undone(questions, content, variant)
            else:
                questions |= _questions(variant, part)
        return content

    def _refuse_undone(
        self, questions: Mapping[str, tuple[str, Any]], content: dict[str, Any], condition: str
    ) -> None:
        for key, (asks, value) in questions.items():
            if _at(content, key) != value:
                raise RecipeError(
                    f"{self.name}: variants: {condition} asks its own data something else, and {key} of {asks} would "
                    "be lost; leave one of them out"
                )

    def _asked_of(self, methods: Sequence[str]) -> dict[str, Any]:
        """What these variants set, by dotted key. Of two that say otherwise of one key the second alone would be run,
        under the names of both."""
        asked: dict[str, tuple[str, Any]] = {}
        for method in methods:
            for key, value in _leaves(self.variants[method]):
                first, other = asked.setdefault(key, (method, value))
                if other != value:
                    raise RecipeError(
                        f"{self.name}: variants: {first} and {method} differ in {key}; ask for one"
                    )
        return {key: value for key, (_, value) in asked.items()}


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of taking the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is one word", problem_mark=key.start_mark)
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


def load(name: str, variants: Sequence[str] = (), point: str | None = None) -> Recipe:
    """`find`, `read` and `parse` together.

    Raises
    ------
    RecipeError
        With the file, the key and what is wrong with it.
    """
    written = read_file(find(name))
    chosen = None if point is None else named(written.points, [point], written.name)[0]
    return parse(written.laid(variants, chosen), written.name)


def read(path: Path, variants: Sequence[str] = ()) -> dict[str, Any]:
    """The keys of a recipe's file over what it extends, with the variants laid over them in turn.

    Raises
    ------
    RecipeError
        As `read_file`, or a variant that it does not have.
    """
    return read_file(path).laid(variants)


def read_file(path: Path) -> Written:
    """A recipe's file and the chain of those that it extends.

    Raises
    ------
    RecipeError
        No mapping of keys, a chain that comes back to itself or is too long, or a sweep that is none.
    """
    files = [path]
    layers = [_mapping(path)]
    while (base := layers[-1].pop("extends", None)) is not None:
        below = _base(base, files[-1])
        if below.resolve() in (file.resolve() for file in files):
            chain = " → ".join(file.stem for file in (*files, below))
            raise RecipeError(f"{path.name}: extends: {chain} comes back to itself")
        if len(files) == DEPTH:
            chain = " → ".join(file.stem for file in (*files, below))
            raise RecipeError(f"{path.name}: extends: {chain} is a chain of more than {DEPTH} recipes")
        files.append(below)
        layers.append(_mapping(below))
    for file, layer in zip(files[:-1], layers[:-1], strict=True):
        if "id" not in layer:
            raise RecipeError(f"{file.name}: id: a recipe that extends another has an id of its own")
    content: dict[str, Any] = layers[-1]
    for file, layer in zip(reversed(files[:-1]), reversed(layers[:-1]), strict=True):
        content = overlay(content, layer, file.name)
    variants = content.pop("variants", None) or {}
    sweep = content.pop("sweep", None)
    if not isinstance(variants, dict):
        raise RecipeError(f"{path.name}: variants is no mapping of names")
    for name, part in variants.items():
        if not isinstance(part, dict):
            raise RecipeError(f"{path.name}: variants.{name} is no mapping of keys")
        _refuse_told(part.get(TOLD), name, f"{path.name}: variants.{name}.{TOLD}")
    return Written(content, tuple(files), variants, points_of(sweep, path.name))


def _refuse_told(told: Any, variant: str, source: str) -> None:
    if told is None:
        return
    fits = isinstance(told, dict) and variant not in CONDITIONS and set(told) <= set(CONDITIONS)
    if not fits or not all(isinstance(words, list) and words for words in told.values()):
        raise RecipeError(
            f"{source}: what {' or '.join(CONDITIONS)} substitutes beside a method: a list of sentences for each"
        )


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except RecursionError:
        raise RecipeError(f"{path.name}: its lists and mappings lie too deep in one another") from None
    except OSError as error:
        raise RecipeError(f"{path.name} cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError) as error:  # a day that no calendar has, a number of 5,000 digits
        raise RecipeError(f"{path.name}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path.name} is no mapping of keys")
    return content


def _base(name: object, of: Path) -> Path:
    """The file that `of` extends: a recipe's name, or a path from where `of` lies."""
    if not isinstance(name, str):
        raise RecipeError(f"{of.name}: extends: the name of one recipe, not {name!r}")
    if name in known():
        return FOLDER / f"{name}.yaml"
    path = of.parent / name
    if not path.is_file():
        raise RecipeError(
            f"{of.name}: extends: {name} is neither a file beside it nor one of the recipes {', '.join(known())}"
        )
    return path


def overlay(base: Any, over: Any, source: str) -> Any:
    """`over` laid upon `base`: mappings key by key, a mapping with numbers upon a list entry by entry,
    `substitutions` added, all else (an empty mapping and another block too) replaced.

    Raises
    ------
    RecipeError
        A number that the list does not have, or substitutions that are no list.
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
            if not isinstance(value, list) or not isinstance(base.get(key) or [], list):
                raise RecipeError(f"{source}.{key}: a list of sentences, not {value!r}")
            result[key] = [*(base.get(key) or []), *value]
        else:
            result[key] = overlay(base[key], value, f"{source}.{key}") if key in base else value
    return result


def _other_block(base: dict[Any, Any], over: dict[Any, Any]) -> bool:
    """Whether both are blocks with parameters, but not the same one."""
    return len(base) == 1 and set(base) != set(over) and _block(over) is not None


def _block(part: Any) -> str | None:
    """The name of the block that this names, with parameters or without."""
    if isinstance(part, dict):
        if len(part) != 1:
            return None
        (name, value), *_ = part.items()
        # a stream's key, not the block that outlines by a network: what stands there is a block itself
        if name == "network" and _block(value) is not None:
            return None
        part = name
    known = isinstance(part, str) and any(part in registry.names(family) for family in registry.FAMILIES)
    return part if known else None


def _leaves(part: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """What a variant sets: dotted keys with their values, a block's name as one of them and its parameters below it,
    and no sentences about it."""
    if not isinstance(part, dict) or not part:
        yield key, part
        return
    if (name := _block_at(key, part)) is not None:
        yield key, name
        if not part[name]:
            return
    for name, value in part.items():
        if key or name not in ("substitutions", "title"):
            yield from _leaves(value, f"{key}.{name}" if key else str(name))


def _block_at(key: str, part: Any) -> str | None:
    """`_block`, but for a stream, whose `{network: …}` is no block, though a segmentation has that name."""
    return None if _STREAM.fullmatch(key) else _block(part)


def _questions(asks: str, part: Any) -> dict[str, tuple[str, Any]]:
    """What of a variant or a point says which images are asked what, by dotted key."""
    return {key: (asks, value) for key, value in _leaves(part) if _QUESTION.fullmatch(key)}


def _at(content: Any, key: str) -> Any:
    """What stands at a dotted key; None where nothing does."""
    for step in key.split("."):
        content = content.get(step) if isinstance(content, dict) else None
    return content


def _sparing(part: Any, asked: Mapping[str, Any], key: str = "") -> Any:
    """A condition's part without the blocks that would take the place of others that a method asks for, and without
    what would switch on again what a method switches off (null, 0 or false)."""
    if not isinstance(part, dict):
        return part
    kept = {}
    for name, value in part.items():
        at = f"{key}.{name}" if key else str(name)
        if at in asked and asked[at] in (None, 0, False):
            continue
        wanted, here = _block_at(at, asked.get(at)), _block_at(at, value)
        if wanted is None or here is None or wanted == here:
            spared = _sparing(value, asked, at)
            if spared or not value:  # an empty mapping would put nothing in the place of what is there
                kept[name] = spared
    return kept
