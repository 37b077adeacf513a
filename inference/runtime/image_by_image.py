"""From a request to the answers of its images, where each is read frame by frame: the one loop of the pipelines that
read whole images, not fields of a slide.

A pipeline says what one frame tells (`FrameFinding`), and what becomes of the frame that speaks for its image
(`ImageAnswer`). Which frames are read and which of them speaks is not a pipeline's to say (`runtime.study`,
`runtime.frames`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from imaging.pixels import Pixels
from inference.contract import AnalysisRequest, Finding, Flag, ImageReference, ImageResult, ModelManifest
from inference.runtime.forward import Forward, Save
from inference.runtime.frames import Frames
from inference.runtime.fusion import fused
from inference.runtime.scale import Scale
from inference.runtime.study import Clock, StudyFinding, each_image, judged, open_image

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
    assessment: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What reading one frame or answering for one image may need besides it: which version is asked, its network, where
    pictures are kept, and the study's clock."""

    manifest: ModelManifest
    forward: Forward
    save: Save
    clock: Clock


def analyse_images(
    request: AnalysisRequest,
    asked: Asked,
    read: Callable[[Pixels, Scale, Asked], FrameFinding[F]],
    answer: Callable[[int, F, Asked], ImageAnswer],
    most_findings: int = 0,
) -> tuple[ImageResult, ...]:
    """Open every image, read its frames, and answer with the most suspicious.

    Parameters
    ----------
    read
        Of a decoded frame and the image's scale what the pipeline says; keeps its own time on the clock.
    answer
        Of the image's place in the request and what was kept of the chosen frame; timed here.
    most_findings
        Marks of an image, most certain first.

    Raises
    ------
    ImageUnreadable, NotApplicable
        See `runtime.study.each_image`.
    """
    together, clock = len(request.images), asked.clock

    def one(index: int, image: ImageReference) -> ImageResult:
        with clock.measure("decode_ms"):
            opened = open_image(image, asked.manifest, together)
        frames: Frames[F] = Frames(is_clip=opened.is_clip)
        for number in opened.frames:
            with clock.measure("decode_ms"):
                pixels = opened.read(number)
            said = read(pixels, opened.scale, asked)
            frames.add(number, said.suspicion, said.flags, said.findings, said.kept)
        with clock.measure("postprocess_ms"):
            spoken = answer(index, frames.chosen, asked)
        return ImageResult(
            image_id=image.image_id,
            frames_read=tuple(frames.read),
            probabilities=spoken.probabilities,
            scores=spoken.scores,
            assessment=spoken.assessment,
            findings=frames.findings(most_findings),
            mask=spoken.mask,
            heatmap=spoken.heatmap,
            map_frame=frames.number,
            flags=frames.flags,
            descriptors=spoken.descriptors,
        )

    return each_image(request, one)


def most_suspicious(
    images: Sequence[ImageResult],
    suspicion: Callable[[ImageResult], tuple[float, ...]],
    positive: str,
    most: int = 1,
) -> StudyFinding:
    """A study is as suspicious as the `most` most suspicious of its images that may be judged, fused
    (`inference.runtime.fusion`)."""
    worst = sorted(judged(images), key=suspicion, reverse=True)[:most]
    return StudyFinding(fused([image.probabilities for image in worst], positive), tuple(images))
