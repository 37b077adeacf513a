"""From a request to the answers of its images, where each is read frame by frame: the one loop of the pipelines that
read whole images, not fields of a slide.

A pipeline says what one frame tells (`FrameFinding`), and what becomes of the frame that speaks for its image
(`ImageAnswer`). Which frames are read and which of them speaks is not a pipeline's to say (`runtime.study`,
`runtime.frames`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from imaging.pixels import Pixels
from inference.contract import AnalysisRequest, Finding, Flag, ImageReference, ImageResult, ModelManifest
from inference.runtime.frames import Frames
from inference.runtime.scale import Scale
from inference.runtime.study import Clock, each_image, open_image

F = TypeVar("F")


@dataclass(frozen=True, slots=True, eq=False)
class FrameFinding(Generic[F]):
    """What a pipeline says of one frame. `suspicion` orders the frames of an image; `kept` is what the image's answer
    needs of it should it speak for the image."""

    suspicion: tuple[float, ...]
    flags: Sequence[Flag]
    findings: Sequence[Finding]
    kept: F


@dataclass(frozen=True, slots=True, eq=False)
class ImageAnswer:
    """What a pipeline says of an image by the frame that speaks for it: `mask` and `heatmap` name what was saved."""

    probabilities: dict[str, float]
    scores: dict[str, float]
    descriptors: dict[str, float]
    heatmap: str | None
    mask: str | None = None


def analyse_images(
    request: AnalysisRequest,
    manifest: ModelManifest,
    clock: Clock,
    read: Callable[[Pixels, Scale], FrameFinding[F]],
    answer: Callable[[int, F], ImageAnswer],
    most_findings: int = 0,
) -> tuple[ImageResult, ...]:
    """Open every image, read its frames, and answer with the most suspicious.

    Parameters
    ----------
    read
        Of a decoded frame and the image's scale what the pipeline says; keeps its own time on `clock`.
    answer
        Of the image's place in the request and what was kept of the chosen frame; timed here.
    most_findings
        Marks of an image, most certain first.

    Raises
    ------
    ImageUnreadable, NotApplicable
        See `runtime.study.each_image`.
    """
    together = len(request.images)

    def one(index: int, image: ImageReference) -> ImageResult:
        with clock.measure("decode_ms"):
            opened = open_image(image, manifest, together)
        frames: Frames[F] = Frames(is_clip=opened.is_clip)
        for number in opened.frames:
            with clock.measure("decode_ms"):
                pixels = opened.read(number)
            said = read(pixels, opened.scale)
            frames.add(number, said.suspicion, said.flags, said.findings, said.kept)
        with clock.measure("postprocess_ms"):
            spoken = answer(index, frames.chosen)
        return ImageResult(
            image_id=image.image_id,
            frames_read=tuple(frames.read),
            probabilities=spoken.probabilities,
            scores=spoken.scores,
            findings=frames.findings(most_findings),
            mask=spoken.mask,
            heatmap=spoken.heatmap,
            map_frame=frames.number,
            flags=frames.flags,
            descriptors=spoken.descriptors,
        )

    return each_image(request, one)
