"""A host's own counters, in Prometheus' text format: how many requests it took, and the memory of its device."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import httpx

from cad_platform.modelserver.hosts import Host

_SECONDS = 3.0
#: A page of counters is some kilobytes.
_MOST_BYTES = 4 * 2**20
_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?\s+([-+0-9.eE]+|NaN)(?:\s+\d+)?$")
#: Of TorchServe, Triton and MLServer; a host has one of them.
_REQUESTS = (
    "ts_inference_requests_total",
    "nv_inference_request_success",
    "model_infer_request_success_total",
)


@dataclass(frozen=True)
class Counters:
    """`requests_total`: since the host's start, of all versions. Megabytes are of the graphics cards where it reports
    them, else of the machine."""

    requests_total: int | None
    memory_used_mb: int | None
    memory_total_mb: int | None


def read_counters(host: Host) -> Counters | None:
    """What the host counts now; None where it cannot be asked."""
    if not host.metrics_url:
        return None
    try:
        answer = host.client.get(
            f"{host.metrics_url}/metrics",
            headers={"Host": host.server_name} if host.server_name else {},
            timeout=_SECONDS,
            extensions=host.extensions,
        )
    except (httpx.HTTPError, OSError):
        return None
    if answer.status_code != 200 or len(answer.content) > _MOST_BYTES:
        return None
    return parsed(answer.text)


def parsed(text: str) -> Counters:
    """Every series of a name is added up. A counter that has counted nothing yet is not on the page: zero, where any
    other is there."""
    sums: defaultdict[str, float] = defaultdict(float)
    series: Counter[str] = Counter()
    for line in text.splitlines():
        found = _LINE.match(line.strip())
        if found and found[2] != "NaN":
            sums[found[1]] += float(found[2])
            series[found[1]] += 1
    counted = next((int(sums[name]) for name in _REQUESTS if name in sums), 0)
    if "GPUMemoryUsed" in sums:
        used, share = sums["GPUMemoryUsed"], sums.get("GPUMemoryUtilization", 0.0)
        # Per cent of each card: their mean is of all together, where the cards are of one size.
        total = used * 100 * series["GPUMemoryUtilization"] / share if share else None
    elif "MemoryUsed" in sums:
        used = sums["MemoryUsed"]
        total = used + sums.get("MemoryAvailable", 0.0)
    else:
        return Counters(counted, None, None)
    return Counters(counted, round(used), None if total is None else round(total))
