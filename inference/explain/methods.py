"""The three kinds of heat map: what the network itself puts out, what its gradients say, what covering says."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from inference.champions.explained import Canvas, Method, Reading
from inference.explain.network import Answer, NoSuchExplanation
from inference.explain.subject import blurred
from inference.runtime.geometry import Map

METHODS = ("map", "integrated_gradients", "occlusion")

_IG_STEPS = 32
_CHUNK = 8


def malignancy_map(network: Answer, reading: Reading) -> Method:
    """The network's own map of places, an output of its forward pass, enlarged to the canvas.

    Raises
    ------
    NoSuchExplanation
        The network puts no map out.
    """
    place = reading.place
    if place is None:
        raise NoSuchExplanation("this network puts no map out: its heat map is that of many fields")

    def explain(canvas: Canvas) -> Map:
        with torch.no_grad():
            small = place(network(torch.from_numpy(canvas.tensor).float()))[0].numpy()
        height, width = canvas.picture.shape
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    return explain


def integrated_gradients(network: Answer, reading: Reading, label: str, *, steps: int = _IG_STEPS) -> Method:
    """Gradients of the log-odds of `label`, integrated from the blurred image to the image (Sundararajan,
    Taly and Yan 2017; captum). The values of a map sum to the change of the log-odds.

    Raises
    ------
    NoSuchExplanation
        On a call, when no gradient reaches the input.
    """
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(_question(network, reading, label))

    def explain(canvas: Canvas) -> Map:
        image = torch.from_numpy(canvas.tensor).float()
        background = torch.from_numpy(blurred(canvas)).float()
        try:
            values = method.attribute(
                image.requires_grad_(True), background, n_steps=steps, internal_batch_size=_CHUNK
            )
        except RuntimeError as error:
            if "grad" not in str(error):
                raise
            raise NoSuchExplanation(
                "integrated gradients need a torch network: none reach the input"
            ) from error
        return _plane(values)

    return explain


def occlusion(network: Answer, reading: Reading, label: str, *, window: int | None = None) -> Method:
    """How far the log-odds of `label` fall when a square of the image gives way to its blurred self (Zeiler
    and Fergus 2014; captum); the mean over all squares that cover a pixel. Forward passes only.

    `window`: side of the square in canvas pixels, an eighth of the shorter side by default; squares overlap
    by half.
    """
    from captum.attr import Occlusion

    ask = _question(network, reading, label)
    method = Occlusion(torch.no_grad()(ask))

    def explain(canvas: Canvas) -> Map:
        side = window or max(2, min(canvas.picture.shape) // 8)
        stride = max(1, side // 2)
        colour = canvas.tensor.shape[-1] == 3
        values = method.attribute(
            torch.from_numpy(canvas.tensor).float(),
            sliding_window_shapes=(side, side, 3) if colour else (1, side, side),
            strides=(stride, stride, 3) if colour else (1, stride, stride),
            baselines=torch.from_numpy(blurred(canvas)).float(),
            perturbations_per_eval=_CHUNK,
        )
        return _plane(values)

    return explain


def heat_of(method: str, values: Map) -> Map:
    """What is shown of a method's values: 0–1. A map stays as it is. Of attributions only what speaks for the
    class is kept, smoothed by a 64th of the side (single pixels mean nothing), over its own maximum."""
    if method == "map":
        return np.clip(values, 0, 1)
    smooth = cv2.GaussianBlur(values, (0, 0), max(1.0, max(values.shape) / 64))
    kept = np.maximum(smooth, 0)
    top = float(kept.max())
    return np.asarray(kept / top if top > 0 else kept, np.float32)


def method_named(name: str, network: Answer, reading: Reading, label: str) -> Method:
    """One of `METHODS`; `label` matters for attributions alone."""
    if name == "map":
        return malignancy_map(network, reading)
    if name == "integrated_gradients":
        return integrated_gradients(network, reading, label)
    return occlusion(network, reading, label)


def probability(network: Answer, reading: Reading, label: str, tensors: Tensor) -> Map:
    """N uncalibrated probabilities of `label`, a few images at a time."""
    ask = _question(network, reading, label)
    with torch.no_grad():
        odds = torch.cat([ask(chunk) for chunk in tensors.float().split(_CHUNK)])
    return np.asarray(torch.sigmoid(odds).numpy(), np.float32)


def _question(network: Answer, reading: Reading, label: str) -> Callable[[Tensor], Tensor]:
    return lambda x: reading.log_odds(network(x))[label]


def _plane(values: Tensor) -> Map:
    """The attributions of one image, summed over its channels: H×W."""
    axis = 3 if values.shape[-1] == 3 else 1
    return np.asarray(values.detach().sum(dim=axis)[0].numpy(), np.float32)
