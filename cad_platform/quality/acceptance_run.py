"""Measuring an acceptance: `python -m inference acceptance` in a process of its own over the images of the known cases.
For workers; takes minutes."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.suitability import spacing_um
from cad_platform.core.actor import Actor
from cad_platform.core.child_processes import end_with_parent
from cad_platform.core.queues import SLIDE
from cad_platform.quality import acceptance, acceptance_repeated, facts
from cad_platform.quality.models import Acceptance, AcceptanceCase
from cad_platform.registry.selectors import manifest_of
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.slides import slide_of
from cad_platform.studies.sorting import scored

#: What of the environment the laboratory's process sees: no address, no password, no key.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "CAD_MODEL_TRUST", "MALLOC_ARENA_MAX")
_SECONDS = 3000.0
#: A measurement that has said nothing for so long is no longer at work.
_AT_WORK = timedelta(minutes=1)
_PROGRESS = re.compile(r"(\d+) of (\d+) images")
_OWN = "inference: "
#: As Python, the C++ library and ONNX Runtime say it.
_OUT_OF_MEMORY = (
    "MemoryError",
    "bad_alloc",
    "Cannot allocate memory",
    "failed to map segment",
    "blas_thread_init",
)
_MOST_SENTENCES = 20
_COLUMNS = ("image", "label", "patient", "um_per_px", "side", "age", "density", "vendor", "device")


def must_wait(acceptance_id: uuid.UUID | str) -> bool:
    """Whether the worker is wanted for a patient's slide now, or another measurement is at work."""
    now = timezone.now()
    due = AnalysisJob.objects.filter(queue=SLIDE, state=AnalysisJob.State.REQUESTED, available_at__lte=now)
    others = Acceptance.objects.filter(state=Acceptance.State.WAITING, told_at__gt=now - _AT_WORK)
    return due.exists() or others.exclude(pk=acceptance_id).exists()


def measure(acceptance_id: uuid.UUID | str) -> str:
    """Measure what was asked for, and write what came of it; does nothing where that is done. Returns the state."""
    row = Acceptance.objects.select_related("model_version", "site").get(pk=acceptance_id)
    if row.state != Acceptance.State.WAITING:
        return row.state
    with tempfile.TemporaryDirectory(prefix="cad-acceptance-") as folder, ExitStack() as files:
        place = Path(folder)
        left_out, images = _lay_out(row, place, files)
        if not images:
            return keep(
                row, "\n".join(["none of the cases can be measured", *left_out[:_MOST_SENTENCES]]), None
            )
        said, report = _measured(row, place)
    if report is not None:
        report["left_out"] = left_out
    return keep(row, said, report)


def _lay_out(row: Acceptance, place: Path, files: ExitStack) -> tuple[list[str], int]:
    """The table and the images as the laboratory reads them: a sentence about each image that it cannot get, and how
    many it gets."""
    (place / "images").mkdir()
    left_out: list[str] = []
    count = 0
    with (place / "cases.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, _COLUMNS)
        writer.writeheader()
        cases = row.cases.select_related("study__patient", "study__site")
        for number, case in enumerate(cases.iterator(chunk_size=50), 1):
            for line, paths in _images_of(row, case, number, files, left_out):
                _place_image(place / "images" / line["image"], paths)
                writer.writerow(line)
                count += 1
    Acceptance.objects.filter(pk=row.pk).update(whole=count, told_at=timezone.now())
    return left_out, count


def _place_image(image: Path, paths: list[Path]) -> None:
    """An image's file where the laboratory looks for it; of a slide of several a folder of them."""
    if len(paths) == 1:
        image.symlink_to(paths[0])
        return
    image.mkdir()
    for number, path in enumerate(paths, 1):
        (image / f"{number:05d}").symlink_to(path)


def _images_of(
    row: Acceptance, case: AcceptanceCase, number: int, files: ExitStack, left_out: list[str]
) -> Iterator[tuple[dict[str, Any], list[Path]]]:
    """A row of the laboratory's table for each image that the model reads, and where its bytes lie: of a slide that may
    be several files."""
    manifest, study = manifest_of(row.model_version), case.study
    own: dict[str, Any] = {
        "label": case.label,
        "patient": str(study.patient_id or study.pk),
        "age": facts.age_band(study),
        "density": signed.density if (signed := facts.signed_of(study)) else "",
    }
    found = scored(sorted_images(study), row.model_version.modality)
    if not found:
        left_out.append(f"case {number}: it has no image that this model reads")
    for place, image in enumerate(found, 1):
        side = image.side.laterality or ""
        if case.side and side != case.side:
            continue
        name, spacing = f"case-{number:04d}-{place}", spacing_um(image.instance)
        if manifest.input.needs_pixel_spacing and spacing is None:
            left_out.append(f"{name}: \u00b5m per pixel missing")
        else:
            paths = files.enter_context(slide_of(image.instance).opened())
            vendor, device = facts.device_of([image.instance])
            told = {"image": name, "side": side, "vendor": vendor, "device": device}
            yield own | told | {"um_per_px": spacing[0] if spacing else ""}, paths


def _measured(row: Acceptance, place: Path) -> tuple[str, dict[str, Any] | None]:
    """What the laboratory's process says: its sentences where it refuses, else its report."""
    version, out = row.model_version, place / "out"
    command = [
        sys.executable, "-P", "-m", "inference", "acceptance", version.name, "--version", version.version,
        "--store", str(settings.MODEL_STORE), "--cases", str(place / "cases.csv"), "--images", str(place / "images"),
        "--out", str(out),
    ]  # fmt: skip
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # In a folder that goes: what decoding leaves behind goes with it.
    environment |= {"PYTHONPATH": str(settings.BASE_DIR), "TMPDIR": str(place)}
    sentences: list[str] = []
    out_of_memory = False
    with subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=end_with_parent(os.getpid()),
    ) as process:  # fmt: skip
        limit = settings.ACCEPTANCE_MEMORY_BYTES
        resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
        clock = threading.Timer(_SECONDS, process.kill)
        clock.start()
        try:
            for line in process.stderr or ():
                if found := _PROGRESS.match(line):
                    Acceptance.objects.filter(pk=row.pk).update(
                        done=int(found[1]), whole=int(found[2]), told_at=timezone.now()
                    )
                elif line.startswith(_OWN):
                    sentences.append(line.removeprefix(_OWN).strip())
                out_of_memory |= any(word in line for word in _OUT_OF_MEMORY)
        except BaseException:
            process.kill()  # this worker is told to stop: the message comes again
            raise
        finally:
            clock.cancel()
    try:
        return "", dict(json.loads((out / "acceptance.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        ended = f"the measurement did not end (exit status {process.returncode})"
        if out_of_memory:
            ended = f"the measurement needs more memory than the {limit // 1_000_000} MB that it may use"
        return "\n".join(sentences[:_MOST_SENTENCES]) or ended, None


@transaction.atomic
def keep(row: Acceptance, said: str, report: dict[str, Any] | None) -> str:
    """Write what came of a measurement, once; the state that it is in then."""
    kept = Acceptance.objects.select_for_update(of=("self",)).select_related("model_version").get(pk=row.pk)
    if kept.state != Acceptance.State.WAITING:
        return kept.state
    kept.state = Acceptance.State.MEASURED if report is not None else Acceptance.State.FAILED
    kept.said, kept.report, kept.ended_at = said, report, timezone.now()
    kept.verdict = str(report["verdict"]) if report is not None else ""
    kept.save(update_fields=["state", "said", "report", "ended_at", "verdict"])
    acceptance.record_of(
        Actor.system("worker"), "acceptance.end", kept, state=kept.state, verdict=kept.verdict
    )
    acceptance_repeated.watch(kept)
    return kept.state
