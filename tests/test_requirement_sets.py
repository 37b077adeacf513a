"""A hospital's web server and workers run on requirements.lock alone: no PyTorch, no laboratory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from embedded.state import REPOSITORY

#: Made once, where the model server is: what turns a stored graph into a PyTorch module.
_BUILT_BESIDE_THE_MODEL_SERVER = ("inference.runtime.onnx_to_torch", "inference.runtime.graph")

_RUN_WITHOUT = """
import importlib, json, pkgutil, sys

refused, roots, exempt, then = json.loads(sys.argv[1])

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not in requirements.lock", name=name)

sys.meta_path.insert(0, Refuse())
import cad_platform.config.asgi
import cad_platform.config.urls
from cad_platform.config.celery import app
app.loader.import_default_modules()
for root in roots:
    package = importlib.import_module(root)
    for module in pkgutil.walk_packages(package.__path__, root + "."):
        if not module.name.startswith(tuple(exempt)) and "settings" not in module.name:
            importlib.import_module(module.name)
exec(then)
"""

_ANALYSE_A_PICTURE = """
from django.conf import settings
from cad_platform.modelserver.inprocess import InProcessModelServer
from cad_platform.modelserver.port import Deadline
from inference.runtime.store import model_names, read_manifest
server = InProcessModelServer(settings.MODEL_STORE)
for name in model_names(settings.MODEL_STORE):
    server.prove(read_manifest(name, settings.MODEL_STORE), Deadline(120))
"""


def pinned(lock: str) -> set[str]:
    """The distributions of a lock, by their canonical names."""
    lines = (REPOSITORY / lock).read_text().splitlines()
    return {canonicalize_name(line.partition("==")[0]) for line in lines if not line.startswith("#")}


def modules_beyond(lock: str) -> set[str]:
    """Top-level modules that are installed here and come with no distribution of that lock."""
    there = pinned(lock)
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if not there & {canonicalize_name(name) for name in distributions}
    }


def run_without(refused: Sequence[str], then: str = "") -> subprocess.CompletedProcess[str]:
    """Import the platform, the pixel reader and the runtime in a process that cannot import some modules."""
    what = json.dumps(
        [
            sorted(refused),
            ["cad_platform", "imaging", "inference.runtime"],
            _BUILT_BESIDE_THE_MODEL_SERVER,
            then,
        ]
    )
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN_WITHOUT, what],
        cwd=REPOSITORY,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "cad_platform.config.settings.production"}
        | {"CAD_ALLOWED_HOSTS": "cad.hospital.example"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_sets_divide_as_they_say() -> None:
    hospital, server = pinned("requirements.lock"), pinned("requirements-modelserver.lock")
    laboratory = pinned("requirements-laboratory.lock")
    assert {"torch", "torchserve", "onnx"} <= server
    assert {"captum", "xgboost-cpu", "scikit-image", "scikit-learn"} <= laboratory
    assert not (hospital & server or hospital & laboratory or server & laboratory)
    assert "torch==2.13.0" in (REPOSITORY / "requirements-modelserver.lock").read_text().splitlines()


def test_web_and_worker_run_on_the_hospitals_set_alone() -> None:
    beyond = modules_beyond("requirements.lock")
    assert {"torch", "captum", "xgboost", "skimage", "sklearn", "onnx", "ts", "mypy"} <= beyond
    done = run_without(sorted(beyond - {"pip", "setuptools"}), _ANALYSE_A_PICTURE)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("module", ["numpy", "onnxruntime"])
def test_a_missing_module_would_be_seen(module: str) -> None:
    done = run_without([module])
    assert done.returncode != 0
    assert f"{module} is not in requirements.lock" in done.stderr


@pytest.mark.long
def test_a_fresh_environment_of_the_hospitals_set_starts(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    install = [python, "-m", "pip", "install", "--no-input", "-q", "--no-compile", "-r", "requirements.lock"]
    subprocess.run(install, cwd=REPOSITORY, check=True, timeout=900)
    has_torch = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert has_torch.returncode != 0
    done = subprocess.run(
        [python, "-c", "import cad_platform.config.asgi, cad_platform.config.urls"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
