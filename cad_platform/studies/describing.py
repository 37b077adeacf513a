"""What each file of a post is: an image that is read here, an object that shows none, or neither. The files are judged
one by one, and none of them stops another."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cad_platform.core.errors import (
    FieldError,
    FileOutcome,
    Invalid,
    PayloadTooLarge,
    PlatformError,
    Unavailable,
    UnsupportedMedia,
)
from cad_platform.studies import kept_aside
from imaging import sandbox
from imaging.description import Description, ObjectDescription
from imaging.errors import DecoderUnavailable, ImagingError, NotAnImage, TooLarge, UnsupportedEncoding

#: Files of one post that are decoded at a time; the sandbox bounds them over all posts.
_DECODERS = 2


@dataclass(frozen=True)
class PostedFile:
    """A file as it was received: complete on disk in `path`, hashed while it was written."""

    name: str
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class NoImage:
    """A sound object that shows no image, and what it is called."""

    description: ObjectDescription
    what: str


#: What a file was found to be, or why it cannot be taken.
Found = Description | NoImage | ImagingError


def describe_each(files: Sequence[PostedFile], charset: str = "") -> list[Found]:
    """What every file is, in their order; an image's pixels were decoded once. `charset`: of the site's devices.

    Raises
    ------
    Unavailable
        The decoders are busy or away: nothing can be said of any file now.
    """
    describe = partial(_describe, charset=charset or None)
    if len(files) == 1:
        return [describe(files[0])]
    with ThreadPoolExecutor(max_workers=min(len(files), _DECODERS)) as decoders:
        return list(decoders.map(describe, files))


def refusal(outcomes: Sequence[FileOutcome], why: Sequence[tuple[PostedFile, ImagingError]]) -> PlatformError:
    """Nothing of a post can be stored, because of what its files are; the first of them gives the status."""
    errors = tuple(FieldError(error.reason, "files", file.name) for file, error in why)
    first = why[0][1]
    sentence = f"{len(errors)} of the files cannot be accepted; nothing was stored."
    kind: type[PlatformError] = Invalid
    if isinstance(first, TooLarge):
        kind = PayloadTooLarge
    elif isinstance(first, NotAnImage | UnsupportedEncoding):
        kind = UnsupportedMedia
    return kind(sentence, errors=errors, code=first.code, files=tuple(outcomes))


def _describe(file: PostedFile, charset: str | None) -> Found:
    if not file.size:
        return NotAnImage("The file is empty.")
    if file.name.lower().endswith(".mrxs"):
        # By its bytes it is a JPEG, and would pass for a photograph.
        return UnsupportedEncoding(
            "A MIRAX slide is a folder of files, and the .mrxs file alone holds a preview: export the slide as DICOM, "
            "TIFF or SVS."
        )
    try:
        return sandbox.describe(file.path, charset=charset)
    except DecoderUnavailable as error:
        raise _away(error) from error
    except TooLarge as error:
        return error
    except ImagingError as error:
        return _no_image(file, charset) or error


def _no_image(file: PostedFile, charset: str | None) -> NoImage | None:
    """The file as an object that never was to show an image; None where it is damaged or unknown."""
    try:
        found = sandbox.describe_object(file.path, charset=charset)
    except DecoderUnavailable as error:
        raise _away(error) from error
    except ImagingError:
        return None
    if found.header is None:
        return NoImage(found, "PDF document")
    what = kept_aside.name_without_pixels(found.header.sop_class_uid or "", has_matrix=found.has_matrix)
    return NoImage(found, what) if what else None


def _away(error: DecoderUnavailable) -> Unavailable:
    return Unavailable("The decoders are busy or away. Nothing was stored; please try again.")
