"""A slide's tiles beside large_image (Girder's tile server, PyPI) on the same file, each tile asked of one and then of
the other.

Two pyramids of made-up sections: JPEG with subsampled chroma, as most scanners write, and JPEG of red, green and blue.
Tiles of their finest levels, each asked once: no cache answers. Wanted: at least large_image's rate. It runs in an
environment of its own, `.local-large-image`, made of `requirements-tiles-peer.lock` at the first run
(`LARGE_IMAGE_ENVIRONMENT` names another).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.latency import load
from embedded.state import REPOSITORY
from imaging import sandbox
from imaging.phantoms import histology

WANTED = 1.0
ENVIRONMENT = Path(os.environ.get("LARGE_IMAGE_ENVIRONMENT") or REPOSITORY / ".local-large-image")
_SIDE = 8192

#: Answers a line of `level column row` with the milliseconds that the tile took and its bytes.
_PEER = """
import sys, time
import large_image
slide = large_image.open(sys.argv[1], encoding="JPEG")
facts = slide.getMetadata()
print(type(slide).__name__, facts["tileWidth"], facts["levels"], flush=True)
for line in sys.stdin:
    level, column, row = map(int, line.split())
    begun = time.perf_counter()
    tile = slide.getTile(column, row, level, encoding="JPEG")
    print((time.perf_counter() - begun) * 1000, len(tile), flush=True)
"""


@dataclass(frozen=True)
class Compared:
    """Median milliseconds a tile. `rate`: ours over theirs, above 1 is faster."""

    slide: str
    level: str
    tiles: int
    ours_ms: float
    theirs_ms: float
    peer: str

    @property
    def rate(self) -> float:
        return self.theirs_ms / self.ours_ms


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", nargs="*", type=Path, help="slides of your own (TIFF)")
    parser.add_argument("--tiles", type=int, default=300, help="tiles of each level (default 300)")
    parser.add_argument("--json", type=Path, help="write every measurement there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when no slide is slower than the peer, else 1."""
    with tempfile.TemporaryDirectory(prefix="cad-bench-") as folder:
        slides = options.slide or made_up(Path(folder))
        found = [each for slide in slides for each in compared(slide, options.tiles)]
    print(f"Tiles, in turn with large_image; load of the machine {load()}.")
    print(f"{'slide':<22}{'level':<12}{'tiles':>6}{'ours ms':>10}{'theirs ms':>11}{'rate':>7}")
    for each in found:
        print(
            f"{each.slide[:21]:<22}{each.level:<12}{each.tiles:>6}{each.ours_ms:>10.2f}{each.theirs_ms:>11.2f}{each.rate:>7.2f}"
        )
    missed = shortcomings(found)
    if options.json:
        rows = [asdict(each) | {"rate": each.rate} for each in found]
        options.json.write_text(json.dumps({"load": load(), "tiles": rows, "missed": missed}, indent=1))
    for line in missed:
        print(line)
    return 1 if missed else 0


def shortcomings(found: list[Compared]) -> list[str]:
    """What is not as it is asked for, in words."""
    return [
        f"MISSED: {each.slide}, {each.level}: {each.rate:.2f} of large_image's rate, {WANTED:.1f} is wanted."
        for each in found
        if each.rate < WANTED
    ]


def compared(slide: Path, tiles: int) -> Iterator[Compared]:
    """The finest level and the next, tile by tile in turn."""
    drawn = random.Random(19)  # noqa: S311 (places, not secrets)
    with _peer(slide) as (ask, peer, levels):
        layout, index = sandbox.slide_layout(slide), sandbox.native_tiles(slide)
        top = index.facts.dzi_levels - 1
        for halvings, name in ((0, "finest"), (1, "half")):
            native = next((each for each in index.facts.levels if each.halvings == halvings), None)
            if native is None or layout.overlap:
                raise SystemExit(f"{slide} is not cut as it is shown: nothing to compare.")
            places = [(x, y) for x in range(native.whole_across) for y in range(native.whole_down)]
            ours, theirs = [], []
            for column, row in drawn.sample(places, min(tiles, len(places))):
                begun = time.perf_counter()
                sandbox.slide_tile(slide, top - halvings, column, row)
                ours.append((time.perf_counter() - begun) * 1000)
                theirs.append(ask(levels - 1 - halvings, column, row))
            yield Compared(
                slide.name, name, len(ours), statistics.median(ours), statistics.median(theirs), peer
            )


@contextmanager
def _peer(slide: Path) -> Iterator[tuple[Any, str, int]]:
    with subprocess.Popen(
        [str(_python()), "-W", "ignore", "-c", _PEER, str(slide)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        given, said = process.stdin, process.stdout
        name, _side, levels = (said.readline() or "none 0 0").split()
        if not int(levels):
            raise SystemExit(f"large_image cannot open {slide}.")

        def ask(level: int, column: int, row: int) -> float:
            given.write(f"{level} {column} {row}\n")
            given.flush()
            return float(said.readline().split()[0])

        yield ask, name, int(levels)
        given.close()


def _python() -> Path:
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        lock = REPOSITORY / "requirements-tiles-peer.lock"
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(lock)], check=True
        )
    return python


def made_up(folder: Path) -> list[Path]:
    """The two pyramids that are measured when none is named."""
    import numpy as np
    import tifffile
    from PIL import Image

    section = histology.slide(5, shape=(1024, 1024)).pixels
    repeats = (-(-_SIDE // section.shape[0]), -(-_SIDE // section.shape[1]), 1)
    finest = np.ascontiguousarray(np.tile(section, repeats)[:_SIDE, :_SIDE])
    written: list[tuple[str, dict[str, Any]]] = [
        ("subsampled.tif", {"photometric": "ycbcr", "subsampling": (2, 2)}),
        ("rgb.tif", {"photometric": "rgb"}),
    ]
    paths = []
    for name, options in written:
        level, path = finest, folder / name
        kind = "rgb" if options["photometric"] == "rgb" else "ycbcr"
        with tifffile.TiffWriter(path) as writer:
            for number in range(5):
                writer.write(
                    level,
                    tile=(256, 256),
                    compression="jpeg",
                    compressionargs={"level": 86, "outcolorspace": kind},
                    subfiletype=1 if number else 0,
                    metadata=None,
                    maxworkers=1,
                    **options,
                )
                level = np.asarray(Image.fromarray(level).reduce(2))
        paths.append(path)
    return paths
