"""What a DICOM header says of one frame's greys (PS3.3 C.11, C.7.6.16.2.9, C.7.6.16.2.10), as `Grayscale`.

A frame's own functional group goes before the shared one, that before the data set itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from imaging import stored_values
from imaging.description import Window
from imaging.dicom_frames import PixelFormat
from imaging.dicom_values import each_number, items, number, text
from imaging.errors import DamagedFile
from imaging.grayscale import MAX_ENTRIES, MAX_OFFERED, Grayscale, Lut

_FUNCTIONS: dict[str, Any] = {"LINEAR": "LINEAR", "LINEAR_EXACT": "LINEAR_EXACT", "SIGMOID": "SIGMOID"}


def grayscale_of(header: Dataset, form: PixelFormat, frame: int) -> Grayscale:
    """Everything between the stored values of `frame` and the screen.

    Raises
    ------
    DamagedFile
        A look-up table that is shorter than it says, or of no known form.
    """
    stored = min(form.bits_stored, 16)
    lowest = -(2 ** (stored - 1)) if form.signed else 0
    highest = lowest + 2**stored - 1
    transforms = _sources(header, frame, "PixelValueTransformationSequence")
    slope, intercept = _rescale(transforms)
    modality = None
    if transforms[0] is header:
        tables = items(header, "ModalityLUTSequence")[:1]
        modality = _lut(tables[0], lowest, highest) if tables else None
    ends = (slope * lowest + intercept, slope * highest + intercept)
    if modality is not None:
        ends = (float(modality.entries.min()), float(modality.entries.max()))
    voi = _voi_source(header, frame)
    return Grayscale(
        lowest=lowest,
        highest=highest,
        slope=slope,
        intercept=intercept,
        modality=modality,
        padding=_padding(header, form),
        windows=_windows(voi),
        luts=tuple(_lut(item, min(ends), max(ends)) for item in items(voi, "VOILUTSequence")[:MAX_OFFERED]),
        inverted=is_inverted(header, form),
        whole_range=form.bits_allocated <= 8,
        several_frames=form.frames > 1,
        frames_differ=form.frames > 1 and _groups_differ(header),
    )


def is_inverted(header: Dataset, form: PixelFormat) -> bool:
    """Whether the lowest value is white: Presentation LUT Shape (PS3.3 C.11.6), else MONOCHROME1 (C.7.6.3.1.2).

    The two must agree (C.8.11.3.1.2). Where they do not, the shape is what was written for the display, as in DCMTK.
    """
    shape = (text(header, "PresentationLUTShape") or "").upper()
    if shape in ("IDENTITY", "INVERSE"):
        return shape == "INVERSE"
    return form.photometric == "MONOCHROME1"


def check_frames(header: Dataset, form: PixelFormat) -> None:
    """See that the greys of every frame can be had, where frames have entries of their own.

    Raises
    ------
    DamagedFile
        As `grayscale_of`.
    """
    if form.frames > 1 and _groups_differ(header):
        for frame in range(form.frames):
            grayscale_of(header, form, frame)


def _groups_differ(header: Dataset) -> bool:
    return any(
        items(group, sequence)
        for group in items(header, "PerFrameFunctionalGroupsSequence")
        for sequence in ("PixelValueTransformationSequence", "FrameVOILUTSequence")
    )


def _sources(header: Dataset, frame: int, sequence: str) -> list[Dataset]:
    """Where the macro of this sequence may be given, the most particular first; the data set itself is the last."""
    own: Any = header.get("PerFrameFunctionalGroupsSequence") or ()
    groups = [own[frame]] if frame < len(own) else []
    groups += items(header, "SharedFunctionalGroupsSequence")[:1]
    return [*(item for group in groups for item in items(group, sequence)[:1]), header]


def _rescale(sources: list[Dataset]) -> tuple[float, float]:
    for source in sources:
        slope, intercept = number(source, "RescaleSlope"), number(source, "RescaleIntercept")
        if slope is not None or intercept is not None:
            # A slope of nothing is a device's way of saying that there is none.
            return _sensible(slope) or 1.0, _sensible(intercept) or 0.0
    return 1.0, 0.0


def _sensible(value: float | None) -> float | None:
    return value if value is not None and 1e-12 < abs(value) < 1e12 else None


def _voi_source(header: Dataset, frame: int) -> Dataset:
    for source in _sources(header, frame, "FrameVOILUTSequence"):
        if _windows(source) or items(source, "VOILUTSequence"):
            return source
    return header


def _windows(source: Dataset) -> tuple[tuple[str, Window], ...]:
    """The usable windows with their explanations (PS3.3 C.11.2.1.2)."""
    centres, widths = each_number(source, "WindowCenter"), each_number(source, "WindowWidth")
    names = _texts(source, "WindowCenterWidthExplanation")
    function = _FUNCTIONS.get((text(source, "VOILUTFunction") or "").upper(), "LINEAR")
    found = []
    for index, (centre, width) in enumerate(zip(centres, widths, strict=False)):
        # One that is no window takes no other with it.
        if centre is not None and width is not None and 0 < width < 1e12 and abs(centre) < 1e12:
            name = names[index] if index < len(names) and names[index] else str(index + 1)
            found.append((name, Window(centre=centre, width=width, function=function)))
    return tuple(found[:MAX_OFFERED])


def _texts(source: Dataset, keyword: str) -> list[str]:
    return [each.strip()[:64] for each in (text(source, keyword, 1024) or "").split("\\")]


def _padding(header: Dataset, form: PixelFormat) -> tuple[int, int] | None:
    """Pixel Padding Value, and Range Limit where it is a range (PS3.3 C.7.5.1.1.2): both ends belong to it."""
    values = _words(header, "PixelPaddingValue")[:1]
    if not len(values):
        return None
    given = [int(each) for each in (*values, *_words(header, "PixelPaddingRangeLimit")[:1])]
    ends = [stored_values.as_stored(each, stored=form.bits_stored, signed=form.signed) for each in given]
    return min(ends), max(ends)


def _lut(item: Dataset, lowest: float, highest: float) -> Lut:
    """A table of the header for values from `lowest` to `highest`.

    Its descriptor is three numbers of 16 bits, whose sign the VR does not always tell: the second is taken as what
    makes the table meet the values that it is for.
    """
    descriptor = [int(each) for each in _words(item, "LUTDescriptor")]
    if len(descriptor) != 3:
        raise DamagedFile("A look-up table of the DICOM header is damaged.")
    count = (descriptor[0] & 0xFFFF) or MAX_ENTRIES
    first, bits = descriptor[1], descriptor[2] & 0xFFFF
    if not _meet(first, count, lowest, highest):
        other = (first & 0xFFFF) if first < 0 else first - 0x10000
        first = other if other >= -0x8000 and _meet(other, count, lowest, highest) else first
    entries = _entries(item, count, bits)
    widest = int(entries.max()).bit_length()
    bits = max(bits, widest) if 1 <= bits <= 16 else max(8, widest)
    return Lut(first, bits, entries, _texts(item, "LUTExplanation")[0])


def _meet(first: int, count: int, lowest: float, highest: float) -> bool:
    return first <= highest and first + count - 1 >= lowest


def _entries(item: Dataset, count: int, bits: int) -> NDArray[np.uint16]:
    """LUT Data as so many numbers: words, or bytes where eight bits an entry were packed (PS3.3 C.11.1.1.2)."""
    words = (_words(item, "LUTData") & 0xFFFF).astype(np.uint16)
    if len(words) < count <= len(words) * 2 and bits <= 8:
        words = words.astype("<u2").view(np.uint8).astype(np.uint16)
    if len(words) < count:
        raise DamagedFile("A look-up table of the DICOM header is shorter than it says.")
    return words[:count]


def _words(dataset: Dataset, keyword: str) -> NDArray[np.int64]:
    """Values of 16 bits, whether the VR (US, SS, OW, OB, UN) made numbers of them or left them as bytes."""
    raw: Any = dataset.get(keyword)
    if isinstance(raw, bytes):
        order = ">" if dataset.original_encoding[1] is False else "<"
        return np.frombuffer(raw + b"\0" * (len(raw) % 2), f"{order}u2").astype(np.int64)
    try:
        return np.atleast_1d(np.asarray([] if raw is None else raw, dtype=np.float64)).astype(np.int64)
    except (ValueError, TypeError, OverflowError):
        return np.zeros(0, np.int64)
