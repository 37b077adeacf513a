"""The points of a sweep: one recipe for each combination of its axes.

```yaml
sweep:
  magnification:              # an axis of named parts; their keys may be dotted
    x40: {data.where.magnification: "40"}
    x100: {data.where.magnification: "100"}
  train.learning_rate: [1.0e-3, 1.0e-4]     # or a dotted key with its values
```

A point is named after what it takes of each axis (`x40-0.001`); its recipe has an id and a hash of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from inference.recipes.part import digest_of
from inference.recipes.schema import Recipe, RecipeError

#: More are a search (`search`), which looks inside the training part.
MOST = 64
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.]*")

Overlay = Callable[[Any, Any, str], Any]


@dataclass(frozen=True)
class Point:
    """`parts`: what is laid over the recipe, in turn, with where it stands in the YAML."""

    name: str
    parts: tuple[tuple[str, dict[str, Any]], ...]


def points_of(sweep: object, source: str) -> tuple[Point, ...]:
    """Every combination of the axes, the last one turning fastest.

    Raises
    ------
    RecipeError
        Naming `source`: an axis that is none, a value that gives no name, two of one name, too many points.
    """
    if sweep is None:
        return ()
    if not isinstance(sweep, dict) or not sweep:
        raise RecipeError(f"{source}: sweep is no mapping of axes")
    axes = [_axis(str(key), values, source) for key, values in sweep.items()]
    points = [
        Point("-".join(name for name, _, _ in combination), tuple((at, part) for _, at, part in combination))
        for combination in product(*axes)
    ]
    if len(points) > MOST:
        raise RecipeError(
            f"{source}: sweep: {len(points)} points, at most {MOST}; `search` chooses among settings"
        )
    return tuple(points)


def in_point(content: dict[str, Any], point: Point, source: str, overlay: Overlay) -> dict[str, Any]:
    """The recipe's keys at that point, with the point in its id and title.

    Raises
    ------
    RecipeError
        A dotted key that leads nowhere, or a part that does not fit.
    """
    for at, part in point.parts:
        for key, value in part.items():
            where = f"{source}: {at}.{key}"
            content = overlay(content, _nested(content, str(key).split("."), value, where), where)
    own = re.sub(r"[^a-z0-9]+", "_", point.name.lower()).strip("_")
    title = f"{content.get('title', '')} · {point.name}"
    return {**content, "id": f"{content.get('id', '')}_{own}", "title": title}


def named(points: Sequence[Point], names: Sequence[str], source: str) -> tuple[Point, ...]:
    """The points of these names; all of them where none is named.

    Raises
    ------
    RecipeError
        There is no such point.
    """
    by_name = {point.name: point for point in points}
    for name in names:
        if name not in by_name:
            raise RecipeError(f"{source}: sweep: there is no point {name!r} ({', '.join(by_name) or 'none'})")
    return tuple(by_name[name] for name in names) if names else tuple(points)


def refuse_twins(recipes: Mapping[str, Recipe], source: str) -> None:
    """
    Raises
    ------
    RecipeError
        Two points are the same recipe, as where a variant laid over both sets what they differ in.
    """
    seen: dict[str, str] = {}
    for name, recipe in recipes.items():
        digest = digest_of(recipe, without=("id", "title"))
        if digest in seen:
            raise RecipeError(
                f"{source}: sweep: {seen[digest]} and {name} are the same recipe; name one with --point"
            )
        seen[digest] = name


def table(pages: Mapping[str, Mapping[str, Any]]) -> str:
    """A line a point: the review's number beside ours with its interval."""
    rows = [("point", "measure", "review", "ours", "images", "recipe")]
    for name, page in pages.items():
        if "error" in page:
            rows.append((name, f"refused: {page['error']}", "", "", "", ""))
            continue
        ours, review = page["honest_number"], page["review_number"]
        mine = (
            "not computable"
            if ours is None
            else f"{ours['value']:.3f} ({ours['low']:.3f}–{ours['high']:.3f})"
        )
        theirs = "–" if review is None else f"{review:.3f}"
        rows.append((name, page["measure"], theirs, mine, str(page["images"]), page["hash"][:12]))
    widths = [
        max(len(row[column]) for row in rows if row[2] or column == 0) for column in range(len(rows[0]))
    ]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _axis(key: str, values: object, source: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The axis' entries: name, where it stands, the part."""
    at = f"sweep.{key}"
    if isinstance(values, list) and values:
        found = [(_name(value, f"{source}: {at}"), "sweep", {key: value}) for value in values]
    elif isinstance(values, dict) and values:
        found = []
        for name, part in values.items():
            if not isinstance(part, dict):
                raise RecipeError(f"{source}: {at}.{name} is no mapping of keys")
            found.append((_name(name, f"{source}: {at}"), f"{at}.{name}", part))
    else:
        raise RecipeError(f"{source}: {at} is neither a mapping of names nor a list of values")
    names = [re.sub(r"[^a-z0-9]+", "_", name.lower()) for name, _, _ in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise RecipeError(f"{source}: {at}: {min(twice)} stands there twice")
    return found


def _name(value: object, at: str) -> str:
    name = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else value
    if not _NAME.fullmatch(str(name)):
        raise RecipeError(f"{at}: {name!r} gives a point no name; write {{NAME: {{key: value}}}}")
    return str(name)


def _nested(content: Any, path: list[str], value: Any, where: str) -> Any:
    """The part that sets `value` at `path` of `content`; a number is an entry of a list."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(content, list):
        if not step.isdigit() or int(step) >= len(content):
            raise RecipeError(f"{where}: {step!r} is no entry of a list of {len(content)}")
        return {int(step): _nested(content[int(step)], rest, value, where)}
    if content == step:  # a block without parameters, as `head: svm`
        content = None
    if content is not None and not isinstance(content, dict):
        raise RecipeError(f"{where}: there is nothing below {step!r} to set")
    below = (content or {}).get(step)
    return {step: _nested(below, rest, value, where)}
