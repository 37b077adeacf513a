"""What a type checker must see of the sandbox's functions: the arguments and the result that each operation declares.

Not run: the type check of `bin/test` reads it, and complains where one of these mistakes passes.
"""

# mypy: warn-unused-ignores

from __future__ import annotations

from imaging import operations, sandbox


def mistakes() -> None:
    sandbox.read("a", frame="first")  # type: ignore[arg-type]
    sandbox.thumbnail("a", longest_side=9)  # type: ignore[call-arg]
    sandbox.slide_tile("a", 1)  # type: ignore[call-arg]
    sandbox.SHARED.call(operations.slide_dzi, "a", level=2)  # type: ignore[call-arg]
    _number: int = sandbox.describe("a")  # type: ignore[assignment]


def right_uses() -> None:
    _tile: bytes = sandbox.slide_tile("a", 1, column=2, row=3)
    _rows: int = sandbox.describe("a", prove=False).rows
    _total: int = sandbox.SHARED.call(operations.slide_strip, "a", 2.0, 0, 64).total_rows
