"""The model server that the settings name, one a process."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from cad_platform.modelserver.inprocess import InProcessModelServer
from cad_platform.modelserver.port import ModelServer
from cad_platform.modelserver.torchserve import TorchServeModelServer


def has_fleet() -> bool:
    """Whether models are served by hosts, and not in this very process."""
    return bool(settings.MODEL_SERVER == "torchserve")


@cache
def get_model_server() -> ModelServer:
    """The adapter of `CAD_MODEL_SERVER`. Not to be called before a process forks: connections and ONNX
    sessions do not survive that.

    Raises
    ------
    ImproperlyConfigured
        An unknown adapter, or an address of the settings that is none.
    """
    if settings.MODEL_SERVER == "inprocess":
        return InProcessModelServer(settings.MODEL_STORE)
    if not has_fleet():
        raise ImproperlyConfigured("CAD_MODEL_SERVER is torchserve or inprocess.")
    from cad_platform.modelserver import discovery
    from cad_platform.modelserver.fleet import StoredFleet
    from cad_platform.modelserver.known_case import KnownCases

    discovery.check_settings()
    return TorchServeModelServer(
        StoredFleet(),
        concurrency=settings.TORCHSERVE_CONCURRENCY,
        cases=KnownCases(settings.MODEL_STORE),
    )
