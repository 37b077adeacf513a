"""One request to one server of the Open Inference Protocol (KServe's v2: KServe, Triton, MLServer), and what its answer
means.

Tensors travel as the protocol's JSON, which every such server takes; a forward pass is asked and answered here in this
platform's own encoding (`inference.runtime.wire`), as of a TorchServe, so that nobody else need know which of them a
host is. The protocol says how a version is asked and whether it is ready; it knows no workers and no loading.
"""

from __future__ import annotations

import json
import math
import time
from typing import Any

import httpx

from cad_platform.modelserver.calls import (
    UNREACHABLE,
    HostAway,
    NotLoaded,
    TooLarge,
    post,
    refuses_token,
)
from cad_platform.modelserver.hosts import Host, Version
from inference.contract import AnalysisError

_READY_SECONDS = 3.0
#: The protocol's names of what our networks take and say.
_DATATYPES = {
    "UINT8": "uint8",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_NAMES = {name: datatype for datatype, name in _DATATYPES.items()}
#: What the wire takes for a type that it does not know.
_NARROWED = {"float64": "float32"}
_MOST_OUTPUTS = 16


def predict(host: Host, version: Version, body: bytes, seconds: float) -> bytes:
    """As `calls.predict`, by the other protocol.

    Raises
    ------
    HostAway, NotLoaded, TooLarge
        See `calls`.
    inference.contract.AnalysisError
        The request is at fault, or the answer is none of the protocol's.
    """
    url = f"{host.url}/v2/models/{version.name}/versions/{version.version}"
    asked = _request(body)
    begun = time.monotonic()
    answer = post(host, f"{url}/infer", asked, "application/json", seconds)
    if refuses_token(answer):
        host.tokens.forget()
        answer = post(host, f"{url}/infer", asked, "application/json", seconds)
    if answer.status_code == 200:
        return _answer(answer, version, (time.monotonic() - begun) * 1000)
    if answer.status_code == 413:
        raise TooLarge
    if refuses_token(answer):
        raise HostAway("the model server refuses the token", certain=True)
    if answer.status_code in {400, 404} and _says_an_error(answer):
        # The protocol has no words for a version that is not there: whether it is ready says so.
        _raise_if_not_ready(host, f"{url}/ready")
    if answer.status_code in UNREACHABLE:
        raise HostAway(f"status {answer.status_code}")
    raise AnalysisError(f"the model server refused the input (status {answer.status_code})")


def _raise_if_not_ready(host: Host, url: str) -> None:
    try:
        answer = host.client.get(
            url, headers=host.headers(), timeout=_READY_SECONDS, extensions=host.extensions
        )
    except httpx.HTTPError as error:
        raise HostAway(type(error).__name__) from error
    if answer.status_code in {400, 404} and _says_an_error(answer):
        raise NotLoaded
    if answer.status_code != 200:
        raise HostAway(f"status {answer.status_code}")


def _request(body: bytes) -> bytes:
    from inference.runtime import wire

    tensors, _ = wire.decode(body)
    inputs = [
        {
            "name": name,
            "shape": list(tensor.shape),
            "datatype": _NAMES[tensor.dtype.name],
            "data": tensor.reshape(-1).tolist(),
        }
        for name, tensor in tensors.items()
    ]
    return json.dumps({"inputs": inputs}, allow_nan=False).encode()


def _answer(answer: httpx.Response, version: Version, milliseconds: float) -> bytes:
    from inference.runtime import wire
    from inference.runtime.handler import MODEL_MS

    try:
        content = answer.json()
        outputs = content["outputs"]
        said = content.get("model_version") or version.version
        if said != version.version or not 1 <= len(outputs) <= _MOST_OUTPUTS:
            raise ValueError
        tensors = dict(_output(output) for output in outputs)
        if len(tensors) != len(outputs):
            raise ValueError
        return wire.encode(tensors, {MODEL_MS: round(milliseconds, 3)})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AnalysisError("the model server's answer cannot be read") from error


def _output(output: dict[str, Any]) -> tuple[str, Any]:
    import numpy as np

    name, shape, kind = output["name"], output["shape"], _DATATYPES[output["datatype"]]
    if not isinstance(name, str) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("malformed output")
    data = np.asarray(output["data"], dtype=_NARROWED.get(kind, kind))
    if data.size != math.prod(shape):
        raise ValueError("a shape that is not that of its data")
    return name, data.reshape(shape)


def _says_an_error(answer: httpx.Response) -> bool:
    """In the protocol's words; else it is a proxy's before it."""
    try:
        content = answer.json()
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("error"), str)
