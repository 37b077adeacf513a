"""Which files are one slide: levels, focal planes, optical paths and the parts of concatenations, put together.

Pure functions over what every file says of itself (`SlidePart`), so that the platform asks them of rows and the reader
of open files, and both mean the same slide. Order of the files never matters.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from imaging.description import SlidePart

K = TypeVar("K", bound=Hashable)

#: Levels of one pyramid show the same field; rounding to whole pixels and tiles moves its edge a little.
_SAME_EXTENT = 0.03
_EDGE_PIXELS = 2


#: A 40× scan has about 0.25 µm per pixel, a 20× one 0.5; a factor of more than this between the two is an error.
_UM_TIMES_POWER, _CONTRADICTION = 10.0, 1.7


def magnification_remark(um_per_px: float | None, power: float | None) -> str:
    """A sentence where µm per pixel and the objective's magnification contradict each other, else empty."""
    if not um_per_px or not power:
        return ""
    if 1 / _CONTRADICTION < um_per_px * power / _UM_TIMES_POWER < _CONTRADICTION:
        return ""
    return (
        f"The slide says {power:g}× and {um_per_px:.3g} µm per pixel; {power:g}× is usually "
        f"{_UM_TIMES_POWER / power:.3g}. One of the two is wrong, and lengths may be."
    )


@dataclass(frozen=True, slots=True)
class SlideFile(Generic[K]):
    """One file: the caller's `key`, the series that it came in, and what it says of itself."""

    key: K
    series: str
    part: SlidePart


@dataclass(frozen=True, slots=True)
class SlideImage(Generic[K]):
    """One image of a slide: a file, or the files of a concatenation in their order."""

    files: tuple[SlideFile[K], ...]

    @property
    def part(self) -> SlidePart:
        return self.files[0].part

    @property
    def sheets(self) -> frozenset[tuple[float, str]]:
        """The focal planes (µm) and optical paths that it shows."""
        return frozenset(
            (height, name)
            for file in self.files
            for height in file.part.focal_planes_um
            for name in file.part.optical_paths
        )

    @property
    def missing(self) -> str:
        """A sentence where parts of the concatenation are not there, else empty."""
        here = {file.part.concatenation.number for file in self.files if file.part.concatenation}
        if not here:
            return ""
        stated = [file.part.concatenation.total for file in self.files if file.part.concatenation]
        total = max([*(number or 0 for number in stated), *here])
        absent = [number for number in range(1, min(total, 10_000) + 1) if number not in here]
        if not absent:
            return ""
        named = ", ".join(str(number) for number in absent[:10]) + (", …" if len(absent) > 10 else "")
        return f"The slide is incomplete: of its {total} parts number {named} is missing."


@dataclass(frozen=True, slots=True)
class SlideGroup(Generic[K]):
    """One slide: its images from fine to coarse."""

    images: tuple[SlideImage[K], ...]

    @property
    def keys(self) -> tuple[K, ...]:
        """Of all its files, those of the finest level first."""
        return tuple(file.key for image in self.images for file in image.files)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(sentence for image in self.images if (sentence := image.missing))


def images_of(files: Sequence[SlideFile[K]]) -> list[SlideImage[K]]:
    """Files as images, concatenations joined in the order of their parts; from fine to coarse.

    A part that came twice counts once.
    """
    joined: dict[object, dict[int, SlideFile[K]]] = {}
    for position, file in enumerate(files):
        cut = file.part.concatenation
        # Parts of one image have its size; a UID that two images share names neither.
        name = position if cut is None else (cut.uid, file.part.columns, file.part.rows)
        joined.setdefault(name, {}).setdefault(1 if cut is None else cut.number, file)
    images = [SlideImage(tuple(parts[number] for number in sorted(parts))) for parts in joined.values()]
    return sorted(images, key=_fine_to_coarse)


def slides_of(files: Sequence[SlideFile[K]]) -> list[SlideGroup[K]]:
    """The slides that tiled volumes make; labels, overviews, thumbnails and frames without places are in none.

    Files are one slide where they share a Pyramid UID, else the series and the container, show the same field, and
    none shows the same focal plane and optical path in the same size as another.

    Parameters
    ----------
    files
        All files of a study, in any order.

    Returns
    -------
    list of SlideGroup
        In the order in which the files of their finest levels came.
    """
    volumes = [file for file in files if file.part.role == "volume" and file.part.tiled]
    groups: list[list[SlideImage[K]]] = []
    for image in images_of(volumes):
        candidates = [group for group in groups if _belongs(image, group)]
        if len(candidates) > 1:
            # Two scans of one glass alike in size: only what names its scan is a level of it.
            candidates = [group for group in candidates if _same_scan(image, group)]
        if len(candidates) == 1:
            candidates[0].append(image)
        else:
            groups.append([image])
    order = {file.key: position for position, file in enumerate(files)}
    made = [SlideGroup(tuple(group)) for group in groups]
    return sorted(made, key=lambda group: min(order[file.key] for file in group.images[0].files))


def _fine_to_coarse(image: SlideImage[K]) -> tuple[float, float, bool]:
    part = image.part
    spacing = sum(part.um_per_px) / 2 if part.um_per_px else 0.0
    return (-float(part.columns * part.rows), spacing, part.resampled)


def _belongs(image: SlideImage[K], group: Sequence[SlideImage[K]]) -> bool:
    part, finest = image.part, group[0].part
    same_pyramid = any(part.pyramid and part.pyramid == other.part.pyramid for other in group)
    if not same_pyramid:
        near = image.files[0].series == group[0].files[0].series
        same_frame = bool(part.frame_of_reference) and part.frame_of_reference == finest.frame_of_reference
        if part.container != finest.container or not (near or (part.container and same_frame)):
            return False
        if not _same_field(part, finest):
            return False
        of_other_pyramids = [o for o in group if o.part.pyramid and part.pyramid]
        if any(image.sheets & other.sheets for other in of_other_pyramids):
            return False
    return not any(
        (other.part.columns, other.part.rows) == (part.columns, part.rows) and image.sheets & other.sheets
        for other in group
    )


def _same_scan(image: SlideImage[K], group: Sequence[SlideImage[K]]) -> bool:
    part, finest = image.part, group[0].part
    if part.pyramid or finest.pyramid:
        return part.pyramid == finest.pyramid
    same_series = image.files[0].series == group[0].files[0].series
    return (
        same_series and bool(part.frame_of_reference) and part.frame_of_reference == finest.frame_of_reference
    )


def _same_field(part: SlidePart, finest: SlidePart) -> bool:
    """Whether two sizes of picture can be the same field, seen at two resolutions."""
    if part.um_per_px and finest.um_per_px and not (part.resampled and part.um_per_px == finest.um_per_px):
        wide = [
            (p.columns * p.um_per_px[0], _EDGE_PIXELS * p.um_per_px[0]) for p in (part, finest) if p.um_per_px
        ]
        high = [
            (p.rows * p.um_per_px[1], _EDGE_PIXELS * p.um_per_px[1]) for p in (part, finest) if p.um_per_px
        ]
        return all(
            abs(a - b) <= max(_SAME_EXTENT * max(a, b), edge_a, edge_b)
            for (a, edge_a), (b, edge_b) in (wide, high)
        )
    # A level that gives the finest level's spacing, or none, is told by its shape.
    across, down = finest.columns / part.columns, finest.rows / part.rows
    slack = _EDGE_PIXELS / min(part.columns, part.rows)
    return abs(across - down) <= (_SAME_EXTENT + slack) * max(across, down)
