"""How large a stored pixel is, and where nobody knows.

Row and column spacing stay apart; an ultrasound picture has a spacing for each region (PS3.3 C.8.5.5); a projection
radiograph is measured at the detector and divided by its magnification unless it was calibrated (PS3.3 10.7). What the
file leaves open is left open: no length is better than a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydicom.dataset import Dataset

from imaging.description import Region, ScaleRemark, Spacing
from imaging.dicom_header import functional_groups, groups_with
from imaging.dicom_values import integer, items, number, numbers, text
from imaging.dicom_views import spelled

#: What a stored pixel of an image may measure, in micrometres: from a slide at 40× in oil to the coarsest overview.
#: Radiographs and ultrasound are never finer than 1 µm nor coarser than 5 mm; absurd numbers are refused with a remark.
PLAUSIBLE_UM = (0.01, 10_000.0)
PLAUSIBLE_RADIOLOGY_UM = (1.0, 5_000.0)
#: Focus to detector over focus to breast. Magnification views reach 2; beyond 10 it is no factor.
_PLAUSIBLE_MAGNIFICATION = (0.99, 10.0)
#: Up to here a Pixel Spacing that does not say whether it was corrected is off by no more than a contact view's factor.
_CONTACT_MAGNIFICATION = 1.1
#: By so much a stated factor and that of the distances may differ: one is to the skin, the other to the lesion.
_SAME_MAGNIFICATION = 0.15
_SLIDE_STORAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_MAGNIFICATION_CODES = frozenset({"399163009", "R-102D6"})
_MAX_REGIONS = 64


@dataclass(frozen=True)
class Scale:
    """How large the stored pixels are.

    Attributes
    ----------
    spacing_um
        (x, y) of the whole picture; None where nobody knows, or where regions differ.
    source
        The attribute that it was taken from.
    regions
        Parts with a calibration of their own, those that lie on top first: the first that holds a point counts.
    pixel_aspect
        The height of a pixel over its width where only that is known (Pixel Aspect Ratio), else None.
    remarks
        What was refused or left open, and why.
    """

    spacing_um: Spacing | None = None
    source: str | None = None
    regions: tuple[Region, ...] = ()
    pixel_aspect: float | None = None
    remarks: tuple[ScaleRemark, ...] = ()


@dataclass
class _Findings:
    """What is noticed on the way."""

    limits: tuple[float, float]
    remarks: list[ScaleRemark] = field(default_factory=list)

    def spacing(self, keyword: str, values: list[float], divisor: float = 1.0) -> Spacing | None:
        """(row spacing, column spacing) in mm to (x, y) in µm; None, with a remark, where no image could have it."""
        if not values:
            return None
        low, high = self.limits
        if len(values) == 2:
            y, x = (value * 1000 / divisor for value in values)
            if low <= x <= high and low <= y <= high:
                return x, y
        self.remarks.append(_implausible(keyword, values))
        return None

    def add(self, code: Any, attribute: str = "", value: str = "") -> None:
        self.remarks.append(ScaleRemark(code=code, attribute=attribute, value=value))


def _implausible(keyword: str, millimetres: list[float]) -> ScaleRemark:
    value = " × ".join(f"{value:.4g} mm" for value in millimetres[:2])
    return ScaleRemark(code="implausible_spacing", attribute=keyword, value=value)


def implausible(keyword: str, spacing_um: Spacing) -> ScaleRemark:
    """The remark on an (x, y) spacing that a picture of its kind cannot have."""
    return _implausible(keyword, [spacing_um[1] / 1000, spacing_um[0] / 1000])


def scale_of(dataset: Dataset) -> Scale:
    """The scale of the image as its header gives it; see the module."""
    is_slide = text(dataset, "SOPClassUID") == _SLIDE_STORAGE
    found = _Findings(PLAUSIBLE_UM if is_slide else PLAUSIBLE_RADIOLOGY_UM)
    regions = _regions(dataset, found)
    # Where regions speak, what is said of the whole picture is not true of them: a Doppler trace measures no lengths.
    spacing, source = _of_regions(regions) if regions else _of_picture(dataset, found)
    return Scale(
        spacing_um=spacing,
        source=source,
        regions=tuple(regions),
        pixel_aspect=None if spacing or regions else _aspect(dataset),
        remarks=tuple(dict.fromkeys(found.remarks)),
    )


# --- the whole picture ---------------------------------------------------------------------------------


def _of_picture(dataset: Dataset, found: _Findings) -> tuple[Spacing | None, str | None]:
    projected = _projected(dataset, found)
    if projected is not None:
        return projected
    of_frames = [
        spacing
        for group in groups_with(dataset, "PixelMeasuresSequence")
        for measures in items(group, "PixelMeasuresSequence")[:1]
        if (spacing := found.spacing("PixelMeasuresSequence", numbers(measures, "PixelSpacing")))
    ]
    if of_frames and not all(_is_same(spacing, of_frames[0]) for spacing in of_frames):
        found.add("frames_differ", "PixelMeasuresSequence")
        return None, None
    if of_frames:
        return of_frames[0], "PixelMeasuresSequence"
    width, height = number(dataset, "ImagedVolumeWidth"), number(dataset, "ImagedVolumeHeight")
    columns, rows = integer(dataset, "TotalPixelMatrixColumns"), integer(dataset, "TotalPixelMatrixRows")
    if width and height and columns and rows:
        spacing = found.spacing("ImagedVolumeWidth", [height / rows, width / columns])
        # A slide's pixels are square; a volume that says otherwise was not measured.
        if spacing and 0.9 < spacing[0] / spacing[1] < 1.1:
            return spacing, "ImagedVolumeWidth"
    return None, None


def _projected(dataset: Dataset, found: _Findings) -> tuple[Spacing | None, str | None] | None:
    """Pixel Spacing and the spacing at detector or film, weighed as PS3.3 10.7 says. None where there is neither."""
    magnification = _magnification(dataset, found)
    calibrated = found.spacing("PixelSpacing", numbers(dataset, "PixelSpacing"))
    detector, keyword = None, ""
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        detector = found.spacing(keyword, numbers(dataset, keyword))
        if detector:
            break
    if calibrated and detector and not _is_same(calibrated, detector):
        return calibrated, "PixelSpacing"
    if calibrated and not detector:
        if text(dataset, "PixelSpacingCalibrationType"):
            return calibrated, "PixelSpacing"
        if not _is_plain(magnification, dataset):
            found.add("magnification_unknown", "PixelSpacing")
            return None, None
        if (magnification.factor or 1.0) <= _CONTACT_MAGNIFICATION:
            return calibrated, "PixelSpacing"
        found.add("correction_unknown", "PixelSpacing", f"{magnification.factor:.3g}")
        return None, None
    if detector is None:
        return None
    if not _is_plain(magnification, dataset):
        found.add("magnification_unknown", keyword)
        return None, None
    factor = magnification.factor or 1.0
    return (detector[0] / factor, detector[1] / factor), keyword


def _is_same(one: Spacing, other: Spacing) -> bool:
    return all(abs(a - b) <= 0.001 * b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class _Magnification:
    """The factor of the header, None where it gives none; and whether what it gives contradicts itself."""

    factor: float | None = None
    contradicts: bool = False


def _is_plain(magnification: _Magnification, dataset: Dataset) -> bool:
    """Whether the factor is known: it does not contradict itself, and a magnification view has one of its own."""
    if magnification.contradicts:
        return False
    return (magnification.factor or 1.0) > _CONTACT_MAGNIFICATION or not _is_magnified(dataset)


def _magnification(dataset: Dataset, found: _Findings) -> _Magnification:
    """The factor from the attribute of that name, else from the distances; of the header or its functional groups.

    A stated factor stands beside distances of a contact view, which some devices give to the table. Distances of a
    magnification view beside another factor, or one left at 1, leave it open.
    """
    low, high = _PLAUSIBLE_MAGNIFICATION
    for place in (dataset, *_geometry(dataset)):
        stated = number(place, "EstimatedRadiographicMagnificationFactor")
        detector, breast = number(place, "DistanceSourceToDetector"), number(place, "DistanceSourceToPatient")
        measured = detector / breast if detector and breast and breast > 0 else None
        factors = []
        for name, factor in (
            ("EstimatedRadiographicMagnificationFactor", stated),
            ("DistanceSourceToPatient", measured),
        ):
            if factor is not None and low <= factor <= high:
                factors.append(factor)
            elif factor is not None:
                found.add("implausible_magnification", name, f"{factor:.3g}")
        if factors:
            first, last = factors[0], factors[-1]
            apart = abs(last - first) > _SAME_MAGNIFICATION * first
            return _Magnification(first, contradicts=apart and last > _CONTACT_MAGNIFICATION)
    return _Magnification()


def _geometry(dataset: Dataset) -> list[Dataset]:
    """The functional groups' items in which enhanced objects keep distances (PS3.3 C.8.19.6.13, C.8.21.3)."""
    return [
        item
        for group in functional_groups(dataset)
        for sequence in ("XRayGeometrySequence", "XRay3DAcquisitionSequence", "BreastXRayAcquisitionSequence")
        for item in items(group, sequence)
    ]


def _is_magnified(dataset: Dataset) -> bool:
    """Whether a view modifier says "magnification", wherever the object keeps it, or View Position does (RMLO MAG)."""
    views = items(dataset, "ViewCodeSequence")
    for group in functional_groups(dataset):
        views += items(group, "ViewCodeSequence")
    written = spelled(text(dataset, "ViewPosition") or "")
    return (written is not None and "M" in written.modifiers) or any(
        text(modifier, "CodeValue") in _MAGNIFICATION_CODES
        for view in views
        for modifier in items(view, "ViewModifierCodeSequence")
    )


def _aspect(dataset: Dataset) -> float | None:
    """The height of a pixel over its width (0028,0034)."""
    values = numbers(dataset, "PixelAspectRatio")
    if len(values) == 2 and values[0] > 0 and values[1] > 0 and 0.05 <= values[0] / values[1] <= 20:
        return values[0] / values[1]
    return None


# --- ultrasound ----------------------------------------------------------------------------------------

_KINDS: dict[int, Literal["2d", "m_mode", "doppler", "other"]] = {1: "2d", 2: "m_mode", 3: "doppler"}
_CENTIMETRES = 3


def _regions(dataset: Dataset, found: _Findings) -> list[Region]:
    rows, columns = integer(dataset, "Rows") or 0, integer(dataset, "Columns") or 0
    placed: list[tuple[int, Region]] = []
    for item in items(dataset, "SequenceOfUltrasoundRegions")[:_MAX_REGIONS]:
        corners = [integer(item, f"RegionLocation{name}") for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
        x0, y0, x1, y1 = (-1 if corner is None else corner for corner in corners)
        x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(columns, x1 + 1), min(rows, y1 + 1)
        if x1 - x0 < 2 or y1 - y0 < 2:
            found.add("region_outside", "SequenceOfUltrasoundRegions")
            continue
        kind = _KINDS.get(integer(item, "RegionSpatialFormat") or 0, "other")
        low_priority = (integer(item, "RegionFlags") or 0) & 1
        placed.append(
            (low_priority, Region(x0=x0, y0=y0, x1=x1, y1=y1, kind=kind, spacing_um=_delta(item, found)))
        )
    # Region Flags, bit 0: which of two that overlap is on top (PS3.3 C.8.5.5.1.3).
    return [
        region
        for priority in (0, 1)
        for region in _insets_first([region for low_priority, region in placed if low_priority == priority])
    ]


def _insets_first(regions: list[Region]) -> list[Region]:
    """A region within another lies on top of it, whichever the file names first: nothing else could be seen of it."""
    ordered: list[Region] = []
    for region in regions:
        around = (place for place, other in enumerate(ordered) if _is_within(region, other))
        ordered.insert(next(around, len(ordered)), region)
    return ordered


def _is_within(region: Region, other: Region) -> bool:
    return (
        other.x0 <= region.x0 and other.y0 <= region.y0 and region.x1 <= other.x1 and region.y1 <= other.y1
    ) and (region.x0, region.y0, region.x1, region.y1) != (other.x0, other.y0, other.x1, other.y1)


def _delta(item: Dataset, found: _Findings) -> Spacing | None:
    """µm per pixel where both axes are lengths; a Doppler trace's are times and speeds (PS3.3 C.8.5.5.1.15)."""
    units = [integer(item, f"PhysicalUnits{axis}Direction") for axis in "XY"]
    dx, dy = number(item, "PhysicalDeltaX"), number(item, "PhysicalDeltaY")
    if units != [_CENTIMETRES, _CENTIMETRES] or dx is None or dy is None:
        return None
    return found.spacing("SequenceOfUltrasoundRegions", [abs(dy) * 10, abs(dx) * 10])


def _of_regions(regions: list[Region]) -> tuple[Spacing | None, str | None]:
    """The one spacing that all calibrated regions share."""
    spacings = [region.spacing_um for region in regions if region.spacing_um]
    same = bool(spacings) and all(_is_same(spacing, spacings[0]) for spacing in spacings)
    return (spacings[0] if same else None), "SequenceOfUltrasoundRegions" if spacings else None
