"""How long one image takes on one thread, in this process: the network alone, and from decoded pixels to result.

The images are phantoms, decoded before the clock starts: `timings.total_ms` less `timings.decode_ms`. Beside
the clock on the wall stands the processor's own: other work on the machine lengthens the first far more than
the second.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging.phantoms import histology, mammography, ultrasound
from inference.contract import ImageReference, ModelManifest
from inference.runtime.analyse import analyse
from inference.runtime.custody import rewriting
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import (
    DEFAULT_STORE,
    model_names,
    read_manifest,
    verified_weights,
    version_folder,
)

#: Milliseconds for one image; one field for histopathology.
LIMITS_MS = {"ultrasound": 40.0, "mammography": 1000.0, "histopathology": 40.0}
_WARM_UP = 2


@dataclass(frozen=True)
class Latency:
    """Milliseconds of each repetition, by the wall's clock and by the processor's."""

    wall: tuple[float, ...]
    processor: tuple[float, ...]

    def row(self) -> str:
        columns = [np.percentile(values, q) for values in (self.wall, self.processor) for q in (50, 95)]
        return "".join(f"{value:>10.1f}" for value in columns)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="*", help="default: all of the store")
    parser.add_argument("--repeat", type=int, default=30, help="images a model (default 30)")
    parser.add_argument("--store", type=Path, default=DEFAULT_STORE)
    parser.add_argument("--version", metavar="V", help="default: the newest of each model")
    parser.add_argument("--write", action="store_true", help="put latency.json beside each model's weights")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when every model keeps to its limit by the processor's clock, else 1."""
    models = options.models or model_names(options.store)
    print(f"One thread, one image at a time, {options.repeat} of them; load of the machine {load()}.")
    print(f"{'milliseconds':<52}{'p50':>10}{'p95':>10}{'p50 cpu':>10}{'p95 cpu':>10}")
    kept = True
    for name in models:
        manifest = read_manifest(name, options.store, options.version)
        forward = OnnxForward(verified_weights(manifest, options.store))
        alone = session_alone(forward, options.repeat)
        whole = pixels_to_result(manifest, forward, options.repeat)
        limit = LIMITS_MS.get(name, 1000.0)
        within = float(np.percentile(whole.processor, 50)) <= limit
        kept = kept and within
        print(f"{name}: the network alone, one input{'':<{21 - len(name)}}{alone.row()}")
        print(f"{name}: decoded pixels to result{'':<{25 - len(name)}}{whole.row()}")
        print(f"    {'keeps to' if within else 'EXCEEDS'} its limit of {limit:.0f} ms (median, processor)")
        if options.write:
            folder = version_folder(manifest, options.store)
            with rewriting(folder):
                _write(folder / "latency.json", manifest, alone, whole)
    return 0 if kept else 1


def load() -> str:
    """Processes that want a core, and how many cores there are."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def session_alone(forward: OnnxForward, repeat: int) -> Latency:
    """One input of random pixels through the session."""
    rng = np.random.default_rng(0)
    return _measured(forward, [one_input(forward, rng) for _ in range(_WARM_UP + repeat)])


def one_input(forward: OnnxForward, rng: np.random.Generator) -> np.ndarray:
    """Random pixels of the shape that the network takes, a batch of one."""
    return rng.integers(0, 256, [side or 1 for side in forward.shapes[0]], dtype=np.uint8)


def pixels_to_result(manifest: ModelManifest, forward: OnnxForward, repeat: int) -> Latency:
    """One phantom through the whole pipeline, less its decoding."""
    with tempfile.TemporaryDirectory(prefix="cad-latency-") as folder:
        image = _phantom(manifest.name, Path(folder))
        request = manifest.request("latency", image)
        wall, processor = [], []
        for number in range(_WARM_UP + repeat):
            begun = time.thread_time()
            timings = analyse(request, manifest, forward, lambda name, png: name).timings
            if number >= _WARM_UP:
                # decoding happens in another process and is not on this thread's clock
                processor.append((time.thread_time() - begun) * 1000)
                wall.append(timings.total_ms - timings.decode_ms)
    return Latency(tuple(wall), tuple(processor))


def _phantom(model: str, folder: Path) -> ImageReference:
    path = folder / "phantom.png"
    spacing: tuple[float, float] | None = None
    if model == "ultrasound":
        ultrasound.write_png(ultrasound.phantom(1, "malignant"), path)
    elif model == "mammography":
        made = mammography.phantom(1, "L", "MLO", "malignant")
        path = folder / "phantom.dcm"
        mammography.write_dicom(made, path)
    else:
        field = histology.photograph(1, "malignant", shape=(400, 400))
        histology.write_image(field, path)
        spacing = (field.um_per_px, field.um_per_px)
    return ImageReference(image_id="phantom", path=str(path), spacing_um=spacing)


def _measured(action: Callable[[np.ndarray], object], inputs: Sequence[np.ndarray]) -> Latency:
    wall, processor = [], []
    for number, given in enumerate(inputs):
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        action(given)
        if number >= _WARM_UP:
            wall.append((time.perf_counter() - begun) * 1000)
            processor.append((time.thread_time() - begun_cpu) * 1000)
    return Latency(tuple(wall), tuple(processor))


def _write(path: Path, manifest: ModelManifest, alone: Latency, whole: Latency) -> None:
    def percentiles(latency: Latency) -> dict[str, float]:
        return {
            f"{clock}_p{q}_ms": round(float(np.percentile(getattr(latency, clock), q)), 2)
            for clock in ("wall", "processor")
            for q in (50, 95)
        }

    content = {
        "weights_sha256": manifest.weights.sha256,
        "threads": 1,
        "load": load(),
        "network_alone": percentiles(alone),
        "decoded_pixels_to_result": percentiles(whole),
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
