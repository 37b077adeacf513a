"""The pointing game (Zhang et al. 2018): does the hottest place of a map lie in the lesion?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.champions.explained import Method
from inference.contract import ImageReference, ModelManifest
from inference.evaluation.measuring import readable
from inference.explain.measure import Outcome
from inference.explain.methods import heat_of
from inference.explain.network import NoSuchExplanation
from inference.explain.subject import Subject
from inference.runtime.analyse import analyse
from inference.runtime.forward import Forward
from inference.runtime.geometry import Map

POINTING = "pointing game"


def pointing(heat: Map, lesion: NDArray[np.bool_], tolerance: int = 0) -> float:
    """1 where the maximum of `heat` H×W lies in `lesion` H×W or within `tolerance` pixels of it, else 0.

    Where several pixels share the maximum, the share of them that does: a flat map gets what chance gives.
    """
    if tolerance:
        side = 2 * tolerance + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        lesion = cv2.dilate(lesion.astype(np.uint8), disc) > 0
    return float(lesion[heat >= heat.max()].mean())


def play(
    name: str, method: Callable[[str], Method], subjects: Sequence[Subject], *, tolerance: int = 0
) -> list[Outcome]:
    """One outcome a subject with a lesion. `method(label)` explains the subject's own class, as in the paper;
    padding cannot be pointed at, and `chance` is the lesion's share of the picture."""
    outcomes = []
    for subject in subjects:
        if subject.lesion is None or not subject.lesion.any():
            continue
        picture = subject.canvas.picture
        heat = np.where(picture, heat_of(name, method(subject.label)(subject.canvas)), -1.0)
        hit = pointing(heat.astype(np.float32), subject.lesion, tolerance)
        chance = float((subject.lesion & picture).sum() / max(int(picture.sum()), 1))
        outcomes.append(Outcome(POINTING, name, subject.image, subject.group, hit, chance))
    return outcomes


def served_heat(manifest: ModelManifest, forward: Forward, image: ImageReference) -> Map:
    """The heat map that a clinician is shown: the PNG that serving writes, 0–1, in the PNG's own size.

    Raises
    ------
    AnalysisError
        The pipeline's own.
    NoSuchExplanation
        The network puts no map out.
    """
    saved: dict[str, bytes] = {}

    def save(name: str, png: bytes) -> str:
        saved[name] = png
        return name

    request = manifest.request("explain", image)
    name = analyse(request, manifest, forward, save).images[0].heatmap
    if name is None:
        raise NoSuchExplanation(
            f"{manifest.name} {manifest.version} puts no map out: ask for another --method"
        )
    levels = cv2.imdecode(np.frombuffer(saved[name], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert levels is not None, "serving wrote this PNG"
    return np.asarray(levels / 255, np.float32)


def play_served(
    manifest: ModelManifest,
    forward: Forward,
    truths: Sequence[tuple[Subject, NDArray[np.bool_]]],
    *,
    tolerance: int = 0,
) -> list[Outcome]:
    """The same with the served heat map, brought to the image's size; each subject with its mask in stored
    pixels."""
    outcomes = []
    for subject, lesion in truths:
        with TemporaryDirectory(prefix="cad-explain-") as folder:
            heat = served_heat(manifest, forward, reference_to(readable(subject.path, Path(folder))))
        height, width = lesion.shape
        full = np.asarray(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        hit = pointing(full, lesion, tolerance)
        outcomes.append(
            Outcome(POINTING, "served map", subject.image, subject.group, hit, float(lesion.mean()))
        )
    return outcomes


def reference_to(path: Path, um_per_px: float | None = None) -> ImageReference:
    """`path` as an image of a study of its own."""
    return ImageReference(
        image_id=path.name, path=str(path), spacing_um=None if um_per_px is None else (um_per_px, um_per_px)
    )
