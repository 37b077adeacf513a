"""Asking a server for a version by real traffic: the versions that analyse studies count for `/readyz`, the others
stand by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pydantic import ValidationError

from cad_platform.core.proofs import PROBE_TIMEOUT, UNMEASURED, ProbeFailed
from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.port import Deadline, VersionNotServed
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import routed_versions, standby_versions
from cad_platform.registry.selectors import manifest_of
from inference.contract import AnalysisError, ModelManifest

#: Codes of a failed proof. No server has the version; it may answer in a moment; it answers that it cannot.
NOT_SERVED, AWAY, REFUSED = "not_served", "away", "refused"


def component_of(version: ModelVersion | ModelManifest) -> str:
    """The component that stands for one version of a model: another one's success proves nothing of it."""
    return f"model:{version.name}/{version.version}"


def checks() -> Mapping[str, Callable[[], object]]:
    """Of each version that analyses studies, that it does its work: a worker of it is there, or has just worked; and
    every few minutes a real prediction."""
    return _checks(routed_versions())


def standby_checks() -> Mapping[str, Callable[[], object]]:
    """The same by each version that is known and analyses nothing."""
    return _checks(standby_versions())


def prove(version: ModelVersion, seconds: float = PROBE_TIMEOUT) -> float:
    """Have a server make a real prediction with exactly this version; returns the milliseconds that it took.

    Raises
    ------
    ProbeFailed
        None did. `code` says whether it may later: `NOT_SERVED`, `AWAY` or `REFUSED`.
    """
    begun = time.perf_counter()
    _ask(version, seconds)
    return (time.perf_counter() - begun) * 1000


def _look(version: ModelVersion) -> object:
    return None if _ask(version, PROBE_TIMEOUT, lightly=True) else UNMEASURED


def _ask(version: ModelVersion, seconds: float, *, lightly: bool = False) -> bool:
    """Whether a network computed. Raises `ProbeFailed`."""
    try:
        manifest = manifest_of(version)
        return get_model_server().prove(manifest, Deadline(seconds), lightly=lightly)
    except ValidationError as error:
        raise ProbeFailed("its manifest is no longer one of the contract", REFUSED) from error
    except VersionNotServed as error:
        raise ProbeFailed(str(error), NOT_SERVED) from error
    except AnalysisError as error:
        raise ProbeFailed(f"{error}{_workers(manifest)}", AWAY if error.retryable else REFUSED) from error


def _checks(versions: Iterable[ModelVersion]) -> Mapping[str, Callable[[], object]]:
    return {component_of(version): partial(_look, version) for version in versions}


def _workers(manifest: ModelManifest) -> str:
    status = get_model_server().workers(manifest)
    return "" if status is None else f"; {status.ready} of {status.workers} workers are ready"
