"""`.mar` archives for TorchServe, built from the model store after its hashes were checked.

An archive is a zip: `MAR-INF/MANIFEST.json`, a handler module of one class and `model.onnx`. Built here
directly, so that equal inputs give equal bytes; `SOURCE.json` beside each archive says what it was built of.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from inference.contract import ModelManifest
from inference.serving.store import DEFAULT_STORE, model_names, read_manifest, verified_weights

HANDLER_MODULE = "cad_handler"
#: TorchServe puts the archive's folder on the path and the repository's root is on PYTHONPATH.
HANDLER_SOURCE = '''"""TorchServe finds the handler here; it lives in the repository."""

from inference.serving.handler import TensorHandler


class Handler(TensorHandler):
    """TorchServe takes the one class that this module defines; imported ones it does not see."""
'''
#: A lone request must not wait for company: batches form only of what has queued up already.
CONFIGURATION = """minWorkers: {workers}
maxWorkers: {workers}
batchSize: 1
maxBatchDelay: 1
responseTimeout: 60
deviceType: cpu
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build_archives(out: Path, store: Path = DEFAULT_STORE, workers: int = 1) -> list[Path]:
    """One `NAME.mar` a model under `out`; an archive built of the same inputs is left alone.

    Raises:
        StoreError: weights that are not those of their manifest.
    """
    out.mkdir(parents=True, exist_ok=True)
    return [_build(read_manifest(name, store), store, out, workers) for name in model_names(store)]


def _build(manifest: ModelManifest, store: Path, out: Path, workers: int) -> Path:
    weights = verified_weights(manifest, store)
    archive, source = out / f"{manifest.name}.mar", out / f"{manifest.name}.source.json"
    configuration = CONFIGURATION.format(workers=workers)
    inputs = {
        "version": manifest.version,
        "weights_sha256": manifest.weights.sha256,
        "handler": HANDLER_SOURCE,
        "configuration": configuration,
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
        ):
            bundle.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    unfinished.replace(archive)
    source.write_text(json.dumps(inputs, indent=2), encoding="utf-8")
    return archive
