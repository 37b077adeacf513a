"""Networks over whole images: every image and frame by itself; the study is as suspicious as its most suspicious image.

Serves any network that takes a whole image at one size and answers with a logit a class, or outlines; classes, sizes,
colour, calibration and ranges are the manifest's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.pixels import Pixels
from inference.contract import AnalysisRequest, Finding, Flag, ModelManifest
from inference.runtime import quality
from inference.runtime.calibration import sigmoid, softmax
from inference.runtime.forward import Forward, Save
from inference.runtime.geometry import Map, Placement
from inference.runtime.image_by_image import Asked, FrameFinding, ImageAnswer, analyse_images, most_suspicious
from inference.runtime.regions import clipped_box, png_of, regions_above, shape_descriptors
from inference.runtime.scale import Scale
from inference.runtime.study import Clock, StudyFinding, undecided
from inference.runtime.whole_image.preprocessing import (
    gray_of,
    is_rgb,
    looked_at,
    network_input,
    placement_of,
    sizes_of,
    working_canvas,
)
from inference.runtime.whole_image.steps import has_steps, is_packed, packed_shape, steps_of

#: Of the network's outputs: a logit a class, and where there is one the log-odds of the positive class by places.
LOGITS, MAP = "logits", "map"
#: Of a manifest's calibration: the probability above which a place of the map is outlined. Where it stands the network
#: outlines, and its own probability is that of the place that it is surest of.
OUTLINE_LEVEL = "outline_level"
#: The classes of such a network, which says nothing of what it outlines.
OUTLINED = ("nothing_outlined", "outlined")
#: Regions of fewer pixels of the map, or narrower, stay in the mask and are no finding.
_SMALLEST_REGION, _LEAST_SIDE = 16, 2
_MOST_FINDINGS = 5
#: Mean difference of an image's largest and smallest channel.
COLOUR = "colour"
_HEATMAP_LONGEST = 512


def only_outlines(manifest: ModelManifest) -> bool:
    """Whether it outlines and says nothing of what: other networks may outline as well as classify."""
    return manifest.classes == OUTLINED


def input_shape(manifest: ModelManifest) -> tuple[int, ...]:
    """See `inference.runtime.pipelines.Pipeline`."""
    if is_packed(manifest.preprocessing):
        return packed_shape(manifest.preprocessing)
    height, width = sizes_of(manifest.preprocessing)[-1]
    return (1, height, width, 3) if is_rgb(manifest.preprocessing) else (1, 1, height, width)


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> StudyFinding:
    """See `inference.runtime.analyse.analyse`."""
    images = analyse_images(request, Asked(manifest, forward, save, clock), _read, _answer, _MOST_FINDINGS)
    positive = manifest.positive_class
    return most_suspicious(images, lambda image: (image.probabilities[positive],), positive)


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
    """What the image's answer needs of one frame: `heat` h×w in 0–1 and where it lies, None where the network puts no
    map out."""

    logits: NDArray[np.float64]
    probabilities: dict[str, float]
    seen: dict[str, float]
    heat: Map | None
    place: Placement | None


def _read(pixels: Pixels, scale: Scale, asked: Asked) -> FrameFinding[_Frame]:
    manifest, clock = asked.manifest, asked.clock
    with clock.measure("preprocess_ms"):
        looked = looked_at(pixels, manifest.preprocessing)
        canvas = working_canvas(looked, manifest.preprocessing)
        tensor = (
            steps_of(manifest).tensor(looked) if has_steps(manifest.preprocessing) else network_input(canvas)
        )
        colour = quality.colourfulness(pixels.display()) if pixels.values.ndim == 3 else 0.0
        seen = statistics(canvas, colour)
    outputs = clock.run(asked.forward, tensor).outputs
    with clock.measure("postprocess_ms"):
        logits = outputs[LOGITS][0].astype(np.float64)
        shares = softmax(logits / manifest.calibration["temperature"])
        probabilities = {name: round(float(p), 6) for name, p in zip(manifest.classes, shares, strict=True)}
        heat, place = None, None
        findings: tuple[Finding, ...] = ()
        if MAP in outputs:
            heat = sigmoid(outputs[MAP][0, 0])
            place = placement_of(
                pixels.columns, pixels.rows, {**manifest.preprocessing, "sizes": [heat.shape]}
            )
            findings = _findings(heat, manifest.calibration.get(OUTLINE_LEVEL), place, scale)
        shorter = min(pixels.columns, pixels.rows)
        return FrameFinding(
            (probabilities[manifest.positive_class],),
            flags_of(probabilities, seen, shorter, manifest),
            findings,
            _Frame(logits, probabilities, seen, heat, place),
        )


def _answer(index: int, frame: _Frame, asked: Asked) -> ImageAnswer:
    scores = zip(asked.manifest.classes, frame.logits, strict=True)
    mask, heatmap = _maps(index, frame, asked)
    return ImageAnswer(
        probabilities=frame.probabilities,
        scores={name: round(float(value), 5) for name, value in scores},
        descriptors={name: round(value, 4) for name, value in frame.seen.items()},
        mask=mask,
        heatmap=heatmap,
    )


def _maps(index: int, frame: _Frame, asked: Asked) -> tuple[str | None, str | None]:
    """Mask and heat map, saved: all that is outlined, where the network outlines; and where its own map speaks for the
    positive class."""
    if frame.heat is None or frame.place is None:
        return None, None
    mask, level = None, asked.manifest.calibration.get(OUTLINE_LEVEL)
    if level is not None:
        outlined = frame.place.map_to_image((frame.heat > level).astype(np.float32)) >= 0.5
        mask = asked.save(f"image-{index}.mask.png", png_of(outlined))
    shown = frame.place.map_to_image(frame.heat, longest=_HEATMAP_LONGEST)
    return mask, asked.save(f"image-{index}.heatmap.png", png_of(shown))


def _findings(heat: Map, level: float | None, place: Placement, scale: Scale) -> tuple[Finding, ...]:
    """A finding an outlined region, where the network outlines; its score is the mean probability inside, which is none
    of malignancy."""
    if level is None:
        return ()
    found = []
    for region in regions_above(heat, float(np.nextafter(level, 1)), _SMALLEST_REGION, _LEAST_SIDE):
        polygon = tuple(place.point_to_image(x, y) for x, y in region.outline())
        box = clipped_box(place.box_to_image(region.box), place.image_width, place.image_height)
        if box is not None:
            rounded = tuple((round(x, 2), round(y, 2)) for x, y in polygon)
            found.append(
                Finding(
                    label="mass",
                    score=round(region.mean, 6),
                    box=box,
                    polygon=rounded if len(polygon) > 2 else None,
                    descriptors=shape_descriptors(polygon, scale),
                )
            )
    return tuple(sorted(found, key=lambda finding: -finding.score))
