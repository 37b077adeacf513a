"""`.mar` archives for TorchServe: `NAME-VERSION.mar`, one a version, built from the model store.

An archive is a zip: `MAR-INF/MANIFEST.json`, a handler module of one class, `model.onnx` and `model.pt` for GPUs, which
is made of `model.onnx` where the store has none, and the custody record with its signature. Weights that are not those
of the manifest, or that do not answer as was recorded when they were trained, get none; nor do versions that nobody
trusted has signed, where signatures are asked for (`runtime.signing`). A `model.pt` that was made here is signed here,
where there is a key. Built here directly, so that equal files give equal bytes; `NAME-VERSION.source.json` beside each
archive says what it was built of.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from imaging.digest import sha256_of
from inference.contract import ModelManifest
from inference.runtime.answer import read_answer
from inference.runtime.custody import CUSTODY, SIGNATURE
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.signing import public_of, sign_file, signature_beside, trusted_keys, verify_version
from inference.runtime.store import DEFAULT_STORE, StoreError, contents, verified_weights, version_folder
from inference.runtime.torch_forward import FILE, TorchForward
from inference.runtime.variants import verified_variant

HANDLER_MODULE = "cad_handler"
#: TorchServe puts the archive's folder on the path and the repository's root is on PYTHONPATH.
HANDLER_SOURCE = '''"""TorchServe finds the handler here; it lives in the repository."""

from inference.runtime.handler import TensorHandler


class Handler(TensorHandler):
    """TorchServe takes the one class that this module defines; imported ones it does not see."""
'''
#: A lone request must not wait for company: TorchServe takes what has queued up while the last batch ran and
#: waits one millisecond more, its shortest. Eight is what fits a worker's patience for the slowest network.
CONFIGURATION = """minWorkers: {workers}
maxWorkers: {workers}
batchSize: 8
maxBatchDelay: 1
responseTimeout: 120
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Built:
    """The archives of a store, by name and version, and a sentence about each version that got none."""

    archives: tuple[Path, ...]
    refused: tuple[str, ...]


def build_archives(
    out: Path, store: Path = DEFAULT_STORE, workers: int = 1, private_key: Path | None = None
) -> Built:
    """One archive a version under `out`; an archive of the same inputs is left alone, one of a version that is no
    longer in the store is removed. A version that cannot be served hides no other.

    Parameters
    ----------
    private_key
        Signs the `model.pt` that are made here; without it they are signed by nobody, and a worker that asks for
        signatures leaves them for `model.onnx`.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = contents(store)
    archives, refused = [], list(found.refused)
    for manifest in found.manifests:
        try:
            archives.append(_build(manifest, store, out, workers, private_key))
        except StoreError as error:
            refused.append(str(error))
            _remove(out, _stem(manifest))
    there = {_stem(manifest) for manifest in found.manifests}
    stems = {path.name.removesuffix(".mar").removesuffix(".source.json") for path in out.iterdir()}
    for stem in stems - there:
        _remove(out, stem)
    return Built(tuple(archives), tuple(refused))


def _stem(manifest: ModelManifest) -> str:
    return f"{manifest.name}-{manifest.version}"


def _remove(out: Path, stem: str) -> None:
    for name in (f"{stem}.source.json", f"{stem}.mar"):
        (out / name).unlink(missing_ok=True)


def _build(manifest: ModelManifest, store: Path, out: Path, workers: int, private_key: Path | None) -> Path:
    trust, version = trusted_keys(), version_folder(manifest, store)
    signature = version / SIGNATURE if trust is None else verify_version(version, trust)
    weights = verified_weights(manifest, store)
    answer = read_answer(manifest, store)
    committed = verified_variant(manifest, store)
    archive, source = out / f"{_stem(manifest)}.mar", out / f"{_stem(manifest)}.source.json"
    configuration = CONFIGURATION.format(workers=workers)
    beside = {CUSTODY: version / CUSTODY, SIGNATURE: signature}
    vouched = {name: path for name, path in beside.items() if path.is_file()}
    signs = private_key if committed is None else None
    inputs = {
        "version": manifest.version,
        "weights_sha256": manifest.weights.sha256,
        "answer_sha256": hashlib.sha256(answer.model_dump_json().encode()).hexdigest(),
        "handler": HANDLER_SOURCE,
        "configuration": configuration,
        "torch": _converter() if committed is None else sha256_of(committed),
        "custody": {name: sha256_of(path) for name, path in vouched.items()},
        "signed_here": hashlib.sha256(public_of(signs)).hexdigest() if signs else None,
    }
    if archive.is_file() and source.is_file() and json.loads(source.read_text(encoding="utf-8")) == inputs:
        return archive
    which = f"{manifest.name} {manifest.version}"
    answer.check(OnnxForward(weights), f"{weights.name} of {which}")
    with tempfile.TemporaryDirectory(prefix="cad-archive-") as folder:
        for_gpu = committed or _converted(weights, Path(folder), which)
        answer.check(TorchForward(for_gpu, "cpu"), f"{for_gpu.name} of {which}")
        if signs is not None:
            made = sign_file(for_gpu, signs, signature_beside(for_gpu))
            vouched[made.name] = made
        unfinished = out / f".{archive.name}.{os.getpid()}"
        _write(unfinished, manifest, configuration, {WEIGHTS: weights, FILE: for_gpu, **vouched})
        unfinished.replace(archive)
    source.write_text(json.dumps(inputs, indent=2), encoding="utf-8")
    return archive


def _converter() -> str:
    """What a converted file depends on besides its weights."""
    from inference.runtime import onnx_to_torch

    sources = sorted(Path(str(onnx_to_torch.__file__)).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def _converted(weights: Path, folder: Path, which: str) -> Path:
    from inference.runtime.onnx_to_torch.convert import convert
    from inference.runtime.onnx_to_torch.program import UnknownOperator

    try:
        convert(weights, folder / FILE)
    except UnknownOperator as error:
        raise StoreError(f"{weights.name} of {which}: {error}") from error
    return folder / FILE


def _write(path: Path, manifest: ModelManifest, configuration: str, files: dict[str, Path]) -> None:
    description = {
        "runtime": "python",
        "model": {
            "modelName": manifest.name,
            "handler": f"{HANDLER_MODULE}.py",
            "modelVersion": manifest.version,
            "configFile": "model-config.yaml",
        },
        "archiverVersion": "0.12.0",
    }
    entries = {
        "MAR-INF/MANIFEST.json": json.dumps(description, indent=2).encode(),
        f"{HANDLER_MODULE}.py": HANDLER_SOURCE.encode(),
        "model-config.yaml": configuration.encode(),
        **{name: file.read_bytes() for name, file in files.items()},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in entries.items():
            bundle.writestr(zipfile.ZipInfo(name, _EPOCH), content)
