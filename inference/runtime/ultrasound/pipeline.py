"""Ultrasound: every frame by itself; the study is as suspicious as its most suspicious frame.

A frame is read twice by the same network: whole, then closer at what it outlined. The answers are averaged, the
outlines where the closer look lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.contract import AnalysisRequest, Finding, Flag, ImageReference, ImageResult, ModelManifest
from inference.runtime import quality
from inference.runtime.calibration import sigmoid, softmax
from inference.runtime.forward import Forward, ForwardOutput, Save
from inference.runtime.geometry import Gray, Map, Placement
from inference.runtime.regions import (
    Region,
    clipped_box,
    outline_of,
    png_of,
    regions_above,
    shape_descriptors,
)
from inference.runtime.study import Clock, StudyFinding, judged, read_still, spacing_of, undecided
from inference.runtime.ultrasound.preprocessing import (
    CLOSER_SIDE,
    SIDE,
    closer_canvas,
    closer_square,
    network_input,
    working_canvas,
)

INPUT_SHAPE = (1, 1, SIDE, SIDE)
CLASSES = ("benign", "malignant", "normal")
BENIGN, MALIGNANT, NORMAL = range(3)
#: Maps of both looks are brought together this much finer than the first canvas.
_FINER = 2
_SMALLEST_REGION = 48
_MOST_FINDINGS = 5
#: The maps have 448 px; a larger picture of them would show nothing more.
_HEATMAP_LONGEST = 512


@dataclass(frozen=True, eq=False)
class Reading:
    """What both looks say of a frame: class logits (3), probabilities of the outline and of malignancy over the
    first canvas at `_FINER` times its resolution, where that lies in the frame, the novelty distance."""

    logits: NDArray[np.float64]
    outline: Map
    malignancy: Map
    placement: Placement
    distance: float


def read_frame(
    gray: Gray, canvas: Gray, placement: Placement, run: Callable[[Gray], ForwardOutput]
) -> Reading:
    """`gray` H×W uint8 with its first canvas; `run` asks the network about a canvas."""
    whole = run(canvas).outputs
    side = SIDE * _FINER
    outline, malignancy = (_enlarged(whole[name][0, 0], side, side) for name in ("outline", "malignancy"))
    square = closer_square(sigmoid(whole["outline"][0, 0]), placement)
    closer, place = closer_canvas(gray, square)
    near = run(closer).outputs
    fine = placement.scaled(_FINER)
    x0, y0, x1, y1 = place.crop
    left, right = (round(fine.left + x * fine.scale_x) for x in (x0, x1))
    top, bottom = (round(fine.top + y * fine.scale_y) for y in (y0, y1))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    for values, name in ((outline, "outline"), (malignancy, "malignancy")):
        seen = _enlarged(near[name][0, 0], CLOSER_SIDE, CLOSER_SIDE)
        seen = seen[place.top : place.top + place.height, place.left : place.left + place.width]
        part = values[top:bottom, left:right]
        how = cv2.INTER_AREA if part.shape[0] < seen.shape[0] else cv2.INTER_LINEAR
        part[:] = (part + cv2.resize(seen, (part.shape[1], part.shape[0]), interpolation=how)) / 2
    logits = (whole["logits"][0].astype(np.float64) + near["logits"][0].astype(np.float64)) / 2
    return Reading(logits, outline, malignancy, fine, float(whole["distance"][0]))


def _enlarged(logits: Map, width: int, height: int) -> Map:
    """h×w logits as probabilities at another size."""
    return np.asarray(
        cv2.resize(sigmoid(logits), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> StudyFinding:
    """See `inference.runtime.analyse.analyse`."""
    images = tuple(
        _frame(index, image, manifest, forward, save, clock) for index, image in enumerate(request.images)
    )
    worst = max(judged(images), key=lambda image: image.probabilities["malignant"])
    return StudyFinding(dict(worst.probabilities), images)


def _frame(
    index: int, image: ImageReference, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> ImageResult:
    with clock.measure("decode_ms"):
        pixels = read_still(image, manifest)
    with clock.measure("preprocess_ms"):
        gray = pixels.gray()
        canvas, placement = working_canvas(gray)
        seen = quality.appearance(canvas)
        colour = quality.colourfulness(pixels.display()) if pixels.values.ndim == 3 else 0.0
    reading = read_frame(gray, canvas, placement, lambda each: clock.run(forward, network_input(each)))
    with clock.measure("postprocess_ms"):
        calibration = manifest.calibration
        logits, placement = reading.logits, reading.placement
        shares = softmax(logits / calibration["temperature"])
        probabilities = dict(zip(CLASSES, (round(float(p), 6) for p in shares), strict=True))
        outline, malignancy = reading.outline, reading.malignancy
        flags = quality.flags_of(seen, reading.distance, min(gray.shape), calibration)
        if colour > calibration["colour_high"] and Flag.OUT_OF_DISTRIBUTION not in flags:
            flags.append(Flag.OUT_OF_DISTRIBUTION)
        flags += undecided(probabilities, CLASSES, calibration["conformal_level"])
        regions = [] if probabilities["normal"] >= 0.5 else _regions(outline, calibration["outline_level"])
        findings = _findings(
            regions, malignancy, logits, calibration["temperature"], placement, spacing_of(image, pixels)
        )
        kept = np.zeros(outline.shape, np.float32)
        for region in regions:
            kept[region.inside] = 1.0
        full = placement.map_to_image(kept) >= 0.5
        # malignancy is taught inside lesions only: it colours the outline, it does not find it
        heat = placement.map_to_image(outline * (0.5 + 0.5 * malignancy), longest=_HEATMAP_LONGEST)
        mask_reference = save(f"image-{index}.mask.png", png_of(full))
        heat_reference = save(f"image-{index}.heatmap.png", png_of(heat))
    return ImageResult(
        image_id=image.image_id,
        probabilities=probabilities,
        scores=dict(zip(CLASSES, (round(float(v), 5) for v in logits), strict=True)),
        findings=findings,
        mask=mask_reference,
        heatmap=heat_reference,
        flags=tuple(flags),
        descriptors={**{name: round(value, 4) for name, value in seen.items()},
                     "novelty": round(reading.distance, 4)},
    )  # fmt: skip


def _regions(outline: Map, level: float) -> list[Region]:
    regions = regions_above(outline, level, _SMALLEST_REGION)
    if not regions:
        return []
    largest = max(region.area for region in regions)
    # crumbs beside a lesion are no lesions of their own
    return [region for region in regions if region.area >= 0.1 * largest][:_MOST_FINDINGS]


def _findings(
    regions: list[Region], malignancy: Map, logits: np.ndarray, temperature: float, placement: Placement,
    spacing_um: float | None,
) -> tuple[Finding, ...]:  # fmt: skip
    """A finding's score is the frame's odds of malignant against benign, moved by how much more or less
    malignant this region looks than the frame's regions together."""
    if not regions:
        return ()
    means = [float(malignancy[region.inside].mean()) for region in regions]
    weights = np.array([region.area for region in regions], np.float64)
    overall = float(np.average(means, weights=weights))
    frame_odds = float(logits[MALIGNANT] - logits[BENIGN]) / temperature
    findings = []
    for region, mean in zip(regions, means, strict=True):
        polygon = tuple(placement.point_to_image(x, y) for x, y in outline_of(region.inside))
        box = clipped_box(placement.box_to_image(region.box), placement.image_width, placement.image_height)
        if box is None:
            continue
        score = 1 / (1 + math.exp(-(frame_odds + _log_odds(mean) - _log_odds(overall))))
        findings.append(
            Finding(
                label="mass",
                score=round(score, 6),
                box=box,
                polygon=tuple((round(x, 2), round(y, 2)) for x, y in polygon) if len(polygon) > 2 else None,
                descriptors=shape_descriptors(polygon, spacing_um),
            )
        )
    return tuple(sorted(findings, key=lambda finding: -finding.score))


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))
