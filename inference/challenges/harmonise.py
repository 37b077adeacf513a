"""Making images of one scanner look like those of another: what each way learns from reference images, and nothing of
the images that it changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.blocks.preprocess.stain import Macenko, Reinhard
from inference.challenges.report import ChallengeError

Rgb = NDArray[np.uint8]
Change = Callable[[Rgb], Rgb]
#: Of the spectrum's side (Yang and Soatto 2020): what of a picture is taken for style.
_BAND = 0.04
_LEVELS = np.linspace(0.0, 1.0, 257)


def histogram(references: Sequence[Rgb]) -> tuple[Change, bytes]:
    """Each channel's grey values brought to the references' mean quantiles, in the order that they have."""
    target = np.mean([np.quantile(image.reshape(-1, 3), _LEVELS, axis=0) for image in references], axis=0)

    def change(image: Rgb) -> Rgb:
        moved = np.empty(image.shape, np.float64)
        for channel in range(3):
            _, own, counts = np.unique(image[..., channel], return_inverse=True, return_counts=True)
            # equal greys stay equal: each goes where the middle of its ranks goes
            ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
            moved[..., channel] = np.interp(ranks, _LEVELS, target[:, channel])[own].reshape(image.shape[:2])
        return np.clip(np.round(moved), 0, 255).astype(np.uint8)

    return change, target.tobytes()


def style(references: Sequence[Rgb]) -> tuple[Change, bytes]:
    """The amplitudes of the lowest frequencies are the references' mean, phases stay: another scanner's brightness,
    contrast and slow gradients, and everything where it was (Yang and Soatto 2020)."""
    target = np.mean([np.abs(_spectrum(image)) for image in references], axis=0)
    height, width = target.shape[:2]
    reach = max(1, round(_BAND * min(height, width)))
    low = np.zeros((height, width, 1), bool)
    low[height // 2 - reach : height // 2 + reach + 1, width // 2 - reach : width // 2 + reach + 1] = True

    def change(image: Rgb) -> Rgb:
        spectrum = _spectrum(image)
        moved = np.where(low, target * np.exp(1j * np.angle(spectrum)), spectrum)
        picture = np.fft.ifft2(np.fft.ifftshift(moved, axes=(0, 1)), axes=(0, 1)).real
        return np.clip(np.round(picture), 0, 255).astype(np.uint8)

    return change, target.tobytes()


def _spectrum(image: Rgb) -> NDArray[np.complex128]:
    return np.asarray(np.fft.fftshift(np.fft.fft2(image.astype(np.float64), axes=(0, 1)), axes=(0, 1)))


def reinhard(references: Sequence[Rgb]) -> tuple[Change, bytes]:
    """Mean and spread of the tissue's colours (Reinhard 2001): the recipes' block."""
    fitted = Reinhard().fit(references)
    return fitted, repr(fitted.plain()).encode()


def macenko(references: Sequence[Rgb]) -> tuple[Change, bytes]:
    """The two dyes' colours and strengths (Macenko 2009): the recipes' block."""
    fitted = Macenko().fit(references)
    return fitted, repr(fitted.plain()).encode()


WAYS: dict[str, Callable[[Sequence[Rgb]], tuple[Change, bytes]]] = {
    "histogram": histogram, "style": style, "reinhard": reinhard, "macenko": macenko,
}  # fmt: skip


def learned(way: str, references: Sequence[Rgb]) -> tuple[Change, str]:
    """What changes a picture, and the digest of what it has learned of the references.

    Raises
    ------
    ChallengeError
        No such way, or the references hold nothing that it could learn from.
    """
    if way not in WAYS:
        raise ChallengeError(f"{way} is no way to harmonise; of {', '.join(WAYS)}")
    try:
        change, told = WAYS[way](references)
    except ValueError as error:
        raise ChallengeError(str(error)) from None
    return change, hashlib.sha256(way.encode() + told).hexdigest()
