"""Mammography: each view by itself (of a tomosynthesis each slice), then views to breasts, breasts to the exam.

Two tasks stay apart: `normal`/`abnormal` (learned from films with and without findings; the likeliest mass and the
likeliest cluster of calcifications speak in it) and `malignancy` (of a mass, if there is one; learned from films that
all show one).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.pixels import Pixels
from inference.contract import AnalysisRequest, Finding, Flag, ImageResult, ModelManifest
from inference.runtime import quality
from inference.runtime.calibration import Platt, sigmoid, softmax
from inference.runtime.forward import Forward, Save
from inference.runtime.geometry import Gray, Map, Placement, resize, square_pixels
from inference.runtime.image_by_image import Asked, FrameFinding, ImageAnswer, analyse_images
from inference.runtime.mammography.preprocessing import (
    HALF,
    HEIGHT,
    PLACE_PX,
    VIEW_SCALE,
    WIDTH,
    network_input,
    working_canvas,
)
from inference.runtime.regions import clipped_box, outline_of, png_of, shape_descriptors
from inference.runtime.scale import Scale
from inference.runtime.study import (
    Clock,
    Laterality,
    StudyFinding,
    grey_values,
    judged,
    undecided,
)

#: Marks this certain are outlined in the mask; fainter ones are marks only.
_OUTLINED_FROM = 0.3
_HEATMAP_LONGEST = 1024
#: Pixels of the canvas, as are the two below: the network outlines in pixels of 16. Less than half of one outlines
#: nothing.
_OUTLINE_PX = 16
_LEAST_SIDE = _OUTLINE_PX // 2
#: A place is proposed for the mean of three by three of them, and that much is shown where nothing is outlined.
_PROPOSED_SIDE = 3 * _OUTLINE_PX
#: Of a view: as many as there are places that the network looks at closer, over all slices of a tomosynthesis.
_MOST_FINDINGS = 6
DENSITIES = ("fatty", "glandular", "dense")


def input_shape(_: ModelManifest) -> tuple[int, ...]:
    """See `inference.runtime.pipelines.Pipeline`."""
    return (1, 1, HEIGHT, WIDTH)


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> StudyFinding:
    """See `inference.runtime.analyse.analyse`. A breast's scores are the mean of its views' that may be judged, the
    exam's are the higher of its breasts'. Views without a laterality count for the exam only, each by itself."""
    images = analyse_images(request, Asked(manifest, forward, save, clock), _read, _answer, _MOST_FINDINGS)
    counting = {id(result) for result in judged(images)}
    by_breast: dict[Laterality, list[ImageResult]] = defaultdict(list)
    apart: list[dict[str, float]] = []
    for reference, result in zip(request.images, images, strict=True):
        if id(result) not in counting:
            continue
        if reference.laterality is None:
            apart.append(dict(result.probabilities))
        else:
            by_breast[reference.laterality].append(result)
    breasts = {side: _mean_of(results) for side, results in sorted(by_breast.items())}
    candidates = [*breasts.values(), *apart]
    abnormal = max(scores["abnormal"] for scores in candidates)
    exam = {
        "normal": round(1 - abnormal, 6),
        "abnormal": abnormal,
        "malignancy": max(scores["malignancy"] for scores in candidates),
    }
    return StudyFinding(exam, images, breasts)


def quarter(canvas: Gray) -> Gray:
    """What the mass network sees of a canvas, 288×192 uint8."""
    return resize(canvas, WIDTH // VIEW_SCALE, HEIGHT // VIEW_SCALE)


def _mean_of(results: list[ImageResult]) -> dict[str, float]:
    means = {
        name: round(float(np.mean([result.probabilities[name] for result in results])), 6)
        for name in ("abnormal", "malignancy")
    }
    return {"normal": round(1 - means["abnormal"], 6), **means}


@dataclass(frozen=True, eq=False)
class _Slice:
    """What the view's answer needs of one frame, maps included: `heat` over the canvas, `outlined` too, `breast` over
    the image with square pixels (H×W, 0 or 255)."""

    probabilities: dict[str, float]
    scores: dict[str, float]
    descriptors: dict[str, float]
    heat: Map
    outlined: Map
    breast: Gray
    placement: Placement


def _read(pixels: Pixels, scale: Scale, asked: Asked) -> FrameFinding[_Slice]:
    manifest, clock = asked.manifest, asked.clock
    with clock.measure("preprocess_ms"):
        values = square_pixels(grey_values(pixels), scale.pixel_aspect)
        canvas, breast, placement = working_canvas(values)
        placement = placement.onto(pixels.columns, pixels.rows)
        # at the mass network's resolution, which the coarsest films have too: sharpness compares only there
        seen = quality.appearance(quarter(canvas))
        colour = quality.colourfulness(pixels.display()) if pixels.values.ndim == 3 else 0.0
        tensor = network_input(canvas)
    output = clock.run(asked.forward, tensor).outputs
    with clock.measure("postprocess_ms"):
        calibration = manifest.calibration
        told, malignancy = told_of(output, calibration), float(output["malignancy"][0])
        malign = Platt(calibration["malignancy_slope"], calibration["malignancy_offset"])
        abnormal, malignant = float(sigmoid(np.asarray(logit_of(told, calibration)))), malign(malignancy)
        probabilities = {
            "normal": round(1 - abnormal, 6),
            "abnormal": round(abnormal, 6),
            "malignancy": round(malignant, 6),
        }
        masses = _enlarged(sigmoid(output["outline"][0, 0]))
        # a mass that looks malignant, or a place that looks abnormal for whatever reason
        heat = masses * _enlarged(sigmoid(output["place"][0, 0]))
        for places in _suspicious_places(output, calibration):
            heat = np.maximum(heat, _enlarged(places))
        marks = marks_of(output["candidates"][0], masses, calibration)
        findings, outlined = findings_of(marks, malign, placement, scale)
        density = softmax(output["density"][0].astype(np.float64))
        flags = quality.flags_of(
            seen, float(output["distance"][0]), min(pixels.values.shape[:2]), calibration
        )
        covered = float((breast > 0).mean())
        unlike_a_breast = not calibration["breast_share_low"] <= covered <= calibration["breast_share_high"]
        if (colour > calibration["colour_high"] or unlike_a_breast) and Flag.OUT_OF_DISTRIBUTION not in flags:
            flags.append(Flag.OUT_OF_DISTRIBUTION)
        flags += undecided(probabilities, ("normal", "abnormal"), conformal_levels(calibration))
        descriptors = {
            **{name: round(value, 4) for name, value in seen.items()},
            "novelty": round(float(output["distance"][0]), 4),
            "breast_share": round(covered, 4),
            **{f"density_{name}": round(float(p), 4) for name, p in zip(DENSITIES, density, strict=True)},
        }
        scores = {
            **{name: round(value, 5) for name, value in told.items()},
            "malignancy": round(malignancy, 5),
        }
        return FrameFinding(
            (abnormal,),
            flags,
            findings,
            _Slice(probabilities, scores, descriptors, heat, outlined, breast, placement),
        )


#: What a film's abnormality is made of, and the names under which a version's calibration says how much each counts.
#: Versions before 3.0.0 know the film reader alone.
_SPEAKERS = {"abnormality": "abnormal_slope", "mass": "abnormal_mass", "cluster": "abnormal_cluster"}
#: A speck network is sure of what it was taught to see: no film speaks louder than this, or less.
LOUDEST = 8.0


def told_of(output: Mapping[str, NDArray[Any]], calibration: Mapping[str, float]) -> dict[str, float]:
    """Logits that speak of a film's abnormality: the film reader's, that of the likeliest mass, and that of the
    likeliest cluster of calcifications; of each where the version has it."""
    told = {"abnormality": float(output["abnormality"][0])}
    if "abnormal_mass" in calibration:
        told["mass"] = float(_mark_logits(output["candidates"][0], calibration).max())
    if "abnormal_cluster" in calibration:
        told["cluster"] = float(np.clip(output["cluster"][0], calibration["cluster_floor"], LOUDEST))
    return told


def logit_of(told: Mapping[str, float], calibration: Mapping[str, float]) -> float:
    """Of abnormality, of what `told_of` gives."""
    return calibration["abnormal_offset"] + sum(calibration[_SPEAKERS[name]] * told[name] for name in told)


def conformal_levels(calibration: Mapping[str, float]) -> tuple[float, float]:
    """From which probability on a film may be normal, and abnormal. Versions before 3.0.0 have one level for both."""
    if "conformal_level" in calibration:
        return (calibration["conformal_level"],) * 2
    return calibration["conformal_normal"], calibration["conformal_abnormal"]


def _suspicious_places(output: Mapping[str, NDArray[Any]], calibration: Mapping[str, float]) -> list[Map]:
    """What each place would make of a film in which nothing else were to be seen: by the film reader, and by the
    clusters where the version looks for them."""
    typical = calibration.get("abnormal_elsewhere", calibration["abnormal_offset"])
    found = [sigmoid(calibration["abnormal_slope"] * output["suspicion"][0, 0] + typical)]
    if "abnormal_cluster" in calibration:
        heard = np.clip(output["clusters"][0, 0], calibration["cluster_floor"], LOUDEST)
        found.append(sigmoid(calibration["abnormal_cluster"] * heard + calibration["cluster_elsewhere"]))
    return [np.asarray(each, np.float32) for each in found]


def _answer(index: int, chosen: _Slice, asked: Asked) -> ImageAnswer:
    full = _full_mask(chosen.outlined, chosen.placement, chosen.breast)
    shown = chosen.placement.map_to_image(chosen.heat, longest=_HEATMAP_LONGEST)
    return ImageAnswer(
        probabilities=chosen.probabilities,
        scores=chosen.scores,
        descriptors=chosen.descriptors,
        heatmap=asked.save(f"image-{index}.heatmap.png", png_of(shown)),
        mask=asked.save(f"image-{index}.mask.png", png_of(full)),
    )


def _enlarged(probabilities: Map) -> Map:
    """A map over the canvas at the canvas's own resolution."""
    return np.asarray(cv2.resize(probabilities, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.float32)


@dataclass(frozen=True, eq=False)
class MassMark:
    """A place that the network looked at closer: the probability that a mass is there, its canvas box, its inside
    (H×W bool; None where the network outlines nothing there) and the logit of its malignancy."""

    score: float
    box: tuple[int, int, int, int]
    inside: NDArray[np.bool_] | None
    malignancy: float


def mark_score(candidates: NDArray[np.float32], calibration: Mapping[str, float]) -> NDArray[np.float64]:
    """K×5 candidates (see `FilmOutput`) → K probabilities that a mass is there."""
    return sigmoid(_mark_logits(candidates, calibration))


def _mark_logits(candidates: NDArray[np.float32], calibration: Mapping[str, float]) -> NDArray[np.float64]:
    slopes = np.array([calibration["mark_peak"], calibration["mark_present"]])
    return np.asarray(candidates[:, 2:4].astype(np.float64) @ slopes + calibration["mark_offset"])


def marks_of(
    candidates: NDArray[np.float32], masses: Map, calibration: Mapping[str, float]
) -> list[MassMark]:
    """The candidates at or above the mark level, most certain first; none inside another's outline. `masses`:
    probability of a mass over the canvas."""
    scores = mark_score(candidates, calibration)
    found: list[MassMark] = []
    for number in np.argsort(-scores):
        x = min(int(candidates[number, 0] * HALF), WIDTH - 1)
        y = min(int(candidates[number, 1] * HALF), HEIGHT - 1)
        outlined = any(mark.inside is not None and mark.inside[y, x] for mark in found)
        if scores[number] < calibration["mark_level"] or outlined:
            continue
        box, inside = _around(masses, x, y)
        found.append(MassMark(float(scores[number]), box, inside, float(candidates[number, 4])))
    return found


def _around(masses: Map, x: int, y: int) -> tuple[tuple[int, int, int, int], NDArray[np.bool_] | None]:
    """Box and inside of what is connected with the peak at (x, y) above half of its height. What is smaller than can
    be outlined was proposed all the same, and looked at closer: of it the place is shown, and no outline."""
    near = masses[
        max(0, y - PLACE_PX // 2) : y + PLACE_PX // 2, max(0, x - PLACE_PX // 2) : x + PLACE_PX // 2
    ]
    above = (masses >= 0.5 * float(near.max())).astype(np.uint8)
    above[y, x] = 1
    _, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    left, top, width, height, _ = (int(value) for value in stats[labels[y, x]])
    if min(width, height) < _LEAST_SIDE:
        reach = _PROPOSED_SIDE // 2
        box = (max(0, x - reach), max(0, y - reach), min(WIDTH, x + reach), min(HEIGHT, y + reach))
        return box, None
    return (left, top, left + width, top + height), labels == labels[y, x]


def findings_of(
    marks: list[MassMark], malign: Platt, placement: Placement, scale: Scale
) -> tuple[tuple[Finding, ...], Map]:
    """The marks in stored pixels, and over the canvas what the certain ones outline (0 or 1). A mark without an outline
    has a box alone: nothing is measured in it."""
    findings, outlined = [], np.zeros((HEIGHT, WIDTH), np.float32)
    for mark in marks:
        box = clipped_box(placement.box_to_image(mark.box), placement.image_width, placement.image_height)
        if box is None:
            continue
        corners = () if mark.inside is None else outline_of(mark.inside)
        if mark.inside is not None and mark.score >= _OUTLINED_FROM:
            outlined[mark.inside] = 1.0
        polygon = tuple(placement.point_to_image(x, y) for x, y in corners)
        findings.append(
            Finding(
                label="mass",
                score=round(mark.score, 6),
                box=box,
                polygon=tuple((round(x, 2), round(y, 2)) for x, y in polygon) if len(polygon) > 2 else None,
                descriptors={
                    **shape_descriptors(polygon, scale),
                    "malignancy": round(malign(mark.malignancy), 4),
                },
            )
        )
    return tuple(findings), outlined


def _full_mask(outlined: Map, placement: Placement, breast: Gray) -> NDArray[np.bool_]:
    full = placement.map_to_image(outlined)
    if breast.shape != full.shape:
        breast = np.asarray(cv2.resize(breast, full.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
    return np.asarray((full >= 0.5) & (breast > 0))
