"""Ultrasound: every frame by itself, of clips too; the study is as suspicious as its most suspicious frame.

A frame is read twice by the same network: whole, then closer at what it outlined. The answers are averaged, the
outlines where the closer look lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.pixels import Pixels
from inference.contract import AnalysisRequest, Finding, Flag, ModelManifest, outline_lexicon
from inference.runtime import quality
from inference.runtime.calibration import sigmoid, softmax
from inference.runtime.forward import Forward, ForwardOutput, Save
from inference.runtime.fusion import FUSED
from inference.runtime.geometry import Gray, Map, Placement, square_pixels
from inference.runtime.image_by_image import Asked, FrameFinding, ImageAnswer, analyse_images, most_suspicious
from inference.runtime.regions import (
    Region,
    clipped_box,
    png_of,
    regions_above,
    shape_descriptors,
)
from inference.runtime.scale import Scale
from inference.runtime.study import Clock, StudyFinding, undecided
from inference.runtime.ultrasound.preprocessing import (
    CLOSER_SIDE,
    SIDE,
    closer_canvas,
    closer_square,
    network_input,
    working_canvas,
)

CLASSES = ("benign", "malignant", "normal")
BENIGN, MALIGNANT, NORMAL = range(3)
#: BI-RADS assessments that a network may answer besides.
CATEGORIES = ("2", "3", "4", "5")
#: Maps of both looks are brought together this much finer than the first canvas.
_FINER = 2
_SMALLEST_REGION = 48
#: Pixels of the brought-together maps, half of one that the network outlines in: a sliver is no lesion.
_LEAST_SIDE = 4
_MOST_FINDINGS = 5
#: The maps have 448 px; a larger picture of them would show nothing more.
_HEATMAP_LONGEST = 512


@dataclass(frozen=True, eq=False)
class Reading:
    """What both looks say of a frame: class logits (3), probabilities of the outline and of malignancy over the
    first canvas at `_FINER` times its resolution, where that lies in the frame, the novelty distance; of networks that
    tell it also the chances of `CATEGORIES` (4)."""

    logits: NDArray[np.float64]
    outline: Map
    malignancy: Map
    placement: Placement
    distance: float
    assessment: NDArray[np.float64] | None = None


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
    assessment = None
    if "assessment" in whole:
        both = np.stack([look["assessment"][0].astype(np.float64) for look in (whole, near)])
        assessment = softmax(both.mean(axis=0))
    return Reading(logits, outline, malignancy, fine, float(whole["distance"][0]), assessment)


def _enlarged(logits: Map, width: int, height: int) -> Map:
    """h×w logits as probabilities at another size."""
    return np.asarray(
        cv2.resize(sigmoid(logits), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def bias_of(name: str) -> str:
    """In a manifest's calibration: what is added to the logit of class `name` after the temperature; nothing where it
    is not said."""
    return f"bias_{name}"


def input_shape(_: ModelManifest) -> tuple[int, ...]:
    """See `inference.runtime.pipelines.Pipeline`."""
    return (1, 1, SIDE, SIDE)


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> StudyFinding:
    """See `inference.runtime.analyse.analyse`."""
    images = analyse_images(request, Asked(manifest, forward, save, clock), _read, _answer, _MOST_FINDINGS)
    most = int(manifest.calibration.get(FUSED, 1))
    return most_suspicious(
        images, lambda image: suspicion(image.probabilities, manifest), CLASSES[MALIGNANT], most
    )


def suspicion(probabilities: Mapping[str, float], manifest: ModelManifest) -> tuple[float, ...]:
    """What orders frames and images. Below every operating point of `malignant`, one that shows a lesion comes before
    one that shows none: a benign lesion on three frames of a clip is not lost among those that are normal."""
    malignant = probabilities["malignant"]
    if malignant >= manifest.thresholds["high_sensitivity"]:
        return 2.0, malignant
    return float(probabilities["normal"] < 0.5), malignant


@dataclass(frozen=True, eq=False)
class _Frame:
    """What the image's answer needs of one frame, maps included."""

    probabilities: dict[str, float]
    seen: dict[str, float]
    reading: Reading
    regions: list[Region]


def _read(pixels: Pixels, scale: Scale, asked: Asked) -> FrameFinding[_Frame]:
    manifest, clock = asked.manifest, asked.clock
    with clock.measure("preprocess_ms"):
        gray = square_pixels(pixels.gray(), scale.pixel_aspect)
        canvas, placement = working_canvas(gray)
        seen = quality.appearance(canvas)
        colour = quality.colourfulness(pixels.display()) if pixels.values.ndim == 3 else 0.0
    reading = read_frame(gray, canvas, placement, lambda each: clock.run(asked.forward, network_input(each)))
    with clock.measure("postprocess_ms"):
        calibration = manifest.calibration
        reading = replace(reading, placement=reading.placement.onto(pixels.columns, pixels.rows))
        biases = np.array([calibration.get(bias_of(name), 0.0) for name in CLASSES])
        evidence = reading.logits / calibration["temperature"] + biases
        shares = softmax(evidence)
        probabilities = dict(zip(CLASSES, (round(float(p), 6) for p in shares), strict=True))
        flags = quality.flags_of(seen, reading.distance, min(pixels.values.shape[:2]), calibration)
        if colour > calibration["colour_high"] and Flag.OUT_OF_DISTRIBUTION not in flags:
            flags.append(Flag.OUT_OF_DISTRIBUTION)
        flags += undecided(probabilities, CLASSES, calibration["conformal_level"])
        has_lesion = probabilities["normal"] < 0.5
        regions = regions_of(reading.outline, calibration["outline_level"]) if has_lesion else []
        return FrameFinding(
            suspicion(probabilities, manifest),
            flags,
            _findings(regions, reading, float(evidence[MALIGNANT] - evidence[BENIGN]), scale),
            _Frame(probabilities, seen, reading, regions),
        )


def _answer(index: int, frame: _Frame, asked: Asked) -> ImageAnswer:
    mask, heatmap = _maps(index, frame, asked.save)
    descriptors = {**frame.seen, "novelty": frame.reading.distance}
    return ImageAnswer(
        probabilities=frame.probabilities,
        scores=dict(zip(CLASSES, (round(float(v), 5) for v in frame.reading.logits), strict=True)),
        descriptors={name: round(value, 4) for name, value in descriptors.items()},
        heatmap=heatmap,
        mask=mask,
        assessment=_assessment(frame.reading),
    )


def _assessment(reading: Reading) -> dict[str, float]:
    if reading.assessment is None:
        return {}
    return dict(zip(CATEGORIES, (round(float(p), 6) for p in reading.assessment), strict=True))


def _maps(index: int, frame: _Frame, save: Save) -> tuple[str, str]:
    """Mask and heat map of a frame, saved."""
    reading = frame.reading
    kept = np.zeros(reading.outline.shape, np.float32)
    for region in frame.regions:
        region.paint(kept)
    full = reading.placement.map_to_image(kept) >= 0.5
    # malignancy is taught inside lesions only: it colours the outline, it does not find it
    shown = reading.outline * (0.5 + 0.5 * reading.malignancy)
    heat = reading.placement.map_to_image(shown, longest=_HEATMAP_LONGEST)
    return save(f"image-{index}.mask.png", png_of(full)), save(f"image-{index}.heatmap.png", png_of(heat))


def regions_of(outline: Map, level: float) -> list[Region]:
    """What is outlined at or above `level`: none smaller than the network can outline, and no crumbs."""
    regions = regions_above(outline, level, _SMALLEST_REGION, _LEAST_SIDE)
    if not regions:
        return []
    largest = max(region.area for region in regions)
    # crumbs beside a lesion are no lesions of their own
    return [region for region in regions if region.area >= 0.1 * largest][:_MOST_FINDINGS]


def _findings(
    regions: list[Region], reading: Reading, frame_odds: float, scale: Scale
) -> tuple[Finding, ...]:
    """A finding's score is the frame's calibrated log odds of malignant against benign, moved by how much more or less
    malignant this region looks than the frame's regions together."""
    if not regions:
        return ()
    placement = reading.placement
    means = [float(region.of(reading.malignancy).mean()) for region in regions]
    weights = np.array([region.area for region in regions], np.float64)
    overall = float(np.average(means, weights=weights))
    findings = []
    for region, mean in zip(regions, means, strict=True):
        polygon = tuple(placement.point_to_image(x, y) for x, y in region.outline())
        box = clipped_box(placement.box_to_image(region.box), placement.image_width, placement.image_height)
        if box is None:
            continue
        measured = shape_descriptors(polygon, scale)
        lexicon = {}
        if reading.assessment is not None:
            lexicon = outline_lexicon(measured)
            measured["birads"] = float(CATEGORIES[int(reading.assessment.argmax())])
        score = 1 / (1 + math.exp(-(frame_odds + _log_odds(mean) - _log_odds(overall))))
        findings.append(
            Finding(
                label="mass",
                score=round(score, 6),
                box=box,
                polygon=tuple((round(x, 2), round(y, 2)) for x, y in polygon) if len(polygon) > 2 else None,
                descriptors=measured,
                lexicon=lexicon,
            )
        )
    return tuple(sorted(findings, key=lambda finding: -finding.score))


def _log_odds(probability: float) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))
