"""Histopathology: a photograph or a whole slide as fields of 0.2 mm at 4 µm per pixel.

Memory stays bounded: the slide comes in strips, a strip is cut into fields, tissue is kept, fields go to the
network a hundred at a time, and only one number a field stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging import sandbox
from imaging.description import Description
from inference.contract import (
    AnalysisRequest,
    Finding,
    Flag,
    ImageReference,
    ImageResult,
    ModelManifest,
    NotApplicable,
)
from inference.runtime import quality
from inference.runtime.budget import Array, afford
from inference.runtime.calibration import Platt, softmax
from inference.runtime.forward import Forward, Save
from inference.runtime.geometry import Map
from inference.runtime.histopathology.preprocessing import (
    FIELD_PX,
    MIN_TISSUE,
    UM_PER_PX,
    Rgb,
    field_origins,
    resample,
    tissue_share,
)
from inference.runtime.regions import clipped_box, png_of, regions_above
from inference.runtime.scale import scale_of
from inference.runtime.study import (
    Clock,
    StudyFinding,
    absolute,
    decoding,
    describe,
    each_image,
    files_of,
    judged,
    refuse,
    undecided,
)

CLASSES = ("not_idc", "idc")
#: About a second's work on one core: so soon an analysis gives way.
FIELDS_PER_CALL = 128
STRIP_ROWS = 20 * FIELD_PX
_STRIP_BYTES = 96 * 1024**2
#: Bytes for a stored pixel of a photograph while it is decoded and made RGB, and for one at 4 µm; measured.
_STORED_BYTES, _FIELD_BYTES = 7, 6
#: What a stated resolution may make of an image: the largest sections are on slides of 150 × 100 mm. A photograph is in
#: memory as a whole, 256 MB of it at 4 µm.
_SLIDE_MM2, _STILL_MM2, _LONGEST_MM = 20_000.0, 1_400.0, 250.0
#: x and y of scanners differ in the third digit.
_SQUARE_WITHIN = 0.05
#: The heat map has one pixel for 40 µm: whole fields are 5×5, and fields pulled inward keep their place.
HEAT_PX = 10
_MIRROR_UP_TO = 64
_MOST_FINDINGS = 20
#: Carcinoma is larger than a field: in an image of many, a field's logit is averaged with its neighbours', in bell
#: shape over half a millimetre.
_BELL = np.array([1, 4, 6, 4, 1], np.float32)
_NEIGHBOURS = np.outer(_BELL, _BELL)


@dataclass
class _Fields:
    """Logits, attention and novelty of the tissue fields, and where they lie, in pixels at 4 µm."""

    places: list[tuple[int, int]]
    logits: list[float]
    attention: list[float]
    distances: list[float]


def input_shape(_: ModelManifest) -> tuple[int, ...]:
    """See `inference.runtime.pipelines.Pipeline`."""
    return (1, FIELD_PX, FIELD_PX, 3)


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> StudyFinding:
    """See `inference.runtime.analyse.analyse`."""
    images = each_image(request, lambda index, image: _section(index, image, manifest, forward, save, clock))
    worst = max(judged(images), key=lambda image: image.probabilities["idc"])
    return StudyFinding(dict(worst.probabilities), images)


def _section(
    index: int, image: ImageReference, manifest: ModelManifest, forward: Forward, save: Save, clock: Clock
) -> ImageResult:
    with clock.measure("decode_ms"):
        source = _open(image, manifest)
    fields, height, width = _read_fields(source, manifest, forward, clock)
    if not fields.logits:
        raise NotApplicable("not analysed: no stained tissue was found in the image")
    with clock.measure("postprocess_ms"):
        calibration = manifest.calibration
        platt = Platt(calibration["slope"], calibration["offset"])
        logits = _with_neighbours(fields)
        score = float(logits @ softmax(np.asarray(fields.attention, np.float64)))
        idc = round(platt(score), 6)
        probabilities = {"not_idc": round(1 - idc, 6), "idc": idc}
        heat = _paint(fields, [platt(float(logit)) for logit in logits], height, width)
        distance = float(np.median(fields.distances))
        flags = [] if distance <= calibration["novelty_limit"] else [Flag.OUT_OF_DISTRIBUTION]
        if source.colour < calibration["colour_low"] and not source.pale and not flags:
            flags.append(Flag.OUT_OF_DISTRIBUTION)
        if source.pale or source.um_per_px > 2 * UM_PER_PX:
            flags.append(Flag.LOW_QUALITY)  # hardly stained, or enlarged more than twofold
        flags += undecided(probabilities, CLASSES, calibration["conformal_level"])
        heatmap = save(f"image-{index}.heatmap.png", png_of(heat))
        # more likely than not, and never below the balanced operating point
        findings = _findings(heat, max(manifest.thresholds["balanced"], 0.5), source)
    return ImageResult(
        image_id=image.image_id,
        probabilities=probabilities,
        scores={"idc": round(score, 5)},
        findings=findings,
        mask=None,
        heatmap=heatmap,
        flags=tuple(flags),
        descriptors={
            "fields": float(len(fields.logits)),
            "tissue_mm2": round(len(fields.logits) * (UM_PER_PX * FIELD_PX / 1000) ** 2, 3),
            "novelty": round(distance, 4),
        },
    )


@dataclass
class _Source:
    """An opened section: its size and resolution as stored, and its strips at 4 µm."""

    width: int
    height: int
    um_per_px: float
    strips: Iterator[tuple[int, Rgb]]
    one_field: bool = False
    pale: bool = False
    colour: float = 0.0


def _open(image: ImageReference, manifest: ModelManifest) -> _Source:
    """Raises `NotApplicable` before anything is allocated whose size follows from the stated resolution."""
    found = describe(image)
    if found.slide is not None:
        # White where tissue may be is no section without tumour.
        refuse("".join(f"not analysed: {sentence}" for sentence in found.slide.missing[:1]))
    um_per_px = um_per_px_of(image, found, manifest)
    if found.kind == "slide":  # in strips of bounded bytes
        width = round(found.columns * um_per_px / UM_PER_PX)
        strips = sandbox.slide_strips(
            files_of(image), UM_PER_PX, rows_per_strip=_rows_of_a_strip(width), native_um_per_px=um_per_px
        )
        return _Source(found.columns, found.rows, um_per_px, strips)
    with decoding():
        pixels = sandbox.read(absolute(image))
    shown = pixels.display()
    rgb = shown if shown.ndim == 3 else np.repeat(shown[:, :, None], 3, axis=2)
    small = resample(np.ascontiguousarray(rgb), um_per_px)
    one_field = small.shape[0] <= FIELD_PX and small.shape[1] <= FIELD_PX
    return _Source(rgb.shape[1], rgb.shape[0], um_per_px, iter([(0, small)]), one_field)


def um_per_px_of(image: ImageReference, found: Description, manifest: ModelManifest) -> float:
    """One number for both directions, since tissue is read with square pixels, after what it makes of the image.

    Raises
    ------
    NotApplicable
        Nothing is said of the resolution, it is outside the model's range, the pixels are not square, or the image
        has more pixels than are read, as stored or at 4 µm, or needs more memory than one image may take.
    """
    spacing = scale_of(image, found).spacing_um
    if spacing is None:
        raise NotApplicable("not analysed: the image's resolution (µm per pixel) is missing")
    refuse(manifest.input.why_not_spacing(spacing))
    x, y = spacing
    if abs(x - y) > _SQUARE_WITHIN * min(x, y):
        raise NotApplicable(f"not analysed: its pixels are not square ({x:.4g} × {y:.4g} µm)")
    if found.kind != "slide":
        refuse(manifest.input.why_not_size(found.columns, found.rows))
    width, height = (side * (x + y) / 2000 for side in (found.columns, found.rows))
    most = _SLIDE_MM2 if found.kind == "slide" else _STILL_MM2
    if width * height > most or max(width, height) > _LONGEST_MM:
        raise NotApplicable(
            f"not analysed: at {x:.4g} µm per pixel it would be {width:.0f} × {height:.0f} mm, "
            f"more than this model reads ({most:.0f} mm²)"
        )
    if found.kind != "slide":
        times = (x + y) / 2 / UM_PER_PX
        afford(
            found.columns, found.rows, spacing,
            Array(found.columns, found.rows, _STORED_BYTES),
            Array(found.columns * times, found.rows * times, _FIELD_BYTES),
        )  # fmt: skip
    return (x + y) / 2


def _rows_of_a_strip(width: int) -> int:
    """Whole fields, as many as `_STRIP_BYTES` hold, at least one and at most `STRIP_ROWS`."""
    fitting = _STRIP_BYTES // (3 * max(1, width)) // FIELD_PX * FIELD_PX
    return max(FIELD_PX, min(STRIP_ROWS, fitting))


def _read_fields(
    source: _Source, manifest: ModelManifest, forward: Forward, clock: Clock
) -> tuple[_Fields, int, int]:
    """All tissue fields of the section; then its height and width in pixels at 4 µm."""
    fields = _Fields([], [], [], [])
    waiting: list[NDArray[np.uint8]] = []
    colours: list[float] = []
    height = width = 0
    mirrored = manifest.preprocessing.get("mirror_up_to_fields", _MIRROR_UP_TO)
    for top, rows, last in _bands(source, clock):
        height, width = max(height, top + rows.shape[0]), rows.shape[1]
        with clock.measure("preprocess_ms"):
            for y in (
                field_origins(rows.shape[0]) if last else range(0, rows.shape[0] - FIELD_PX + 1, FIELD_PX)
            ):
                origins = field_origins(width)
                cut = np.stack([rows[y : y + FIELD_PX, x : x + FIELD_PX] for x in origins])
                kept = tissue_share(cut) >= MIN_TISSUE
                if source.one_field:  # a patch was chosen by whoever cut it: pale fat is an answer too
                    source.pale, kept = not kept.any(), np.ones_like(kept)
                colours += [quality.colourfulness(field) for field in cut[kept]]
                fields.places += [(top + y, x) for x, keep in zip(origins, kept, strict=True) if keep]
                waiting += list(cut[kept])
        while len(waiting) >= FIELDS_PER_CALL:
            _predict(waiting[:FIELDS_PER_CALL], fields, forward, clock)
            del waiting[:FIELDS_PER_CALL]
    few = len(fields.places) <= int(str(mirrored))
    if waiting:
        _predict(waiting, fields, forward, clock, four_ways=few)
    source.colour = float(np.median(colours)) if colours else 0.0
    return fields, height, width


def _bands(source: _Source, clock: Clock) -> Iterator[tuple[int, Rgb, bool]]:
    """Strips joined so that each holds whole fields from its top: (top, rows, is the last)."""
    carried: Rgb | None = None
    top = 0
    for _, strip in _decoded(source, clock):
        joined = strip if carried is None else np.concatenate([carried, strip])
        # one field's height stays back, so that the section's last row can be pulled inward
        whole = max(0, (joined.shape[0] // FIELD_PX - 1) * FIELD_PX)
        if whole:
            yield top, joined[:whole], False
        carried, top = joined[whole:].copy(), top + whole
    if carried is not None:
        yield top, _at_least_one_field(carried), True


def _decoded(source: _Source, clock: Clock) -> Iterator[tuple[int, Rgb]]:
    while True:
        with clock.measure("decode_ms"), decoding():
            strip = next(source.strips, None)
        if strip is None:
            return
        yield strip


def _at_least_one_field(rows: Rgb) -> Rgb:
    """A section smaller than one field is continued in white glass."""
    down, across = max(0, FIELD_PX - rows.shape[0]), max(0, FIELD_PX - rows.shape[1])
    return np.pad(rows, ((0, down), (0, across), (0, 0)), constant_values=255) if down or across else rows


def _predict(
    waiting: list[NDArray[np.uint8]],
    fields: _Fields,
    forward: Forward,
    clock: Clock,
    *,
    four_ways: bool = False,
) -> None:
    batch = np.stack(waiting)
    turned = [batch, batch[:, :, ::-1], batch[:, ::-1], batch[:, ::-1, ::-1]] if four_ways else [batch]
    output = clock.run(forward, np.concatenate(turned)).outputs
    logits = output["logit"].astype(np.float64).reshape(len(turned), len(batch)).mean(axis=0)
    fields.logits += logits.tolist()
    fields.attention += output["attention"][: len(batch)].tolist()
    fields.distances += output["distance"][: len(batch)].tolist()


def _with_neighbours(fields: _Fields) -> NDArray[np.float64]:
    """Every field's logit averaged with those of the tissue around it; a field alone keeps its own."""
    rows, columns = (np.array([-(-place[axis] // FIELD_PX) for place in fields.places]) for axis in (0, 1))
    sums = np.zeros((rows.max() + 1, columns.max() + 1), np.float32)
    there = np.zeros_like(sums)
    sums[rows, columns], there[rows, columns] = fields.logits, 1.0
    around, weight = (
        cv2.filter2D(each, -1, _NEIGHBOURS, borderType=cv2.BORDER_CONSTANT) for each in (sums, there)
    )
    return np.asarray(around[rows, columns] / weight[rows, columns], np.float64)


def _paint(fields: _Fields, probabilities: list[float], height: int, width: int) -> Map:
    """One pixel for 40 µm over the whole section; where fields overlap the higher one shows."""
    heat = np.zeros((-(-height // HEAT_PX), -(-width // HEAT_PX)), np.float32)
    for (y, x), probability in zip(fields.places, probabilities, strict=True):
        block = heat[y // HEAT_PX : (y + FIELD_PX) // HEAT_PX, x // HEAT_PX : (x + FIELD_PX) // HEAT_PX]
        np.maximum(block, probability, out=block)
    return heat


def _findings(heat: Map, level: float, source: _Source) -> tuple[Finding, ...]:
    """Connected fields at or above `level`, in stored pixels of level 0."""
    per_cell = HEAT_PX * UM_PER_PX / source.um_per_px
    found = []
    for region in regions_above(heat, level, 1):
        box = clipped_box(
            tuple(edge * per_cell for edge in region.box),  # type: ignore[arg-type]
            source.width,
            source.height,
        )
        if box is None:
            continue
        area_mm2 = region.area * (HEAT_PX * UM_PER_PX / 1000) ** 2
        found.append(
            (
                region.mean * region.area,
                Finding(
                    label="invasive_carcinoma",
                    score=round(min(1.0, region.mean), 6),
                    box=box,
                    descriptors={"area_mm2": round(area_mm2, 4), "highest": round(min(1.0, region.peak), 4)},
                ),
            )
        )
    largest = sorted(found, key=lambda entry: -entry[0])[:_MOST_FINDINGS]
    return tuple(sorted((finding for _, finding in largest), key=lambda finding: -finding.score))
