"""What the platform weighs while nobody uses it: memory and processor time of each of its processes.

Memory is the proportional share (PSS): a page that several processes hold counts once in the sum. Processor time is
what all of them used while the measurement waited, with that of children that ended meanwhile. Asked for are at most
2.5 GB and 3 % of one core together, and 450 MB for each process that holds a network.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.platform import running_platform

#: Of all processes together, of one that holds a network (megabytes of 10⁶ bytes), and of one core.
LIMIT_MB, LIMIT_WORKER_MB, LIMIT_CORE = 2500.0, 450.0, 0.03
#: What TorchServe starts for each version.
MODEL_WORKER = "model worker"
_WORKER_SCRIPT = "model_service_worker.py"
_SUPERVISOR = "supervisor"


@dataclass(frozen=True)
class Process:
    """One process at one moment. `cpu_s`: its own, and that of its children that have ended; `cpu_s` and `pss_mb`
    only grow and change, so two moments tell what was used between."""

    pid: int
    name: str
    pss_mb: float
    cpu_s: float


@dataclass(frozen=True)
class Weight:
    """What the processes of one name amount to. `largest_mb`: of one of them."""

    name: str
    processes: int
    pss_mb: float
    largest_mb: float
    cpu_s: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to wait (default 120)")
    parser.add_argument(
        "--settle",
        type=float,
        default=60.0,
        help="seconds before, for what a start leaves to do (default 60)",
    )
    parser.add_argument("--json", type=Path, help="write every measurement there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when every limit is kept, else 1."""
    with running_platform() as platform:
        supervisor = int((platform.state / "ready").read_text())
        time.sleep(options.settle)
        before = list(processes(supervisor, platform.state))
        begun = time.monotonic()
        time.sleep(options.seconds)
        after = list(processes(supervisor, platform.state))
        seconds = time.monotonic() - begun
    found = weighed(before, after)
    if options.json:
        limits = {"mb": LIMIT_MB, "worker_mb": LIMIT_WORKER_MB, "core": LIMIT_CORE}
        summary = {"limits": limits, "seconds": seconds, "weights": [asdict(each) for each in found]}
        options.json.write_text(json.dumps(summary, indent=1))
    return _report(found, seconds)


def processes(supervisor: int, state: Path) -> Iterator[Process]:
    """The supervisor and everything that descends from it, each called as the service that it belongs to.

    Raises
    ------
    PermissionError
        Another user's process: its memory cannot be read.
    """
    known = json.loads((state / "processes.json").read_text())
    names = {entry["pid"]: name for name, entry in known.items()} | {supervisor: _SUPERVISOR}
    parents = dict(_parents())
    for pid in parents:
        name = _name(pid, names, parents)
        if name is None:
            continue
        try:
            if _WORKER_SCRIPT.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                name = MODEL_WORKER
            yield Process(pid, name, _pss_mb(pid), _cpu_s(pid))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended; its parent has its time


def weighed(before: Iterable[Process], after: Iterable[Process]) -> list[Weight]:
    """By name, the heaviest first: memory as it is afterwards, processor time between the two moments."""
    used: defaultdict[str, float] = defaultdict(float)
    shares: defaultdict[str, list[float]] = defaultdict(list)
    for process in before:
        used[process.name] -= process.cpu_s
    for process in after:
        used[process.name] += process.cpu_s
        shares[process.name].append(process.pss_mb)
    found = [
        # Who was here before and is gone has taken its time with it: no less than nothing.
        Weight(name, len(each), sum(each), max(each), max(0.0, used[name]))
        for name, each in shares.items()
    ]
    return sorted(found, key=lambda weight: -weight.pss_mb)


def exceeded(found: Iterable[Weight], seconds: float) -> list[str]:
    """The limits that are not kept, each in a sentence."""
    weights = list(found)
    memory, core = sum(each.pss_mb for each in weights), sum(each.cpu_s for each in weights) / seconds
    worker = max((each.largest_mb for each in weights if each.name == MODEL_WORKER), default=0.0)
    said = []
    if memory > LIMIT_MB:
        said.append(f"{memory:,.0f} MB of memory, at most {LIMIT_MB:,.0f}")
    if worker > LIMIT_WORKER_MB:
        said.append(f"{worker:,.0f} MB of a model worker, at most {LIMIT_WORKER_MB:,.0f}")
    if core > LIMIT_CORE:
        said.append(f"{core:.1%} of a core, at most {LIMIT_CORE:.0%}")
    return said


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int(_stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def _name(pid: int, names: Mapping[int, str], parents: Mapping[int, int]) -> str | None:
    """Of the nearest ancestor that has one."""
    while pid not in names:
        if pid not in parents:
            return None
        pid = parents[pid]
    return names[pid]


def _stat(pid: int) -> list[str]:
    """The fields of `stat` after the name, which may hold anything: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    # utime, stime, and the same of children that have been waited for.
    return sum(int(ticks) for ticks in _stat(pid)[11:15]) / os.sysconf("SC_CLK_TCK")


def _pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kib = [int(line.split()[1]) for line in lines if line.startswith(("Pss:", "SwapPss:"))]
    return sum(kib) * 1024 / 1e6


def _report(found: list[Weight], seconds: float) -> int:
    print(f"\n{'idle':<24}processes   PSS MB  largest MB    CPU s   of a core")
    for each in found:
        print(
            f"{each.name:<24}{each.processes:>9}{each.pss_mb:>9.0f}{each.largest_mb:>12.0f}"
            f"{each.cpu_s:>9.2f}{each.cpu_s / seconds:>12.2%}"
        )
    memory, used = sum(each.pss_mb for each in found), sum(each.cpu_s for each in found)
    print(f"{'together':<33}{memory:>9.0f}{'':>12}{used:>9.2f}{used / seconds:>12.2%}")
    said = exceeded(found, seconds)
    for sentence in said:
        print(f"EXCEEDED: {sentence}.")
    if not said:
        print("Every limit is kept.")
    return 1 if said else 0
