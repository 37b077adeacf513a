"""`python -m embedded.house [FOLDER]`: how each package of a checkout stands on its floors.

Counted over every import, those inside functions included, those for type checking aside:

- *rooms*: the folders and files directly in a package; a package that the rules split by its modules counts as those.
- *upward imports*: those against the floors of `[tool.importlinter]`, less its named exceptions; and in a knot that the
  rules do not know of, the fewest imports without which its rooms would have floors.
- *knots*: rooms that need one another in a circle, so that none can be read, tested or changed without the others.
- *circles*: the same of single modules.

Exit code 1 when anything goes upward or in a circle.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import grimp

from embedded.state import REPOSITORY

Import = tuple[str, str]


@dataclass(frozen=True)
class Floor:
    """The rooms of one floor; those that are `apart` know nothing of one another."""

    rooms: frozenset[str]
    apart: bool

    def in_package(self, name: str) -> Floor:
        """The same floor with its rooms named from the root."""
        return Floor(frozenset(f"{name}.{room}" for room in self.rooms), self.apart)


@dataclass(frozen=True)
class Package:
    """What was counted of one package. `floors` is 0 where the rules name none."""

    name: str
    rooms: int
    floors: int
    upward: list[Import]
    knots: list[list[str]]
    circles: list[list[str]]

    @property
    def sound(self) -> bool:
        """Whether nothing goes upward or in a circle."""
        return not (self.upward or self.knots or self.circles)


def main(arguments: list[str]) -> int:
    """Count and print; 1 where something goes upward or in a circle."""
    folder = Path(arguments[0]).resolve() if arguments else REPOSITORY
    packages = survey(folder)
    print(f"{'package':<14}{'rooms':>6}{'floors':>8}{'upward imports':>16}{'knots':>7}{'circles':>9}")
    for package in packages:
        print(
            f"{package.name:<14}{package.rooms:>6}{package.floors or '–':>8}{len(package.upward):>16}"
            f"{len(package.knots):>7}{len(package.circles):>9}"
        )
    for package in packages:
        for importer, imported in package.upward:
            print(f"{package.name}: upward: {importer} → {imported}{_place(folder, importer, imported)}")
        for knot in package.knots:
            print(f"{package.name}: knot of {len(knot)}: {', '.join(knot)}")
        for circle in package.circles:
            print(f"{package.name}: circle: {', '.join(circle)}")
    return 0 if all(package.sound for package in packages) else 1


def survey(folder: Path) -> list[Package]:
    """The repository as a whole, then each of its packages.

    Parameters
    ----------
    folder
        A checkout: packages beside a `pyproject.toml` with the rules.
    """
    rules = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["importlinter"]
    roots = sorted(path.parent.name for path in folder.glob("*/__init__.py") if path.parent.name != "tests")
    sys.path.insert(0, str(folder))
    try:
        graph = grimp.build_graph(*roots, exclude_type_checking_imports=True, cache_dir=None)
    finally:
        sys.path.remove(str(folder))
    imports = {
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    found = []
    for name in ["", *roots]:
        floors, excused = _floors_of(name, roots, rules["contracts"])
        rooms = set(roots) if not name else _rooms(graph.find_children(name), graph.modules, floors)
        inside = {pair for pair in imports if not name or all(_within(module, name) for module in pair)}
        between = {
            (importer, imported): (lower, upper)
            for importer, imported in inside
            if (lower := _room(importer, rooms)) != (upper := _room(imported, rooms)) and lower and upper
        }
        knots = circles(between.values())
        upward = {pair for pair, (lower, upper) in between.items() if _climbs(lower, upper, floors)}
        for knot in knots:
            tied = {
                pair: ends for pair, ends in between.items() if pair not in upward and set(ends) <= set(knot)
            }
            upward |= _fewest_upward(tied)
        found.append(
            Package(
                name=name or "repository",
                rooms=len(rooms),
                floors=len(floors),
                upward=sorted(upward - excused),
                knots=knots,
                circles=circles(inside) if name else [],
            )
        )
    return found


def circles(imports: Iterable[Import]) -> list[list[str]]:
    """The strongly connected parts of more than one, each sorted."""
    onward: dict[str, set[str]] = {}
    for importer, imported in imports:
        onward.setdefault(importer, set()).add(imported)
    reach = {name: _reachable(name, onward) for name in onward}
    parts = {
        frozenset({name, *(other for other in reach[name] if name in reach.get(other, ()))})
        for name in onward
        if name in reach[name]
    }
    return sorted(sorted(part) for part in parts if len(part) > 1)


def _reachable(start: str, onward: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = onward.get(waiting.pop(), set()) - seen
        seen |= new
        waiting.extend(new)
    return seen


def _fewest_upward(between: Mapping[Import, Import]) -> set[Import]:
    """The fewest imports that go upward however the rooms are put above one another.

    Exact: over every set of rooms, what it costs to have them lowest (2^n steps for n rooms).
    """
    rooms = sorted({room for ends in between.values() for room in ends})
    cost: dict[frozenset[str], tuple[int, list[str]]] = {frozenset(): (0, [])}
    for size in range(1, len(rooms) + 1):
        for chosen in map(frozenset, combinations(rooms, size)):
            best = None
            for top in chosen:
                below, order = cost[chosen - {top}]
                climbing = sum(upper == top and lower in chosen - {top} for lower, upper in between.values())
                if best is None or below + climbing < best[0]:
                    best = (below + climbing, [*order, top])
            assert best is not None
            cost[chosen] = best
    level = {room: number for number, room in enumerate(cost[frozenset(rooms)][1])}
    return {pair for pair, (lower, upper) in between.items() if level[lower] < level[upper]}


def _floors_of(
    name: str, roots: Collection[str], contracts: Iterable[dict[str, Any]]
) -> tuple[list[Floor], set[Import]]:
    """The floors, the highest first, and the imports that are excused."""
    for contract in contracts:
        if contract["type"] != "layers":
            continue
        containers = contract.get("containers", [])
        layers = [
            Floor(frozenset(room.strip(" ()") for room in layer.replace("|", ":").split(":")), "|" in layer)
            for layer in contract["layers"]
        ]
        excused = {
            (importer.strip(), imported.strip())
            for importer, _, imported in (line.partition("->") for line in contract.get("ignore_imports", []))
        }
        if name and name in containers:
            return [floor.in_package(name) for floor in layers], excused
        rooms = [room for floor in layers for room in floor.rooms]
        if not containers and all((room in roots) if not name else _within(room, name) for room in rooms):
            return layers, excused
    return [], set()


def _rooms(children: Collection[str], modules: Collection[str], floors: Iterable[Floor]) -> set[str]:
    """The children of a package; one whose modules stand on different floors counts as these."""
    split = {room.rpartition(".")[0] for floor in floors for room in floor.rooms} & set(children)
    return {module for module in modules if module in children and module not in split} | {
        module for module in modules if module.rpartition(".")[0] in split
    }


def _room(module: str, rooms: Collection[str]) -> str:
    """The room that a module is in; empty where it is in none, as a package's own `__init__`."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in rooms), "")


def _climbs(lower: str, upper: str, floors: list[Floor]) -> bool:
    """Whether an import from one room to the other goes up or, where that is refused, sideways. A room without a floor,
    such as one that older rules forgot, climbs nowhere; the rules themselves refuse it."""
    level = {room: number for number, floor in enumerate(floors) for room in floor.rooms}
    if lower not in level or upper not in level:
        return False
    return level[upper] < level[lower] or (level[upper] == level[lower] and floors[level[lower]].apart)


def _within(module: str, package: str) -> bool:
    return module.startswith(f"{package}.")


def _place(folder: Path, importer: str, imported: str) -> str:
    """Where an import stands, and whether inside a function."""
    path = folder.joinpath(*importer.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text())
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        if imported in names:
            return f" (line {node.lineno}{', in a function' if id(node) in inner else ''})"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
