"""The one language between the platform, the model server's handlers and the recipes. Version 1.

A platform asks with an `AnalysisRequest` and is answered with an `AnalysisResult`. What a model needs of
its input and what travels with its weights stands in its `ModelManifest`
(`model_store/<name>/<version>/manifest.json`).

Geometry is in stored pixels of the image as read (level 0 for slides): origin top left, x to the right,
y down, a box is `(x0, y0, x1, y1)` with the far edges exclusive. Lengths are micrometres. Times are
milliseconds of wall clock. Probabilities are calibrated; scores are what the network said before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CONTRACT_VERSION: Literal["1.0"] = "1.0"

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Box = tuple[float, float, float, float]
Point = tuple[float, float]
#: Micrometres per stored pixel, (x, y).
Spacing = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
#: What a pixel of any image may be said to measure, least and most: a model's own range lies within.
UM_PER_PX_RANGE = (0.01, 2_000.0)
#: DICOM Modality (0008,0060): a code string of up to 16 characters. Which codes there are is not decided here.
ModalityCode = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[A-Z0-9 _]+$")]

#: Operating points that a reader may choose from, from many marks to few; thresholds of these names travel with every
#: set of weights, gates and calibration beside them.
OPERATING_POINTS = ("high_sensitivity", "balanced", "high_specificity")


class ContractModel(BaseModel):
    """Immutable; an unknown field is an error, so that a misspelt one cannot pass unnoticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Flag(StrEnum):
    """Why a result deserves less trust."""

    OUT_OF_DISTRIBUTION = "out_of_distribution"
    UNCERTAIN = "uncertain"
    LOW_QUALITY = "low_quality"
    NOT_READ = "not_read"


class CalibratedRegion(ContractModel):
    """A part of an image in which lengths have a measure of their own (DICOM PS3.3 C.8.5.5), as ultrasound machines
    write them."""

    box: Box
    kind: Literal["2d", "m_mode", "doppler", "other"] = "2d"
    spacing_um: Spacing | None = Field(None, description="None where lengths mean nothing here")


class ImageReference(ContractModel):
    """One image of a study, where to read it and what the study says of it. Where it says nothing of the scale, the
    file is asked."""

    image_id: str = Field(description="SOP Instance UID on the platform; the path in the command line tool")
    path: str = Field(description="A file that this process can open")
    parts: tuple[str, ...] = Field(
        (), description="the other files of a slide that has several, in any order"
    )
    sha256: Sha256 | None = Field(None, description="of the file; of a slide's files, over all of theirs")
    laterality: Literal["L", "R"] | None = None
    view: str | None = Field(None, description="DICOM View Position: CC, MLO, …")
    spacing_um: Spacing | None = Field(None, description="of the whole image (level 0 of a slide)")
    regions: tuple[CalibratedRegion, ...] = Field(
        (), description="each with its own scale; outside of them and across two there is none"
    )
    pixel_aspect: float | None = Field(
        None, gt=0, description="a pixel's height over its width, where only that is known"
    )


class AnalysisRequest(ContractModel):
    """Analyse these images together, as one study, with one version of one model."""

    contract_version: Literal["1.0"] = CONTRACT_VERSION
    request_id: str
    model: str
    model_version: str
    modality: ModalityCode
    images: tuple[ImageReference, ...] = Field(min_length=1)


class ModelIdentity(ContractModel):
    """The provenance line: which bytes produced a result."""

    name: str
    version: str
    weights_sha256: Sha256
    preprocessing_sha256: Sha256


class Timings(ContractModel):
    """Where the time went. `model_ms` is the timer around the network's own forward passes, nothing else."""

    decode_ms: float = Field(0.0, ge=0)
    preprocess_ms: float = Field(0.0, ge=0)
    model_ms: float = Field(0.0, ge=0)
    postprocess_ms: float = Field(0.0, ge=0)
    total_ms: float = Field(0.0, ge=0)


class Finding(ContractModel):
    """A place in an image that the model marks."""

    label: str
    score: Probability
    box: Box
    polygon: tuple[Point, ...] | None = None
    frame: int | None = Field(None, ge=0, description="of a clip, from 0; none where there is one frame")
    descriptors: dict[str, float] = Field(default_factory=dict, description="area_mm2, aspect_ratio, …")
    lexicon: dict[str, str] = Field(
        default_factory=dict,
        exclude_if=lambda words: not words,
        description="shape, orientation and margin in the terms of the BI-RADS lexicon, measured from the outline",
    )

    @model_validator(mode="after")
    def _box_is_ordered(self) -> Finding:
        x0, y0, x1, y1 = self.box
        if not (0 <= x0 < x1 and 0 <= y0 < y1):
            raise ValueError(f"box {self.box} is empty, reversed or outside the image")
        return self


def outline_lexicon(descriptors: Mapping[str, float]) -> dict[str, str]:
    """`shape` (round, oval, irregular), `orientation` (parallel, not_parallel) and `margin` (circumscribed,
    not_circumscribed) in the terms of the BI-RADS lexicon, from what was measured of an outline: no reader said them.
    Empty where the outline's height cannot be compared with its width."""
    measured = [descriptors.get(name) for name in ("aspect_ratio", "roundness", "margin_irregularity")]
    if any(value is None for value in measured):
        return {}
    aspect, roundness, uneven = (float(value) for value in measured if value is not None)
    if uneven > 0.1 or roundness < 0.6:
        shape = "irregular"
    else:
        shape = "round" if roundness >= 0.8 and 0.85 <= aspect <= 1.18 else "oval"
    return {
        "shape": shape,
        "orientation": "parallel" if aspect < 1 else "not_parallel",
        "margin": "circumscribed" if uneven <= 0.05 else "not_circumscribed",
    }


class ImageResult(ContractModel):
    """What the model says of one image. `mask` and `heatmap` name 8-bit PNG files: a path from the command
    line tool, an artefact's key inside the platform, a URL in the API's answer."""

    image_id: str
    frames_read: tuple[int, ...] = Field((0,), description="numbers of the frames that were read, from 0")
    not_read: str = Field(
        "", description="why nothing is said of the image, a sentence; the others were read"
    )
    probabilities: dict[str, Probability] = Field(description="empty where the image was not read")
    scores: dict[str, float] = Field(default_factory=dict, description="before calibration")
    assessment: dict[str, Probability] = Field(
        default_factory=dict,
        exclude_if=lambda shares: not shares,
        description="the BI-RADS category that a reader would give, each with its probability; of models that tell one",
    )
    findings: tuple[Finding, ...] = ()
    mask: str | None = Field(None, description="the input's size; 255 inside the outline")
    heatmap: str | None = Field(None, description="the whole field, 0–255 for 0–1; scales to the image")
    map_frame: int = Field(
        0, ge=0, description="the frame that probabilities, mask and heat map are of, from 0"
    )
    flags: tuple[Flag, ...] = ()
    descriptors: dict[str, float] = Field(default_factory=dict)


class AnalysisResult(ContractModel):
    """What the model says of the study."""

    contract_version: Literal["1.0"] = CONTRACT_VERSION
    model: ModelIdentity
    probabilities: dict[str, Probability]
    breasts: dict[Literal["L", "R"], dict[str, Probability]] = Field(default_factory=dict)
    images: tuple[ImageResult, ...]
    judged_images: tuple[str, ...] | None = Field(
        None,
        description="ids of the images that `probabilities` and `breasts` are of: those that are like what the model "
        "has learnt from. Empty: no image is, and the probabilities, of all of them, are no verdict",
    )
    flags: tuple[Flag, ...] = ()
    thresholds: dict[str, float] = Field(description="operating points that travel with the weights")
    timings: Timings


# --- what travels with the weights ---------------------------------------------------------------------


class InputContract(ContractModel):
    """What a study must bring for the model to say anything of it. Not met is a result too."""

    modality: ModalityCode
    kinds: tuple[Literal["image", "slide"], ...]
    max_images: int = Field(gt=0)
    needs_pixel_spacing: bool = False
    working_um_per_px: float | None = Field(None, gt=0, description="resampled to this before the network")
    min_um_per_px: float | None = Field(None, gt=0, description="a finer image is refused")
    max_um_per_px: float | None = Field(None, gt=0, description="a coarser image is refused")
    max_pixels: int | None = Field(None, gt=0, description="of one image; of a slide no bound")

    def why_not_spacing(self, spacing_um: Spacing | None) -> str:
        """Why an image of this scale is not analysed; empty where it is, and where its scale is not known."""
        low, high = self.min_um_per_px or 0.0, self.max_um_per_px or math.inf
        if spacing_um is None or all(low <= each <= high for each in spacing_um):
            return ""
        return (
            f"not analysed: {spacing_in_words(spacing_um)} µm per pixel; "
            f"this model reads {_range(self.min_um_per_px, self.max_um_per_px)}"
        )

    def why_not_size(self, columns: int, rows: int) -> str:
        """Why an image of so many pixels is not analysed; empty where it is. Slides come in parts and are not asked."""
        if self.max_pixels is None or columns * rows <= self.max_pixels:
            return ""
        return (
            f"not analysed: an image of {columns} × {rows} pixels; "
            f"this model reads up to {self.max_pixels / 1e6:g} million"
        )


def spacing_in_words(spacing_um: Spacing) -> str:
    """`70`, or `70 × 80` where the two directions differ."""
    x, y = (f"{each:.0f}" if 1000 <= each < 1e9 else f"{each:.4g}" for each in spacing_um)
    return x if x == y else f"{x} × {y}"


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {high:g}"
    return f"{low:g} or more" if high is None else f"{low:g} to {high:g}"


class WeightsFile(ContractModel):
    file: str
    sha256: Sha256


class ModelManifest(ContractModel):
    """`manifest.json`: everything that the platform and the handler must know of a set of weights."""

    contract_version: Literal["1.0"] = CONTRACT_VERSION
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str
    title: str
    classes: tuple[str, ...]
    positive_class: str
    input: InputContract
    pipeline: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_]*$",
        exclude_if=lambda name: name is None,
        description="folder of inference/runtime that serves it; the model's own name where it is not said",
    )
    weights: WeightsFile
    preprocessing: dict[str, object]
    preprocessing_sha256: Sha256
    thresholds: dict[str, float]
    mark_thresholds: dict[str, Probability] = Field(
        default_factory=dict,
        exclude_if=lambda levels: not levels,
        description='expected false marks an exam ("0.5", "1") → the least score of the marks that are shown then',
    )
    mark_class: str | None = Field(
        None,
        exclude_if=lambda name: name is None,
        description="of what a finding's score is the probability, as a class; its label where it is not said",
    )
    calibration: dict[str, float] = Field(
        default_factory=dict,
        description="from scores to probabilities and flags; names are the pipeline's own",
    )
    parameters: int = Field(gt=0, description="trainable and frozen, of the network as served")
    research: bool = Field(
        False,
        exclude_if=lambda said: not said,
        description="exported from a recipe: analyses no study unless a person makes it the default",
    )
    licence: str = Field(description="what the training data allow; shown with the model")
    intended_use: str

    @property
    def served_by(self) -> str:
        """The pipeline's name."""
        return self.pipeline or self.name

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(
            name=self.name,
            version=self.version,
            weights_sha256=self.weights.sha256,
            preprocessing_sha256=self.preprocessing_sha256,
        )

    def request(self, request_id: str, *images: ImageReference) -> AnalysisRequest:
        """What asks exactly this model about `images`."""
        return AnalysisRequest(
            request_id=request_id,
            model=self.name,
            model_version=self.version,
            modality=self.input.modality,
            images=images,
        )


class AnalysisError(Exception):
    """An analysis that gives no result. The sentence is shown to the clinician; it names no patient."""

    #: Trying again may help (a server that is away); otherwise the same input fails the same way.
    retryable = False


class NotApplicable(AnalysisError):
    """The study does not meet the model's input contract: "not analysed: …"."""


class ImageUnreadable(AnalysisError):
    """A file of the study cannot be decoded."""


class DecodingUnavailable(AnalysisError):
    """The decoders' process is away or busy: not the file's fault."""

    retryable = True


class GaveWay(AnalysisError):
    """The analysis was asked to give way, and what it has so far is kept: it goes on from there."""

    retryable = True


class ModelServerUnavailable(AnalysisError):
    """The model server is away, full, or did not answer in time."""

    retryable = True
