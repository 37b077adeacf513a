"""What a stored image looks like: frames, thumbnails, renderings and slide tiles. Who may see it, and that it was seen,
is the matter of `studies.opening`, through which every edge comes by its image.

Decoding happens in sandboxed child processes and its result is kept in the derived cache; a request only waits for it.
"""

from __future__ import annotations

import logging
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from django.conf import settings
from django.db.models import F
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict

from cad_platform.core.errors import Invalid, NotFound, PlatformError, Unavailable
from cad_platform.studies import slides, storage
from cad_platform.studies.derived_cache import DerivedCache
from cad_platform.studies.file_words import file_words
from cad_platform.studies.models import Instance
from cad_platform.studies.sides import Turned
from imaging import sandbox
from imaging.deepzoom import Layout
from imaging.errors import DecoderUnavailable, ImagingError, NoSuchFrame
from imaging.grayscale import Display
from imaging.pixels import Pixels

logger = logging.getLogger(__name__)

#: Longest side of a thumbnail.
THUMBNAIL_PIXELS = 320
#: Names the way frames are derived: changed with it, so that no cache holds what an older version made.
DERIVATION = "v2"

#: Names the way slides are cut into tiles.
_CUT = "2"
#: From about this size on decoding takes a time that a reader notices.
_LARGE_PIXELS = 2_000_000

_LENGTH = struct.Struct("<Q")
_Answer = TypeVar("_Answer")


class FrameFacts(BaseModel):
    """What a viewer must know to show a frame. `shown` is None for colour."""

    model_config = ConfigDict(frozen=True)

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    frames: int
    shown: Display | None


@dataclass
class OpenFrame:
    """A decoded frame: its facts and an open file whose pixels begin at `offset`; its receiver closes it."""

    facts: FrameFacts
    handle: BinaryIO
    offset: int
    size: int


def cache() -> DerivedCache:
    return DerivedCache(settings.DERIVED_CACHE_DIR, settings.DERIVED_CACHE_BYTES)


def frame_tag(instance: Instance, frame: int) -> str:
    """A name that changes with the bytes of a frame: its strong ETag."""
    return f"{instance.file_id}-{frame}-{DERIVATION}"


def open_frame(instance: Instance, frame: int) -> OpenFrame:
    """The decoded frame, from the cache or decoded once for all who wait; its receiver closes it.

    Raises
    ------
    NotFound
        The image has no such frame, or is a slide.
    Invalid
        It cannot be decoded.
    Unavailable
        The decoders are busy, or the storage does not answer.
    StorageFull
        The disk of the cache has no room.
    """
    _require_plain(instance)
    _require_frame(instance, frame)

    def decode(into: Path) -> None:
        with storage.open(instance.file_id) as path, _as_platform_errors():
            _write_frame(sandbox.read(path, frame), into)

    path = cache().file(f"{frame_tag(instance, frame)}.frame", decode)
    handle = path.open("rb")
    try:
        (length,) = _LENGTH.unpack(handle.read(_LENGTH.size))
        facts = FrameFacts.model_validate_json(handle.read(length))
        size = facts.rows * facts.columns * facts.samples * facts.bits_allocated // 8
        return OpenFrame(facts, handle, _LENGTH.size + length, size)
    except BaseException:
        handle.close()
        raise


def large_images(study_id: str) -> list[uuid.UUID]:
    """A study's images whose decoding a reader would notice."""
    images = Instance.objects.filter(series__study_id=study_id).exclude(kind=Instance.Kind.SLIDE)
    large = images.alias(area=F("rows") * F("columns")).filter(area__gte=_LARGE_PIXELS)
    return list(large.values_list("pk", flat=True))


def prepare(instance_id: str) -> bool:
    """Fill the cache with an image's first frame and thumbnail. False where it cannot be decoded, which its
    reader will be told."""
    instance = Instance.objects.select_related("file").get(pk=instance_id)
    try:
        open_frame(instance, 0).handle.close()
        thumbnail(instance)
    except PlatformError as error:
        logger.warning("image not prepared", extra={"image": instance_id, "code": error.code})
        return False
    return True


def thumbnail(instance: Instance) -> Path:
    """A JPEG of the first frame (of a slide: the section), at most 320 pixels along its longer side."""

    _require_not_kept_back(instance)
    slide = slides.slide_of(instance)

    def make(into: Path) -> None:
        with slide.opened() as paths, _as_platform_errors():
            if instance.kind == Instance.Kind.SLIDE:
                into.write_bytes(sandbox.slide_thumbnail(paths, longest=THUMBNAIL_PIXELS))
            else:
                into.write_bytes(sandbox.thumbnail(paths[0], longest=THUMBNAIL_PIXELS))

    return cache().file(f"{slide.tag}-{DERIVATION}.thumbnail.jpeg", make)


def rendered(instance: Instance, frame: int) -> Path:
    """An 8-bit PNG of a frame in full size, through the image's own window."""
    _require_plain(instance)
    _require_frame(instance, frame)

    def make(into: Path) -> None:
        with storage.open(instance.file_id) as path, _as_platform_errors():
            into.write_bytes(sandbox.rendered(path, frame))

    return cache().file(f"{frame_tag(instance, frame)}.rendered.png", make)


def crops(
    instance: Instance, boxes: Sequence[Sequence[float]], *, frame: int, longest: int, turned: Turned
) -> list[bytes]:
    """JPEGs of parts of an image as it hangs, windowed as it says; decoded once for all of them.

    Raises
    ------
    NotFound
        The image has no such frame, or is kept back.
    Invalid, Unavailable
        It cannot be decoded; the decoders are busy, or the storage does not answer.
    """
    _require_not_kept_back(instance)
    _require_frame(instance, frame)
    with slides.slide_of(instance).opened() as paths, _as_platform_errors():
        parts = [(float(box[0]), float(box[1]), float(box[2]), float(box[3])) for box in boxes]
        return sandbox.crops(
            paths, parts, longest=longest, frame=frame, turn=turned.turn, mirror=bool(turned.mirror)
        )


def slide_tag(instance: Instance) -> str:
    """A name that changes with the bytes of any file of a slide: its strong ETag."""
    return f"{slides.slide_of(instance).tag}-{DERIVATION}-{_CUT}"


def slide_dzi(instance: Instance) -> str:
    """The Deep Zoom description of a slide (XML)."""
    return _of_slide(instance, sandbox.slide_dzi)


def slide_layout(instance: Instance) -> Layout:
    """How a slide is cut into Deep Zoom tiles."""
    return _of_slide(instance, sandbox.slide_layout)


def slide_tile(
    instance: Instance,
    level: int,
    column: int,
    row: int,
    *,
    plane: int | None = None,
    path: int | None = None,
) -> bytes:
    """One Deep Zoom tile (JPEG) of a focal plane and an optical path, by default those that are shown first. Raises
    `NotFound` outside the slide, and for an image that is none."""
    return _of_slide(
        instance, lambda files: sandbox.slide_tile(files, level, column, row, plane=plane, path=path)
    )


def _of_slide(instance: Instance, ask: Callable[[list[Path]], _Answer]) -> _Answer:
    _require_not_kept_back(instance)
    if instance.kind != Instance.Kind.SLIDE:
        raise NotFound(_("This image is not a slide."))
    with slides.slide_of(instance).opened() as paths, _as_platform_errors():
        return ask(paths)


def _require_not_kept_back(instance: Instance) -> None:
    if slides.is_kept_back(instance):
        raise NotFound(_("A slide's label and overview carry names: they are kept, and not shown."))


def _require_plain(instance: Instance) -> None:
    _require_not_kept_back(instance)
    if instance.kind == Instance.Kind.SLIDE:
        raise NotFound(_("A slide has no single frame of pixels: read it in tiles (slide.dzi)."))


def _require_frame(instance: Instance, frame: int) -> None:
    if not 0 <= frame < instance.frames:
        raise NotFound(
            _("The image has no frame %(frame)d: it has %(frames)d, numbered from 0.")
            % {"frame": frame, "frames": instance.frames}
        )


def _write_frame(pixels: Pixels, into: Path) -> None:
    """Facts as JSON behind their length, then the values row by row, little endian."""
    values = pixels.values
    facts = FrameFacts(
        rows=pixels.rows,
        columns=pixels.columns,
        samples=3 if values.ndim == 3 else 1,
        bits_allocated=values.dtype.itemsize * 8,
        bits_stored=pixels.bits_stored,
        signed=values.dtype.kind == "i",
        photometric=pixels.photometric,
        frames=pixels.frames,
        shown=pixels.shown,
    )
    header = facts.model_dump_json().encode()
    with into.open("wb") as handle:
        handle.write(_LENGTH.pack(len(header)) + header)
        handle.write(values.data)


@contextmanager
def _as_platform_errors() -> Iterator[None]:
    try:
        yield
    except NoSuchFrame as error:
        raise NotFound(file_words(error.reason)) from error
    except DecoderUnavailable as error:
        raise Unavailable(_("The image cannot be decoded at the moment. Please try again.")) from error
    except ImagingError as error:
        detail = _("The image cannot be shown: %(reason)s") % {"reason": file_words(error.reason)}
        raise Invalid(detail, code=error.code) from error
