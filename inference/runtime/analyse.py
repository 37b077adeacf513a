"""One function from a request to a result, the same on the platform and on the command line.

    decode (in a child process) → preprocess → forward (the only part that differs) → post-process

The manifest says which pipeline knows the preprocessing and the findings (`inference.runtime.pipelines`).
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from inference.contract import (
    OPERATING_POINTS,
    AnalysisRequest,
    AnalysisResult,
    ModelManifest,
    NotApplicable,
    Timings,
)
from inference.runtime.forward import Forward, Save
from inference.runtime.pipelines import pipeline_of
from inference.runtime.study import Clock, is_judged


def analyse(
    request: AnalysisRequest, manifest: ModelManifest, forward: Forward, save: Save
) -> AnalysisResult:
    """Analyse the request's images as one study.

    Images stand in the result in the request's order. `save` is called with `image-<index>.mask.png` and
    `image-<index>.heatmap.png`.

    Raises
    ------
    NotApplicable
        The study does not meet the model's input contract.
    ImageUnreadable
        A file cannot be decoded.
    ModelServerUnavailable
        From `forward`.
    """
    begun = time.perf_counter()
    _check_contract(request, manifest)
    clock = Clock()
    study = pipeline_of(manifest).analyse(request, manifest, forward, save, clock)
    total = (time.perf_counter() - begun) * 1000
    return AnalysisResult(
        model=manifest.identity,
        probabilities=study.probabilities,
        breasts=study.breasts,
        images=study.images,
        judged_images=tuple(image.image_id for image in study.images if is_judged(image)),
        flags=tuple(dict.fromkeys(flag for image in study.images for flag in image.flags)),
        thresholds={name: manifest.thresholds[name] for name in OPERATING_POINTS},
        timings=Timings(
            decode_ms=round(clock.decode_ms, 3),
            preprocess_ms=round(clock.preprocess_ms, 3),
            model_ms=round(clock.model_ms, 3),
            postprocess_ms=round(clock.postprocess_ms, 3),
            total_ms=round(total, 3),
        ),
    )


def probe_tensor(manifest: ModelManifest) -> NDArray[np.uint8]:
    """A grey input of the right shape, for a prediction that proves the model alive."""
    return np.full(pipeline_of(manifest).input_shape(manifest), 128, np.uint8)


def _check_contract(request: AnalysisRequest, manifest: ModelManifest) -> None:
    if (request.model, request.model_version) != (manifest.name, manifest.version):
        raise NotApplicable(
            f"not analysed: {request.model} {request.model_version} was asked for, "
            f"{manifest.name} {manifest.version} is served"
        )
    if request.modality != manifest.input.modality:
        raise NotApplicable(
            f"not analysed: {manifest.name} reads {manifest.input.modality} studies, "
            f"this one is {request.modality}"
        )
    if len(request.images) > manifest.input.max_images:
        raise NotApplicable(
            f"not analysed: {len(request.images)} images, "
            f"at most {manifest.input.max_images} are read together"
        )
