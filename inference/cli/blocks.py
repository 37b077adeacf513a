"""`python -m inference blocks`: what recipes are made of."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference.blocks.description import Description


def add_arguments(blocks: ArgumentParser) -> None:
    blocks.add_argument("family", nargs="?", metavar="FAMILY", help="only these (default all)")
    blocks.add_argument("--json", action="store_true")


def run(chosen: Namespace) -> int:
    """Exit status: 0, or 1 for a family that is none."""
    from inference.blocks import registry
    from inference.blocks.description import every

    families = registry.FAMILIES if chosen.family is None else (chosen.family,)
    if chosen.family is not None and chosen.family not in registry.FAMILIES:
        print(f"inference: {chosen.family} is no family of {', '.join(registry.FAMILIES)}", file=sys.stderr)
        return 1
    found = every(families)
    if chosen.json:
        print(json.dumps([block.as_json() for block in found], ensure_ascii=False, indent=1))
    else:
        print(as_text(found))
    return 0


def as_text(found: Sequence[Description]) -> str:
    """Family by family: a block with its parameters as they would be written, its line, and where it stands."""
    lines: list[str] = []
    family = ""
    for block in found:
        if block.family != family:
            family = block.family
            lines += ["", family] if lines else [family]
        written = ", ".join(
            f"{p.name}: {p.type}"
            if p.needed
            else f"{p.name}: {p.type} = {json.dumps(p.default, ensure_ascii=False)}"
            for p in block.parameters
        )
        lines.append(f"  {block.name}" + (f": {{{written}}}" if written else ""))
        lines.append(f"      {block.summary}  [{block.source}]")
    return "\n".join(lines)
