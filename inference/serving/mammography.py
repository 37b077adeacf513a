"""Mammography: each view by itself, then views to breasts, breasts to the exam.

Two tasks stay apart: `normal`/`abnormal` (learned from films with and without findings) and `malignancy`
(of a mass, if there is one; learned from films that all show one).
"""

from __future__ import annotations

from collections import defaultdict

import cv2
import numpy as np

from inference.contract import (
    AnalysisRequest,
    Finding,
    Flag,
    ImageReference,
    ImageResult,
    ModelManifest,
)
from inference.evaluation.calibration import Platt
from inference.preprocessing.geometry import Gray, Map, Placement
from inference.preprocessing.mammography import HEIGHT, WIDTH, network_input, working_canvas
from inference.serving import quality
from inference.serving.forward import Forward, Save
from inference.serving.regions import (
    clipped_box,
    outline_of,
    png_of,
    regions_above,
    shape_descriptors,
    sigmoid,
)
from inference.serving.study import (
    Clock,
    Laterality,
    StudyFinding,
    grey_values,
    read_still,
    spacing_of,
    undecided,
)

INPUT_SHAPE = (1, 1, HEIGHT, WIDTH)
_SMALLEST_REGION = 40
_MOST_FINDINGS = 4
_HEATMAP_LONGEST = 1024


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> StudyFinding:
    """See `inference.serving.pipeline.analyse`. A breast's scores are the mean of its views', the exam's are
    the higher of its breasts'. Views without a laterality count for the exam only, each by itself."""
    images = tuple(
        _view(index, image, manifest, forward, save, clock) for index, image in enumerate(request.images)
    )
    by_breast: dict[Laterality, list[ImageResult]] = defaultdict(list)
    apart: list[dict[str, float]] = []
    for reference, result in zip(request.images, images, strict=True):
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


def _mean_of(results: list[ImageResult]) -> dict[str, float]:
    means = {
        name: round(float(np.mean([result.probabilities[name] for result in results])), 6)
        for name in ("abnormal", "malignancy")
    }
    return {"normal": round(1 - means["abnormal"], 6), **means}


def _view(
    index: int, image: ImageReference, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> ImageResult:
    with clock.measure("decode_ms"):
        pixels = read_still(image, manifest)
    with clock.measure("preprocess_ms"):
        canvas, breast, placement = working_canvas(grey_values(pixels))
        seen = quality.look(canvas)
        colour = quality.colourfulness(pixels.display()) if pixels.values.ndim == 3 else 0.0
        tensor = network_input(canvas)
    output = clock.run(forward, tensor).outputs
    with clock.measure("postprocess_ms"):
        calibration = manifest.calibration
        abnormality, malignancy = float(output["abnormality"][0]), float(output["malignancy"][0])
        abnormal = Platt(calibration["abnormal_slope"], calibration["abnormal_offset"])(abnormality)
        malignant = Platt(calibration["malignancy_slope"], calibration["malignancy_offset"])(malignancy)
        probabilities = {
            "normal": round(1 - abnormal, 6),
            "abnormal": round(abnormal, 6),
            "malignancy": round(malignant, 6),
        }
        masses = _enlarged(output["outline"][0, 0])
        heat = masses * _enlarged(output["place"][0, 0])
        findings, outlined = _findings(
            masses, heat, calibration["outline_level"], placement, spacing_of(image, pixels)
        )
        flags = quality.flags_of(
            seen, float(output["distance"][0]), min(pixels.values.shape[:2]), calibration
        )
        covered = float((breast > 0).mean())
        unlike_a_breast = not calibration["breast_share_low"] <= covered <= calibration["breast_share_high"]
        if (colour > calibration["colour_high"] or unlike_a_breast) and Flag.OUT_OF_DISTRIBUTION not in flags:
            flags.append(Flag.OUT_OF_DISTRIBUTION)
        flags += undecided(probabilities, ("normal", "abnormal"), calibration["conformal_level"])
        mask_reference = save(f"image-{index}.mask.png", png_of(_full_mask(outlined, placement, breast)))
        shown = placement.map_to_image(heat, longest=_HEATMAP_LONGEST)
        heat_reference = save(f"image-{index}.heatmap.png", png_of(shown))
    return ImageResult(
        image_id=image.image_id,
        probabilities=probabilities,
        scores={"abnormality": round(abnormality, 5), "malignancy": round(malignancy, 5)},
        findings=findings,
        mask=mask_reference,
        heatmap=heat_reference,
        flags=tuple(flags),
        descriptors={**{name: round(value, 4) for name, value in seen.items()},
                     "novelty": round(float(output["distance"][0]), 4),
                     "breast_share": round(covered, 4)},
    )  # fmt: skip


def _enlarged(logits: Map) -> Map:
    """h×w logits → probabilities on the canvas."""
    return np.asarray(
        cv2.resize(sigmoid(logits), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.float32
    )


def find_masses(masses: Map, level: float) -> list[tuple[float, tuple[int, int, int, int], np.ndarray]]:
    """Peak probability, canvas box and inside (H×W bool) of each marked mass, most certain first. A region
    is cut at half of its own peak, so that one confident mass does not drag a faint surrounding along."""
    found = []
    for region in regions_above(masses, level, 1):
        inside = region.inside & (masses >= max(level, 0.5 * region.peak))
        parts = regions_above(np.where(inside, masses, 0).astype(np.float32), level, _SMALLEST_REGION)
        found += [(part.peak, part.box, part.inside) for part in parts]
    return sorted(found, key=lambda entry: -entry[0])[:_MOST_FINDINGS]


def _findings(
    masses: Map, heat: Map, level: float, placement: Placement, spacing_um: float | None
) -> tuple[tuple[Finding, ...], Map]:
    findings, outlined = [], np.zeros(masses.shape, np.float32)
    for peak, canvas_box, inside in find_masses(masses, level):
        box = clipped_box(placement.box_to_image(canvas_box), placement.image_width, placement.image_height)
        if box is None:
            continue
        outlined[inside] = 1.0
        polygon = tuple(placement.point_to_image(x, y) for x, y in outline_of(inside))
        within = masses[inside]
        findings.append(
            Finding(
                label="mass",
                score=round(peak, 6),
                box=box,
                polygon=tuple((round(x, 2), round(y, 2)) for x, y in polygon) if len(polygon) > 2 else None,
                descriptors={
                    **shape_descriptors(polygon, spacing_um),
                    "malignancy": round(float(heat[inside].sum() / max(float(within.sum()), 1e-6)), 4),
                },
            )
        )
    return tuple(findings), outlined


def _full_mask(outlined: Map, placement: Placement, breast: Gray) -> Map:
    full = placement.map_to_image(outlined)
    return ((full >= 0.5) & (breast > 0)).astype(np.float32)
