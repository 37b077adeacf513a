"""What a model was trained on, image by image, so that nobody measures it on that by mistake."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from imaging.digest import sha256_of
from inference.datasets.pixels import read_gray
from inference.datasets.sample import LeakError, Sample

TRAINING_MANIFEST = "training_manifest.json"
#: Sets whose group numbers come from the `split.csv` beside the tree. Another tree of the same grammar
#: numbers its own groups, so that equal numbers mean nothing: there the bytes decide, the look of an image,
#: its patient where the set has real ones, and its tree (a group that holds a trained image is trained).
NUMBERED_BY_THE_TREE = ("busi", "idc")
#: Two images of which so many of 256 gradient signs agree count as one. On BUSI none of 184,232 pairs of
#: different groups of `split.csv` reaches 0.86, and 132 pairs within groups reach 0.88.
_ALIKE = 0.88
_LOOK_BITS = 256
_NAMED = 12


def write_training_manifest(folder: Path, samples: Sequence[Sample]) -> Path:
    """`training_manifest.json` in `folder`: for each data set the groups, the patients, the SHA-256 of every
    image file, and for sets without patients the look of every image. `samples` are all that training,
    calibration, gates or thresholds have seen."""
    listed: dict[str, dict[str, list[str]]] = {}
    for dataset in sorted({sample.dataset for sample in samples}):
        own = [sample for sample in samples if sample.dataset == dataset]
        patients = sorted({sample.patient_id for sample in own if sample.patient_id is not None})
        entry = {
            "groups": sorted({sample.group_id for sample in own}),
            "patients": patients,
            "sha256": sorted({digest for sample in own if (digest := _digest_of(sample.path))}),
        }
        if not patients:
            entry["looks"] = sorted({look for sample in own if (look := look_of(sample.path))})
        listed[dataset] = entry
    path = folder / TRAINING_MANIFEST
    path.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return path


def read_training_manifest(folder: Path) -> dict[str, dict[str, list[str]]]:
    """
    Raises
    ------
    LeakError
        There is none, so nobody knows what the model has seen.
    """
    path = folder / TRAINING_MANIFEST
    if not path.is_file():
        raise LeakError(f"{_model_of(folder)} has no {path.name}: what it was trained on is unknown")
    listed: dict[str, dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))
    return listed


def trained_samples(samples: Sequence[Sample], folder: Path, tree: Sequence[Sample] = ()) -> dict[int, str]:
    """Index of each sample that the model has seen → by what it is known: `patient`, `group`, `bytes` or
    `look`. `tree`: all samples of the tree that `samples` come from, where they are only a part of it.

    Raises
    ------
    LeakError
        The model has no training manifest.
    """
    seen = read_training_manifest(folder)
    digests = {digest for entry in seen.values() for digest in entry["sha256"]}
    looks = {dataset: _bits(entry["looks"]) for dataset, entry in seen.items() if entry.get("looks")}
    patients = {(name, one) for name, entry in seen.items() for one in entry.get("patients", ())}
    groups = {
        (name, one)
        for name, entry in seen.items()
        if name not in NUMBERED_BY_THE_TREE
        for one in entry["groups"]
    }

    def reason(sample: Sample) -> str | None:
        if sample.patient_id is not None and (sample.dataset, sample.patient_id) in patients:
            return "patient"
        if (sample.dataset, sample.group_id) in groups:
            return "group"
        if any(_digest_of(path) in digests for path in (sample.path, *sample.parts)):
            return "bytes"
        return "look" if _seen_before(sample, looks.get(sample.dataset)) else None

    whole = {(sample.dataset, sample.id): sample for sample in (*tree, *samples)}
    reasons = {key: why for key, sample in whole.items() if (why := reason(sample))}
    tainted = {(whole[key].dataset, whole[key].group_id) for key in reasons}
    found = {}
    for index, sample in enumerate(samples):
        why = reasons.get((sample.dataset, sample.id))
        if why is None and (sample.dataset, sample.group_id) in tainted:
            why = "group"
        if why is not None:
            found[index] = why
    return found


def refuse_training_samples(
    samples: Sequence[Sample], folder: Path, tree: Sequence[Sample] = (), way_out: str = ""
) -> None:
    """
    Raises
    ------
    LeakError
        Samples stand in the model's own training; the sentence counts and names them, and ends with `way_out`.
    """
    trained = trained_samples(samples, folder, tree)
    if trained:
        raise LeakError(refusal(samples, trained, _model_of(folder)) + way_out)


def untrained(samples: Sequence[Sample], folder: Path, tree: Sequence[Sample] = ()) -> list[Sample]:
    """`samples` without those that the model has seen, which are told on stderr.

    Raises
    ------
    LeakError
        The model has no training manifest.
    """
    trained = trained_samples(samples, folder, tree)
    if trained:
        sys.stderr.write(f"left out: {refusal(samples, trained, _model_of(folder))}\n")
    return [sample for index, sample in enumerate(samples) if index not in trained]


def _model_of(folder: Path) -> str:
    """`ultrasound 2.2.0`, from the names of the version's folder."""
    return f"{folder.parent.name} {folder.name}"


def refusal(samples: Sequence[Sample], trained: dict[int, str], model: str) -> str:
    """The sentence: how many samples were trained on, how they are known, and the first of their names."""
    reasons = Counter(trained.values())
    known = ", ".join(f"{number} by {why}" for why, number in sorted(reasons.items()))
    names = [f"{samples[index].dataset} {samples[index].id}" for index in sorted(trained)]
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"{model} was trained on {len(trained)} of these {len(samples)} samples (known {known}): "
        f"{', '.join(names[:_NAMED])}{rest}"
    )


def _digest_of(path: Path) -> str:
    """The SHA-256 of the sample's own file; empty where it has none, as a row of a table."""
    return sha256_of(path) if path.is_file() else ""


def look_of(path: Path) -> str:
    """64 hex digits: whether each of 16×16 places of the image is brighter than the place to its left
    (difference hash). Empty for what is no plain image."""
    try:
        gray = read_gray(path)
    except (OSError, UnidentifiedImageError):
        return ""
    return _hash(gray)


def _hash(gray: NDArray[np.uint8]) -> str:
    small = cv2.resize(gray, (17, 16), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(small[:, 1:] > small[:, :-1]).tobytes().hex()


def _bits(looks: Sequence[str]) -> NDArray[np.float32]:
    """N×256, +1 and −1: a dot product counts how many agree."""
    packed = np.frombuffer(bytes.fromhex("".join(looks)), np.uint8).reshape(-1, _LOOK_BITS // 8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def _seen_before(sample: Sample, known: NDArray[np.float32] | None) -> bool:
    if known is None:
        return False
    try:
        gray = read_gray(sample.path)
    except (OSError, UnidentifiedImageError):
        return False
    both_ways = _bits([_hash(gray), _hash(np.ascontiguousarray(gray[:, ::-1]))])
    agreeing = (known @ both_ways.T).max() / _LOOK_BITS
    return float((agreeing + 1) / 2) >= _ALIKE
