"""What the three pipelines share: the clock, decoding, and the shape of what they hand back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
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
    DecodingUnavailable,
    Flag,
    ImageReference,
    ImageResult,
    ImageUnreadable,
    ModelManifest,
    NotApplicable,
)
from inference.runtime.forward import Forward, ForwardOutput

Laterality = Literal["L", "R"]


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


def is_judged(image: ImageResult) -> bool:
    """Whether what the network says of an image may stand as a verdict: it is like those that it has learnt from."""
    return Flag.OUT_OF_DISTRIBUTION not in image.flags


def judged(images: Sequence[ImageResult]) -> tuple[ImageResult, ...]:
    """Those that a study's probabilities are of; all of them where none may be judged, for the laboratory's sake."""
    return tuple(image for image in images if is_judged(image)) or tuple(images)


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


def read_still(image: ImageReference, manifest: ModelManifest) -> Pixels:
    """The first frame, decoded in a child process.

    Raises
    ------
    ImageUnreadable
        The reader's own sentence.
    NotApplicable
        A whole slide, which this model does not read.
    """
    found = describe(image)
    if found.kind == "slide":
        raise NotApplicable(f"not analysed: {manifest.name} reads single images, this is a whole-slide file")
    with decoding():
        return sandbox.read(absolute(image))


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


def spacing_of(image: ImageReference, pixels: Pixels) -> float | None:
    """µm per stored pixel: what the study says, else the file (the mean of x and y)."""
    if image.pixel_spacing_um is not None:
        return image.pixel_spacing_um
    return None if pixels.pixel_spacing_um is None else sum(pixels.pixel_spacing_um) / 2


def undecided(probabilities: Mapping[str, float], classes: tuple[str, ...], level: float) -> list[Flag]:
    """`uncertain` unless exactly one class reaches the conformal `level`."""
    reached = sum(probabilities[name] >= level for name in classes)
    return [] if reached == 1 else [Flag.UNCERTAIN]
