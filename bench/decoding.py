"""What decoding costs: in this process, in a child process kept warm, and at the first call of a process.

Without a FILE it measures an ultrasound photograph (PNG, 500 pixels) and a mammogram (DICOM, 12 megapixels,
uncompressed).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imaging import reader, sandbox
from imaging.phantoms import mammography, ultrasound


@dataclass(frozen=True)
class Cost:
    """Medians in milliseconds; `first` is one call with the start of the processes that it needs."""

    in_process: float
    in_child: float
    first: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="*", type=Path, help="images of your own")
    parser.add_argument("--repeat", type=int, default=20, help="calls of each kind (default 20)")


def run(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="cad-bench-") as folder:
        files = options.file or phantoms(Path(folder))
        print(f"{'file':<24}{'operation':<12}{'in process':>12}{'in a child':>12}{'first call':>12}  (ms)")
        for path in files:
            for name in ("describe", "read"):
                cost = measure(path, name, options.repeat)
                print(
                    f"{path.name[:23]:<24}{name:<12}{cost.in_process:>12.2f}{cost.in_child:>12.2f}{cost.first:>12.1f}"
                )
    return 0


def measure(path: Path, operation: str = "describe", repeat: int = 20) -> Cost:
    """Time `describe` or `read` of one file, the two ways in turn so that a busy machine slows both."""
    inside: Callable[[Path], object] = getattr(reader, operation)
    outside: Callable[[Path], object] = getattr(sandbox, operation)
    sandbox.SHARED.close()
    first = _milliseconds(lambda: outside(path))
    inside(path)
    took = [
        (_milliseconds(lambda: inside(path)), _milliseconds(lambda: outside(path))) for _ in range(repeat)
    ]
    return Cost(statistics.median(a for a, _ in took), statistics.median(b for _, b in took), first)


def phantoms(folder: Path) -> list[Path]:
    """The two images that are measured when none is named."""
    scan, film = folder / "ultrasound.png", folder / "mammogram.dcm"
    ultrasound.write_png(ultrasound.phantom(1, "benign"), scan)
    mammography.write_dicom(mammography.phantom(1, "L", "CC"), film)
    return [scan, film]


def _milliseconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000
