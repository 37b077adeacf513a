"""How long an urgent ultrasound waits behind a backlog of whole slides, and what it costs the backlog.

A platform of its own with the models of ultrasound and histopathology. Ten slides of 20,000 × 18,000 pixels are
analysed by themselves; then ten again, while urgent ultrasounds are posted, evenly over the time that the first ten
took, each from the first byte of its POST to the result seen. The backlog's time is from the first slide's start to the
last one's end, by the platform's own clock.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np

from bench.platform import running_platform
from bench.turnaround import WARM_UP, made_images, post
from cad_platform import modalities
from imaging.phantoms import histology
from inference.runtime.store import read_manifest, version_folder

#: Seconds from the POST of an urgent ultrasound to its result; the share that the backlog may lose of its throughput.
LIMIT_S, LIMIT_LOSS = 2.0, 0.10
#: Columns and rows of a slide, and of the piece that it is made of.
SLIDE_SIZE, _PIECE = (20_000, 18_000), (2_500, 2_250)
_MODELS = ("ultrasound", "histopathology")
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Urgency:
    """Seconds: of each urgent post, and of the backlog alone and beside them."""

    urgent_s: tuple[float, ...]
    alone_s: float
    beside_s: float
    slides: int

    @property
    def loss(self) -> float:
        """Of the backlog's throughput; below zero where it was quicker."""
        return 1.0 - self.alone_s / self.beside_s

    @property
    def kept(self) -> bool:
        """Whether both limits are kept."""
        return max(self.urgent_s) <= LIMIT_S and self.loss <= LIMIT_LOSS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--slides", type=int, default=10, help="how many in the backlog (default 10)")
    parser.add_argument("--urgent", type=int, default=5, help="how many urgent posts (default 5)")
    parser.add_argument("--json", type=Path, help="write every measurement there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when both limits are kept, else 1."""
    with tempfile.TemporaryDirectory(prefix="cad-bench-urgency-") as folder:
        store = Path(folder) / "store"
        for name in _MODELS:
            manifest = read_manifest(name)
            shutil.copytree(version_folder(manifest), version_folder(manifest, store))
        images = made_images(Path(folder), WARM_UP + options.urgent)
        slide = write_large_slide(Path(folder) / "slide.tif")
        with running_platform(CAD_MODEL_STORE=str(store)) as platform, platform.client() as client:
            measured = _measure(client, images, slide, options.slides, options.urgent)
    if options.json:
        summary = {"limit_s": LIMIT_S, "limit_loss": LIMIT_LOSS, **asdict(measured), "loss": measured.loss}
        options.json.write_text(json.dumps(summary, indent=1))
    return _report(measured)


def write_large_slide(path: Path, size: tuple[int, int] = SLIDE_SIZE) -> Path:
    """A section of pieces that are alike, so that it is full of tissue and quickly made."""
    piece = histology.photograph(7, "malignant", shape=(_PIECE[1], _PIECE[0]), um_per_px=0.5)
    across, down = -(-size[0] // _PIECE[0]), -(-size[1] // _PIECE[1])
    pixels = np.tile(piece.pixels, (down, across, 1))[: size[1], : size[0]]
    histology.write_slide(replace(piece, pixels=pixels), path)
    return path


def _measure(client: httpx.Client, images: Sequence[bytes], slide: Path, slides: int, urgent: int) -> Urgency:
    run_id = f"{int(time.time()):x}"
    content = slide.read_bytes()
    for number, image in enumerate(images[:WARM_UP]):
        post(client, image, f"{run_id}-w{number}", 0.0)
    wait_for(client, [_post_slide(client, content, f"{run_id}-w")])
    alone = wait_for(client, backlog(client, content, f"{run_id}a", slides))
    print(f"{slides} slides by themselves: {alone:.1f} s", flush=True)

    addresses = backlog(client, content, f"{run_id}b", slides)
    pause = alone / (urgent + 1)
    times = []
    for number, image in enumerate(images[WARM_UP:]):
        time.sleep(pause)
        times.append(post(client, image, f"{run_id}-u{number}", 0.0, "urgent").total / 1000)
    waiting = sum(_span(client, address) is None for address in addresses)
    print(f"{waiting} slides were not done when the last urgent one had its result.", flush=True)
    beside = wait_for(client, addresses)
    return Urgency(tuple(times), alone, beside, slides)


def backlog(client: httpx.Client, content: bytes, name: str, slides: int) -> list[str]:
    """Post so many slides; the addresses of their studies."""
    return [_post_slide(client, content, f"{name}{number}") for number in range(slides)]


def _post_slide(client: httpx.Client, content: bytes, name: str) -> str:
    """The address of the study of a slide that is like the others and has other bytes."""
    study = {
        "patient": {"id": f"BENCH-{name}", "name": "Bench^Phantom", "birth_date": "1970-01-01", "sex": "F"},
        "accession_number": f"S{name}"[:16],
        "modality": modalities.of_champion("histopathology").code,
        "procedure": "Whole slide (bench)",
        "images": [{"file": "slide.tif"}],
    }
    # What follows the last page of a TIFF is read by nobody.
    files = {"files": ("slide.tif", content + name.encode(), "image/tiff")}
    answer = client.post("/api/v1/studies", data={"study": json.dumps(study)}, files=files, timeout=600)
    answer.raise_for_status()
    return f"/api/v1/studies/{answer.json()['study_instance_uid']}"


def wait_for(client: httpx.Client, addresses: Sequence[str]) -> float:
    """Seconds from the first start to the last end."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    spans: dict[str, tuple[float, float]] = {}
    while len(spans) < len(addresses):
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(addresses) - len(spans)} slides have no result.")
        for address in addresses:
            if address not in spans and (span := _span(client, address)) is not None:
                spans[address] = span
        time.sleep(0.5)
    return max(end for _, end in spans.values()) - min(begun for begun, _ in spans.values())


def _span(client: httpx.Client, address: str) -> tuple[float, float] | None:
    """When its analysis began last and ended, in seconds since the epoch; None before it has."""
    jobs = client.get(address).raise_for_status().json()["jobs"]
    if not jobs or jobs[0]["state"] in {"requested", "running"}:
        return None
    if jobs[0]["state"] != "succeeded":
        raise SystemExit(f"A slide's analysis ended without a result: {jobs[0]['reason']}")
    begun, ended = (
        datetime.fromisoformat(jobs[0][name]).timestamp() for name in ("started_at", "finished_at")
    )
    return begun, ended


def _report(measured: Urgency) -> int:
    width, height = SLIDE_SIZE
    print(f"\nAn urgent ultrasound behind {measured.slides} slides of {width:,} × {height:,}")
    print("POST to result seen, s: " + ", ".join(f"{seconds:.2f}" for seconds in measured.urgent_s))
    print(f"the backlog by itself {measured.alone_s:.1f} s, beside them {measured.beside_s:.1f} s")
    verdict = "keep to" if measured.kept else "EXCEED"
    print(
        f"Longest {max(measured.urgent_s):.2f} s, throughput lost {measured.loss:.1%}: "
        f"they {verdict} the limits of {LIMIT_S:.0f} s and {LIMIT_LOSS:.0%}."
    )
    return 0 if measured.kept else 1
