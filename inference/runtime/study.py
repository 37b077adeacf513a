"""What the three pipelines share: the clock, what is opened and decoded, and the shape of what they hand back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imaging import grayscale, sandbox
from imaging.description import Description
from imaging.errors import DecoderUnavailable, ImagingError
from imaging.pixels import Pixels
from inference.contract import (
    AnalysisError,
    AnalysisRequest,
    DecodingUnavailable,
    Flag,
    ImageReference,
    ImageResult,
    ImageUnreadable,
    ModelManifest,
    NotApplicable,
)
from inference.runtime.budget import Array, afford
from inference.runtime.forward import Forward, ForwardOutput
from inference.runtime.geometry import squared_size
from inference.runtime.scale import Scale, scale_of

Laterality = Literal["L", "R"]
#: Frames of one image, and of all images of a request together, that are read. A slice of a tomosynthesis takes 0.54 s
#: on one thread, a frame of an ultrasound clip 0.04 s (`latency.json` of the models): 1,024 slices are ten minutes of
#: a job's fifty.
MOST_FRAMES, MOST_FRAMES_TOGETHER = 128, 1024
_MOST_ASPECT = 10.0
#: Bytes for a stored pixel while a frame is decoded and its greys are taken, and for one of the frame with square
#: pixels while its canvas is made and its maps are drawn back; measured, colour and 16 bits included.
_STORED_BYTES, _SQUARED_BYTES = 8, 12


@dataclass
class Clock:
    """Milliseconds spent in each phase, summed over a study's images."""

    decode_ms: float = 0.0
    preprocess_ms: float = 0.0
    model_ms: float = 0.0
    postprocess_ms: float = 0.0

    @contextmanager
    def measure(self, phase: Literal["decode_ms", "preprocess_ms", "postprocess_ms"]) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, phase, getattr(self, phase) + (time.perf_counter() - begun) * 1000)

    def run(self, forward: Forward, tensor: NDArray[Any]) -> ForwardOutput:
        """Call the network and add its own time."""
        output = forward(tensor)
        self.model_ms += output.model_ms
        return output


@dataclass(frozen=True)
class StudyFinding:
    """A pipeline's answer, before the provenance and the timings are put to it."""

    probabilities: dict[str, float]
    images: tuple[ImageResult, ...]
    breasts: dict[Laterality, dict[str, float]] = field(default_factory=dict)


def each_image(
    request: AnalysisRequest, read: Callable[[int, ImageReference], ImageResult]
) -> tuple[ImageResult, ...]:
    """What `read` says of every image of the request, by its place and reference. An image that cannot be read, or that
    the model does not read, is said and does not stop the others.

    Raises
    ------
    ImageUnreadable, NotApplicable
        Why the first was not read, where none was.
    """
    results: list[ImageResult] = []
    failures: list[AnalysisError] = []
    for index, image in enumerate(request.images):
        try:
            results.append(read(index, image))
        except (ImageUnreadable, NotApplicable) as error:
            failures.append(error)
            why = str(error).removeprefix("not analysed: ")
            unread = {"frames_read": (), "not_read": why, "flags": (Flag.NOT_READ,)}
            results.append(ImageResult(image_id=image.image_id, probabilities={}, **unread))
    if len(failures) == len(results):
        raise failures[0]
    return tuple(results)


def is_judged(image: ImageResult) -> bool:
    """Whether what the network says of an image may stand as a verdict: it is like those that it has learnt from."""
    return not {Flag.OUT_OF_DISTRIBUTION, Flag.NOT_READ} & set(image.flags)


def judged(images: Sequence[ImageResult]) -> tuple[ImageResult, ...]:
    """Those that a study's probabilities are of; all that were read where none may be judged, for the laboratory's
    sake."""
    read = tuple(image for image in images if not image.not_read)
    return tuple(image for image in read if is_judged(image)) or read


@contextmanager
def decoding() -> Iterator[None]:
    """The reader's errors as the contract's, with the reader's own sentence."""
    try:
        yield
    except DecoderUnavailable as error:
        raise DecodingUnavailable(error.reason) from error
    except ImagingError as error:
        raise ImageUnreadable(error.reason) from error


def absolute(image: ImageReference) -> Path:
    """The decoders run in another folder."""
    return Path(image.path).absolute()


def files_of(image: ImageReference) -> list[Path]:
    """All files of the image: of a slide there may be several."""
    return [absolute(image), *(Path(part).absolute() for part in image.parts)]


def describe(image: ImageReference) -> Description:
    """What the file is, or the slide of several files. Raises `ImageUnreadable` with the reader's own sentence."""
    with decoding():
        if image.parts:
            return sandbox.describe_slide(files_of(image), prove=False)
        return sandbox.describe(absolute(image), prove=False)


@dataclass(frozen=True)
class OpenedImage:
    """An image that the model may read: what it is, its scale, and the numbers of the frames that are read."""

    reference: ImageReference
    found: Description
    scale: Scale
    frames: tuple[int, ...]

    @property
    def is_clip(self) -> bool:
        """Whether it has more than one frame, so that a finding must say on which one it is."""
        return self.found.frames > 1

    def read(self, frame: int = 0) -> Pixels:
        """One frame, decoded in a child process. Raises `ImageUnreadable` with the reader's own sentence."""
        with decoding():
            return sandbox.read(absolute(self.reference), frame)


def open_image(image: ImageReference, manifest: ModelManifest, together: int = 1) -> OpenedImage:
    """Look at an image before anything of it is decoded. `together`: images of the request.

    Raises
    ------
    ImageUnreadable
        The reader's own sentence.
    NotApplicable
        A whole slide, which this model does not read, more pixels than it reads, a scale outside its range, or more
        memory than one image may take.
    """
    found = describe(image)
    if found.kind == "slide":
        raise NotApplicable(f"not analysed: {manifest.name} reads single images, this is a whole-slide file")
    scale = scale_of(image, found)
    refuse(manifest.input.why_not_size(found.columns, found.rows))
    for spacing in (scale.spacing_um, *(region.spacing_um for region in scale.regions)):
        refuse(manifest.input.why_not_spacing(spacing))
    aspect = scale.pixel_aspect
    if not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
        raise NotApplicable(f"not analysed: its pixels are {aspect:.3g} times as high as wide")
    squared = squared_size(found.columns, found.rows, aspect)
    afford(
        found.columns, found.rows, scale.spacing_um,
        Array(found.columns, found.rows, _STORED_BYTES), Array(*squared, _SQUARED_BYTES),
    )  # fmt: skip
    most = min(MOST_FRAMES, max(2, MOST_FRAMES_TOGETHER // together))
    return OpenedImage(image, found, scale, frames_to_read(found.frames, most))


def frames_to_read(frames: int, most: int) -> tuple[int, ...]:
    """Numbers from 0 of at most `most` of an image's frames, at least two: all of them, or evenly chosen ones with the
    first and the last."""
    if frames <= most:
        return tuple(range(frames))
    return tuple(round(place * (frames - 1) / (most - 1)) for place in range(most))


def refuse(reason: str) -> None:
    """Raises `NotApplicable` where there is a reason."""
    if reason:
        raise NotApplicable(reason)


def read_still(image: ImageReference, manifest: ModelManifest) -> Pixels:
    """The first frame, decoded in a child process. Raises as `open_image`."""
    return open_image(image, manifest).read()


def grey_values(pixels: Pixels) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """H×W in the file's own depth, high is bright, padding 0, no window applied: windows are written for eyes.

    A modality table is applied. A rescale is not, but for its sign: networks look at greys relative to one another, and
    an intercept would lift the air around the breast.
    """
    values, shown = pixels.values, pixels.shown
    if shown is None:
        return pixels.gray()
    if shown.modality_table is not None:
        values = grayscale.after_modality(shown, values).astype(np.uint16)
    inverted = (pixels.photometric == "MONOCHROME1") != (shown.slope < 0)
    padding = None
    if shown.padding is not None:
        padding = (pixels.values >= shown.padding[0]) & (pixels.values <= shown.padding[1])
    if values.dtype == np.uint8:
        narrow = np.asarray(values, np.uint8)
        return _without(padding, 255 - narrow if inverted else narrow)
    picture = values if padding is None or padding.all() else values[~padding]
    low, high = min(0, int(picture.min())), int(picture.max())
    wide = np.clip(values.astype(np.int32), low, high) - low
    return _without(padding, (high - low - wide if inverted else wide).astype(np.uint16))


def _without(
    padding: NDArray[np.bool_] | None, values: NDArray[np.uint8] | NDArray[np.uint16]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if padding is not None and padding.any():
        values = values.copy()
        values[padding] = 0
    return values


def undecided(
    probabilities: Mapping[str, float], classes: tuple[str, ...], level: float | Sequence[float]
) -> list[Flag]:
    """`uncertain` unless exactly one class reaches the conformal `level`, which may be each class's own."""
    levels = [level] * len(classes) if isinstance(level, float | int) else level
    reached = sum(probabilities[name] >= own for name, own in zip(classes, levels, strict=True))
    return [] if reached == 1 else [Flag.UNCERTAIN]
