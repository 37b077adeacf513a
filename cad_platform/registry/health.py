"""Proof that every default model predicts: what `/readyz` knows of the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from cad_platform.core.probes import PROBE_TIMEOUT, ProbeFailed
from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.port import Deadline
from cad_platform.registry.selectors import default_versions, manifest_of
from inference.contract import AnalysisError, ModelManifest


def component_of(name: str) -> str:
    """The component that stands for a model."""
    return f"model:{name}"


def checks() -> Mapping[str, Callable[[], None]]:
    """One real prediction by each default model."""
    return {
        component_of(version.name): partial(_prove, manifest_of(version)) for version in default_versions()
    }


def _prove(manifest: ModelManifest) -> None:
    server = get_model_server()
    try:
        server.prove(manifest, Deadline(PROBE_TIMEOUT))
    except AnalysisError as error:
        status = server.workers(manifest)
        workers = "" if status is None else f"; {status.ready} of {status.workers} workers are ready"
        raise ProbeFailed(f"{error}{workers}") from error
