"""The TorchScript file of a version, for CUDA: judged against `model.onnx`, and kept only then.

The set-up makes `model.pt` of `model.onnx`. A version from before that has one in git, and `variants.json` says what it
measured and which bytes it has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from imaging.digest import sha256_of
from inference.contract import ContractModel, ModelManifest, Sha256
from inference.runtime.forward import Forward
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import DEFAULT_STORE, StoreError, verified_weights, version_folder
from inference.runtime.torch_forward import FILE, TorchForward

LIST = "variants.json"
MAX_AUC_DROP = 0.01

#: The AUC of every question that the model answers, by the question's name.
Judge = Callable[[Forward], Mapping[str, float]]


class Variant(ContractModel):
    """The file that was tried. `auc_drop` is that of the question that lost most."""

    kind: Literal["torch"]
    file: str
    sha256: Sha256
    size_bytes: int
    auc: dict[str, float]
    auc_drop: float
    kept: bool


class VariantList(ContractModel):
    """`variants.json`. Says nothing once `model.onnx` has other bytes than `weights_sha256`."""

    weights_sha256: Sha256
    size_bytes: int
    auc: dict[str, float]
    variants: tuple[Variant, ...]


def read_variants(manifest: ModelManifest, store: Path = DEFAULT_STORE) -> VariantList | None:
    """What was tried with exactly the manifest's weights; None where nothing was.

    Raises
    ------
    StoreError
        A list that this module did not write.
    """
    path = version_folder(manifest, store) / LIST
    if not path.is_file():
        return None
    which = f"{manifest.name} {manifest.version}"
    try:
        found = VariantList.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise StoreError(f"{LIST} of {which} is invalid: {error.error_count()} errors") from error
    return found if found.weights_sha256 == manifest.weights.sha256 else None


def verified_variant(manifest: ModelManifest, store: Path = DEFAULT_STORE) -> Path | None:
    """The kept `model.pt` after its hash was compared; None where the store has none for these weights.

    Raises
    ------
    StoreError
        The file is missing or has other bytes.
    """
    listed = read_variants(manifest, store)
    for variant in listed.variants if listed is not None else ():
        if variant.kept:
            path = version_folder(manifest, store) / variant.file
            if not path.is_file() or sha256_of(path) != variant.sha256:
                which = f"{manifest.name} {manifest.version}"
                raise StoreError(f"{variant.file} of {which} is not what {LIST} says")
            return path
    return None


def try_torch(manifest: ModelManifest, store: Path, judge: Judge) -> VariantList:
    """Judge the version's TorchScript file against `model.onnx`: the `model.pt` that lies beside it, which is put on
    the list and removed where an AUC drops by more than `MAX_AUC_DROP`; without one, what the set-up would make of
    it, of which no file stays.

    Parameters
    ----------
    judge
        AUCs of a forward, on images that were not trained on.

    Raises
    ------
    StoreError
        `model.onnx` is not that of the manifest, or there was nothing to judge it by.
    """
    weights = verified_weights(manifest, store)
    before = dict(judge(OnnxForward(weights)))
    if not before:
        raise StoreError(
            f"the images show no difference that {manifest.name} could find: nothing to judge by"
        )
    own = weights.with_name(FILE)
    if not own.is_file():
        from inference.runtime.onnx_to_torch.convert import convert

        with tempfile.TemporaryDirectory(prefix="cad-torch-") as folder:
            made = Path(folder) / FILE
            convert(weights, made)
            return _judged(weights, made, before, judge)
    found = _judged(weights, own, before, judge)
    if not found.variants[0].kept:
        own.unlink()
    (weights.parent / LIST).write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return found


def _judged(weights: Path, path: Path, before: Mapping[str, float], judge: Judge) -> VariantList:
    after = dict(judge(TorchForward(path, "cpu")))
    drop = round(max(before[question] - after[question] for question in before), 4)
    variant = Variant(
        kind="torch",
        file=path.name,
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        auc={question: round(value, 4) for question, value in after.items()},
        auc_drop=drop,
        kept=drop <= MAX_AUC_DROP,
    )
    return VariantList(
        weights_sha256=sha256_of(weights),
        size_bytes=weights.stat().st_size,
        auc={question: round(value, 4) for question, value in before.items()},
        variants=(variant,),
    )
