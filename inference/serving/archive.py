"""`.mar` archives for TorchServe, built from the model store after its hashes were checked.

An archive is a zip: `MAR-INF/MANIFEST.json`, a handler module of one class, `model.onnx` and, where the store
has one for these weights, `model.pt` for GPUs. Built here directly, so that equal inputs give equal bytes;
`NAME.source.json` beside each archive says what it was built of.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from inference.contract import ModelManifest
from inference.serving.store import (
    DEFAULT_STORE,
    file_sha256,
    manifests,
    verified_weights,
)
from inference.serving.variants import verified_variant

HANDLER_MODULE = "cad_handler"
#: TorchServe puts the archive's folder on the path and the repository's root is on PYTHONPATH.
HANDLER_SOURCE = '''"""TorchServe finds the handler here; it lives in the repository."""

from inference.serving.handler import TensorHandler


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


def build_archives(out: Path, store: Path = DEFAULT_STORE, workers: int = 1) -> list[Path]:
    """One `NAME.mar` a model under `out`; an archive built of the same inputs is left alone.

    Raises:
        StoreError: weights that are not those of their manifest.
    """
    out.mkdir(parents=True, exist_ok=True)
    return [_build(manifest, store, out, workers) for manifest in manifests(store)]


def _build(manifest: ModelManifest, store: Path, out: Path, workers: int) -> Path:
    weights = verified_weights(manifest, store)
    for_gpu = verified_variant("torch", manifest, store)
    stem = f"{manifest.name}-{manifest.version}"
    archive, source = out / f"{stem}.mar", out / f"{stem}.source.json"
    configuration = CONFIGURATION.format(workers=workers)
    inputs = {
        "version": manifest.version,
        "weights_sha256": manifest.weights.sha256,
        "handler": HANDLER_SOURCE,
        "configuration": configuration,
        "also": [] if for_gpu is None else [for_gpu.name, file_sha256(for_gpu)],
    }
    if archive.is_file() and source.is_file() and json.loads(source.read_text(encoding="utf-8")) == inputs:
        return archive
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
    unfinished = archive.with_suffix(".mar.new")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in (
            ("MAR-INF/MANIFEST.json", json.dumps(description, indent=2).encode()),
            (f"{HANDLER_MODULE}.py", HANDLER_SOURCE.encode()),
            ("model-config.yaml", configuration.encode()),
            ("model.onnx", weights.read_bytes()),
            *([] if for_gpu is None else [(for_gpu.name, for_gpu.read_bytes())]),
        ):
            bundle.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    unfinished.replace(archive)
    source.write_text(json.dumps(inputs, indent=2), encoding="utf-8")
    return archive
