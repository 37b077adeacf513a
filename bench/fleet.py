"""How long a hospital waits for the result of one ultrasound image while one of two model servers is killed or hangs.

A platform of its own with the ultrasound model alone. Posts follow one another, each of a phantom of its own, from the
first byte to the result seen. The supervisor looks away while something happens to a host, so that it stays so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from bench.platform import Platform, running_platform
from bench.turnaround import WARM_UP, made_images, post
from inference.runtime.store import read_manifest, version_folder

#: Seconds at the 95th percentile, while one of two hosts does not work.
LIMIT_S = 5.0
_SECOND = "torchserve-2"
_RETURN_SECONDS = 240.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--posts", type=int, default=40, help="how many in each state (default 40)")
    parser.add_argument("--json", type=Path, help="write every measurement there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when every state keeps to its limit and every study had one result, else 1."""
    with tempfile.TemporaryDirectory(prefix="cad-bench-fleet-") as folder:
        store, manifest = Path(folder) / "store", read_manifest("ultrasound")
        shutil.copytree(version_folder(manifest), version_folder(manifest, store))
        images = made_images(Path(folder), WARM_UP + 3 * options.posts)
        own = {"CAD_DEMO_TORCHSERVE_HOSTS": "2", "CAD_MODEL_STORE": str(store)}
        with running_platform(**own) as platform, platform.client() as client:
            measured = _measure(platform, client, images, options.posts)
    if options.json:
        summary = {
            "limit_s": LIMIT_S,
            "states": {state: {**_summary(times), "seconds": times} for state, times in measured.items()},
        }
        options.json.write_text(json.dumps(summary, indent=1))
    return _report(measured)


def _measure(
    platform: Platform, client: httpx.Client, images: Sequence[bytes], posts: int
) -> dict[str, list[float]]:
    states: dict[str, Callable[[Platform], contextlib.AbstractContextManager[None]]] = {
        "both are well": lambda _: contextlib.nullcontext(),
        "one hangs": _hung,
        "one is killed": _killed,
    }
    waiting = iter(images)
    run_id = f"{int(time.time()):x}"
    for number in range(WARM_UP):
        post(client, next(waiting), f"{run_id}-w{number}", 0.0)
    measured: dict[str, list[float]] = {}
    for letter, (state, happens) in zip("abc", states.items(), strict=True):
        _wait_until_both_are_well(client)
        times: list[float] = []
        with happens(platform):
            for number in range(posts):
                usual = float(np.median(times)) * 1000 if times else 0.0
                times.append(post(client, next(waiting), f"{run_id}{letter}{number}", usual).total / 1000)
        measured[state] = times
    return measured


@contextmanager
def _hung(platform: Platform) -> Iterator[None]:
    with _stopped(platform.pid(_SECOND)):
        yield


@contextmanager
def _killed(platform: Platform) -> Iterator[None]:
    supervisor = int((platform.state / "ready").read_text())
    with _stopped(supervisor):
        os.kill(platform.pid(_SECOND), signal.SIGKILL)
        yield


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _wait_until_both_are_well(client: httpx.Client) -> None:
    deadline = time.monotonic() + _RETURN_SECONDS
    while client.get("/readyz").json().get("state") != "ready":
        if time.monotonic() > deadline:
            raise SystemExit(f"The hosts are not both well after {_RETURN_SECONDS:.0f} s.")
        time.sleep(0.5)


def _summary(times: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(times, [50, 95])
    return {"posts": len(times), "p50": float(p50), "p95": float(p95), "longest": max(times)}


def _report(measured: dict[str, list[float]]) -> int:
    print(f"\n{'one ultrasound image, POST to result seen':<44}posts    p50 s    p95 s  longest s")
    kept = True
    for state, times in measured.items():
        found = _summary(times)
        print(
            f"{state:<44}{found['posts']:>5}{found['p50']:>9.2f}{found['p95']:>9.2f}{found['longest']:>11.2f}"
        )
        kept = kept and found["p95"] <= LIMIT_S
    verdict = "keep to" if kept else "EXCEED"
    print(f"Every study had its one result. They {verdict} the limit of {LIMIT_S:.0f} s at p95.")
    return 0 if kept else 1
