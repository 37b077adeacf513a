"""Which stored files are one slide. Told anew from the rows each time, by the rule of `imaging.slide_parts`, so that it
holds whenever another file arrives and however the files came.

A slide is named by the first file of its finest level, its head; the others belong to it and are no images of their
own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cad_platform.studies import storage
from cad_platform.studies.models import Instance, Slide
from imaging.description import ImageFacts, SlideGeometry, SlidePart
from imaging.slide_parts import SlideFile, magnification_remark, slides_of


@dataclass(frozen=True)
class StudySlide:
    """A slide of a study: all its files, those of the finest level first."""

    files: tuple[Instance, ...]
    missing: tuple[str, ...] = ()
    """Sentences: parts that have not arrived."""

    @property
    def head(self) -> Instance:
        return self.files[0]

    @property
    def tag(self) -> str:
        """A name that changes with every file of the slide; that of the file where there is one."""
        hashes = sorted(file.file_id for file in self.files)
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    @property
    def levels(self) -> list[dict[str, float]]:
        """From fine to coarse."""
        parts = [part for file in self.files if (part := part_of(file)) is not None]
        if not parts:
            own = getattr(self.head, "slide", None)
            return list(own.levels) if own is not None else []
        sizes = dict.fromkeys((part.columns, part.rows) for part in parts)
        widest, highest = next(iter(sizes))
        return [
            {
                "width": columns,
                "height": rows,
                "downsample": max(1.0, (widest / columns + highest / rows) / 2),
            }
            for columns, rows in sizes
        ]

    @property
    def focal_planes_um(self) -> list[float]:
        """Heights above the glass that the finest level was scanned at."""
        return sorted({height for part in self._finest() for height in part.focal_planes_um}) or [0.0]

    @property
    def optical_paths(self) -> list[str]:
        """Names of the finest level's optical paths, in order."""
        return list(dict.fromkeys(name for part in self._finest() for name in part.optical_paths)) or [""]

    @property
    def remarks(self) -> list[str]:
        """Sentences that a reader should know: what is missing, and a scale that contradicts the magnification."""
        own = getattr(self.head, "slide", None)
        power = own.objective_power if own is not None else None
        contradiction = magnification_remark(self.head.pixel_spacing_um, power)
        return [*self.missing, *filter(None, [contradiction])]

    def _finest(self) -> list[SlidePart]:
        parts = [part for file in self.files if (part := file.image_facts.slide_part) is not None]
        return [part for part in parts if (part.columns, part.rows) == (parts[0].columns, parts[0].rows)]

    @contextmanager
    def opened(self) -> Iterator[list[Path]]:
        """Local paths of all its files, valid inside the block.

        Raises
        ------
        Unavailable
            The storage does not answer, or a file is missing from it.
        """
        with ExitStack() as stack:
            yield [stack.enter_context(storage.open(file.file_id)) for file in self.files]


def part_of(instance: Instance) -> SlidePart | None:
    """What the file says of its part in a slide of several files; None for everything else."""
    # A slide in TIFF is whole by itself, whatever else was posted with it.
    return instance.image_facts.slide_part if instance.sop_class_uid else None


def arrange(instances: Iterable[Instance]) -> list[Instance]:
    """The images among a study's files, in their order: every slide once, by its head; labels, overviews and
    thumbnails of slides not at all."""
    instances = list(instances)
    volumes = [
        SlideFile(instance, str(instance.series_id), part)
        for instance in instances
        if (part := part_of(instance)) is not None
    ]
    heads: dict[Instance, StudySlide] = {}
    for group in slides_of(volumes):
        heads[group.keys[0]] = StudySlide(group.keys, group.missing)
    parts = {file.key for file in volumes if file.part.tiled or file.part.role != "volume"}
    kept = [instance for instance in instances if instance in heads or instance not in parts]
    for instance in kept:
        instance.whole_slide = heads.get(instance)
    return kept


def slide_of(instance: Instance) -> StudySlide:
    """The slide that an image is, or that its file belongs to. An image that is no slide is a slide of one file."""
    known: StudySlide | None = instance.whole_slide
    if known is not None or part_of(instance) is None:
        return known or StudySlide((instance,))
    siblings = Instance.objects.filter(
        series__study_id=instance.series.study_id, sop_class_uid=instance.sop_class_uid
    ).select_related("slide", "file", "series")
    for head in arrange(list(siblings.order_by("number", "id"))):
        found: StudySlide | None = head.whole_slide
        if found is not None and instance in found.files:
            break
    else:
        found = StudySlide((instance,))
    instance.whole_slide = found
    return found


def keep_geometry(instance: Instance, geometry: SlideGeometry) -> None:
    """The pyramid of a file of a slide, in its row."""
    Slide.objects.update_or_create(
        instance=instance,
        defaults={
            "mpp_x": geometry.mpp[0] if geometry.mpp else None,
            "mpp_y": geometry.mpp[1] if geometry.mpp else None,
            "objective_power": geometry.objective_power,
            "levels": [
                {"width": level.columns, "height": level.rows, "downsample": level.downsample}
                for level in geometry.levels
            ],
        },
    )


def kept_back_role(facts: ImageFacts) -> str:
    """`label`, `overview` or `thumbnail` where the file is that of a slide, pictures that carry names and are no tissue
    to read; else empty."""
    part = facts.slide_part
    return part.role if part is not None and part.role != "volume" else ""


def is_kept_back(instance: Instance) -> bool:
    """Whether the file is a slide's label, overview or thumbnail."""
    return bool(kept_back_role(instance.image_facts))
