"""The model server that the settings name, one a process."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from cad_platform.modelserver.inprocess import InProcessModelServer
from cad_platform.modelserver.port import ModelServer
from cad_platform.modelserver.tokens import TokenSource
from cad_platform.modelserver.torchserve import TorchServeModelServer


@cache
def get_model_server() -> ModelServer:
    """The adapter of `CAD_MODEL_SERVER`. Not to be called before a process forks: connections and ONNX
    sessions do not survive that.

    Raises
    ------
    ImproperlyConfigured
        An unknown adapter, or TorchServe without an address.
    """
    if settings.MODEL_SERVER == "inprocess":
        return InProcessModelServer(settings.MODEL_STORE, settings.PASSES_DIR)
    if settings.MODEL_SERVER != "torchserve":
        raise ImproperlyConfigured("CAD_MODEL_SERVER is torchserve or inprocess.")
    if not settings.TORCHSERVE_URLS:
        raise ImproperlyConfigured("Set CAD_TORCHSERVE_URL, or CAD_MODEL_SERVER=inprocess.")
    return TorchServeModelServer(
        settings.TORCHSERVE_URLS,
        TokenSource(settings.TORCHSERVE_KEY_FILE, settings.TORCHSERVE_TOKEN),
        management_urls=settings.TORCHSERVE_MANAGEMENT_URLS,
        concurrency=settings.TORCHSERVE_CONCURRENCY,
        passes=settings.PASSES_DIR,
    )
