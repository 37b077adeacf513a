"""Plain classifiers: every image and frame by itself, whole; the study is as suspicious as its most suspicious image.

Serves any network that takes a whole image at one size and answers with a logit a class; classes, sizes, colour,
calibration and ranges are the manifest's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.pixels import Pixels
from inference.contract import AnalysisRequest, Flag, ModelManifest
from inference.runtime import quality
from inference.runtime.calibration import sigmoid, softmax
from inference.runtime.forward import Forward, Save
from inference.runtime.geometry import Map
from inference.runtime.image_by_image import FrameFinding, ImageAnswer, analyse_images
from inference.runtime.regions import png_of
from inference.runtime.study import Clock, StudyFinding, judged, undecided
from inference.runtime.whole_image.preprocessing import (
    gray_of,
    is_rgb,
    looked_at,
    network_input,
    placement_of,
    sizes_of,
    working_canvas,
)

#: Of the network's outputs: a logit a class, and where there is one the log-odds of the positive class by places.
LOGITS, MAP = "logits", "map"
#: Mean difference of an image's largest and smallest channel.
COLOUR = "colour"
_HEATMAP_LONGEST = 512


def input_shape(manifest: ModelManifest) -> tuple[int, ...]:
    """See `inference.runtime.pipelines.Pipeline`."""
    height, width = sizes_of(manifest.preprocessing)[-1]
    return (1, height, width, 3) if is_rgb(manifest.preprocessing) else (1, 1, height, width)


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> StudyFinding:
    """See `inference.runtime.analyse.analyse`."""
    images = analyse_images(
        request,
        manifest,
        clock,
        lambda pixels, _: _read(pixels, manifest, forward, clock),
        lambda index, frame: _answer(index, frame, manifest, save),
    )
    worst = max(judged(images), key=lambda image: image.probabilities[manifest.positive_class])
    return StudyFinding(dict(worst.probabilities), images)


def statistics(canvas: NDArray[np.uint8], colour: float) -> dict[str, float]:
    """What the gate looks at: of the canvas, and how colourful the image is."""
    return {**quality.appearance(gray_of(canvas)), COLOUR: colour}


def flags_of(
    probabilities: Mapping[str, float], seen: Mapping[str, float], shorter_side: int, manifest: ModelManifest
) -> list[Flag]:
    """What is to be said of an image's answer. The gate looks at plain statistics alone: these networks have no
    novelty distance."""
    calibration = manifest.calibration
    flags = quality.flags_of(seen, 0.0, shorter_side, {**calibration, "novelty_limit": 0.0})
    as_in_training = calibration["colour_low"] <= seen[COLOUR] <= calibration["colour_high"]
    if not as_in_training and Flag.OUT_OF_DISTRIBUTION not in flags:
        flags.append(Flag.OUT_OF_DISTRIBUTION)
    return flags + undecided(dict(probabilities), manifest.classes, calibration["conformal_level"])


@dataclass(frozen=True, eq=False)
class _Frame:
    """What the image's answer needs of one frame: `heat` h×w in 0–1, None where the network puts no map out."""

    logits: NDArray[np.float64]
    probabilities: dict[str, float]
    seen: dict[str, float]
    heat: Map | None
    columns: int
    rows: int


def _read(pixels: Pixels, manifest: ModelManifest, forward: Forward, clock: Clock) -> FrameFinding[_Frame]:
    with clock.measure("preprocess_ms"):
        canvas = working_canvas(looked_at(pixels, manifest.preprocessing), manifest.preprocessing)
        colour = quality.colourfulness(pixels.display()) if pixels.values.ndim == 3 else 0.0
        seen = statistics(canvas, colour)
    outputs = clock.run(forward, network_input(canvas)).outputs
    with clock.measure("postprocess_ms"):
        logits = outputs[LOGITS][0].astype(np.float64)
        shares = softmax(logits / manifest.calibration["temperature"])
        probabilities = {name: round(float(p), 6) for name, p in zip(manifest.classes, shares, strict=True)}
        heat = sigmoid(outputs[MAP][0, 0]) if MAP in outputs else None
        shorter = min(pixels.columns, pixels.rows)
        return FrameFinding(
            (probabilities[manifest.positive_class],),
            flags_of(probabilities, seen, shorter, manifest),
            (),
            _Frame(logits, probabilities, seen, heat, pixels.columns, pixels.rows),
        )


def _answer(index: int, frame: _Frame, manifest: ModelManifest, save: Save) -> ImageAnswer:
    scores = zip(manifest.classes, frame.logits, strict=True)
    return ImageAnswer(
        probabilities=frame.probabilities,
        scores={name: round(float(value), 5) for name, value in scores},
        descriptors={name: round(value, 4) for name, value in frame.seen.items()},
        heatmap=_heatmap(index, frame, manifest, save),
    )


def _heatmap(index: int, frame: _Frame, manifest: ModelManifest, save: Save) -> str | None:
    """Where the network's own map speaks for the positive class, saved."""
    if frame.heat is None:
        return None
    height, width = frame.heat.shape
    whole = placement_of(frame.columns, frame.rows, {**manifest.preprocessing, "sizes": [(height, width)]})
    shown = whole.map_to_image(frame.heat, longest=_HEATMAP_LONGEST)
    return save(f"image-{index}.heatmap.png", png_of(shown))
