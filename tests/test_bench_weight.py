"""The bench of weight: what is added up, and of whom."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.weight import (
    LIMIT_CORE,
    LIMIT_MB,
    LIMIT_WORKER_MB,
    MODEL_WORKER,
    Process,
    exceeded,
    processes,
    weighed,
)


def test_processes_of_one_name_are_added_up_and_the_largest_is_told() -> None:
    before = [Process(1, "worker", 90.0, 5.0), Process(2, "worker", 50.0, 1.0), Process(3, "beat", 70.0, 2.0)]
    after = [
        Process(1, "worker", 100.0, 5.5),
        Process(4, "worker", 60.0, 0.25),
        Process(3, "beat", 70.0, 2.0),
    ]
    worker, beat = weighed(before, after)
    # The second worker's second stays with its parent, who has waited for it.
    assert (worker.name, worker.processes, worker.pss_mb, worker.largest_mb) == ("worker", 2, 160.0, 100.0)
    assert (beat.processes, beat.cpu_s) == (1, 0.0)


def test_the_time_of_a_child_that_ended_is_its_parents() -> None:
    before = [Process(1, "worker", 90.0, 5.0), Process(2, "worker", 50.0, 1.0)]
    (worker,) = weighed(before, [Process(1, "worker", 90.0, 6.75)])
    assert worker.cpu_s == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("memory", "worker", "seconds", "says"),
    [
        (LIMIT_MB, LIMIT_WORKER_MB, LIMIT_CORE * 120, []),
        (LIMIT_MB + 1, 0, 0, ["memory"]),
        (0, LIMIT_WORKER_MB + 1, 0, ["model worker"]),
        (0, 0, LIMIT_CORE * 121, ["core"]),
        (LIMIT_MB + 1, LIMIT_WORKER_MB + 1, LIMIT_CORE * 121, ["memory", "model worker", "core"]),
    ],
)
def test_each_limit_is_told_by_itself(memory: float, worker: float, seconds: float, says: list[str]) -> None:
    before = [Process(1, "web", 0.0, 0.0), Process(2, MODEL_WORKER, 0.0, 0.0)]
    after = [Process(1, "web", memory - worker, seconds), Process(2, MODEL_WORKER, worker, 0.0)]
    said = exceeded(weighed(before, after), 120)
    assert len(said) == len(says)
    assert all(word in sentence for word, sentence in zip(says, said, strict=True))


def test_a_process_is_called_as_the_service_that_it_belongs_to(tmp_path: Path) -> None:
    wait = "import sys; print(flush=True); sys.stdin.read()"
    started = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {wait!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", started], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        (tmp_path / "processes.json").write_text(json.dumps({"web": {"pid": child.pid, "started": 1}}))
        found = list(processes(os.getpid(), tmp_path))
        child.communicate()
    # A run of all tests has services of its own beside them.
    web = [each for each in found if each.name == "web"]
    assert len(web) == 2 and {each.name for each in found} == {"supervisor", "web"}
    assert all(1 < each.pss_mb < 10_000 for each in web)
