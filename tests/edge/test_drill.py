"""Forty images of eight patients through a box of one core and 2 GB whose line is cut and whose power fails, again and
again, at any moment: each image arrives once, and each study has an answer at the box."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cad_platform.accounts.models import Role, Scope
from cad_platform.studies.models import Instance, QuarantinedFile, Study
from embedded.state import free_port
from tests import factories
from tests.edge.boxes import Memory, RunningBox, image, until
from tests.posted_files import token_for
from tests.web_server import web_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long, pytest.mark.timeout(1500)]

PATIENTS, IMAGES = 8, 5
LIMIT = 2 * 1024**3


@contextlib.contextmanager
def fenced(name: str) -> Iterator[tuple[Path | None, list[int]]]:
    """A control group of 2 GB, where this machine lets one be made; what it held at most comes after."""
    place = Path("/sys/fs/cgroup/memory") / name
    most: list[int] = []
    try:
        place.mkdir()
        (place / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError:
        yield None, most
        return
    try:
        yield place, most
    finally:
        most.append(int((place / "memory.max_usage_in_bytes").read_text()))
        until(lambda: not (place / "cgroup.procs").read_text().strip(), 30, "the fence is empty")
        place.rmdir()


def test_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(token_for(factories.user(Role.INTEGRATOR, factories.site()), Scope.STUDIES_WRITE))
    line, chance = free_port(), random.Random(20)
    box = RunningBox(
        tmp_path / "box",
        {
            "CAD_EDGE_PLATFORM": f"http://127.0.0.1:{line}", "CAD_EDGE_TOKEN_FILE": str(token),
            "CAD_EDGE_QUIET_SECONDS": "2", "CAD_EDGE_RESERVE_MB": "16",
        },
    )  # fmt: skip
    wanted = [(f"P-{patient}", number) for number in range(IMAGES) for patient in range(PATIENTS)]
    files = {each: image(tmp_path, *each) for each in wanted}
    memory, kills, over = Memory(box), 0, threading.Event()

    def machine() -> None:
        """An ultrasound machine: posts, or exports to the folder, until the box has said that it has the image."""
        for place, each in enumerate(wanted):
            if place % 4 == 3:
                inbox = tmp_path / "box" / "inbox"
                inbox.mkdir(parents=True, exist_ok=True)
                (inbox / f".{place}").write_bytes(files[each])
                (inbox / f".{place}").rename(inbox / f"{place}.dcm")
                continue
            while not over.is_set():
                with contextlib.suppress(httpx.HTTPError, OSError):
                    if box.post(files[each]).status_code == 200:
                        break
                time.sleep(0.3)

    with fenced("edge-drill") as (fence, most):

        def prepare() -> None:
            if fence is not None:
                (fence / "cgroup.procs").write_text("0")

        box.start(prepare)
        memory.start()
        sender = threading.Thread(target=machine, daemon=True)
        sender.start()
        try:
            # The line is down at first, comes and goes; the power fails at any moment.
            while sender.is_alive() or kills < 6:
                up = chance.random() < 0.5
                with web_server(tmp_path / "web", port=line) if up else contextlib.nullcontext():
                    time.sleep(chance.uniform(1, 6))
                    box.kill()
                    kills += 1
                    time.sleep(chance.uniform(0, 1))
                    box.start(prepare)
            sender.join()
            with web_server(tmp_path / "web", port=line):
                until(lambda: not list((box.state / "inbox").glob("*.dcm")), 120, "the folder is empty")
                until(
                    lambda: box.health()["waiting"] == 0,
                    300,
                    f"everything is handed over: {box.log()[-2000:]}",
                )
                until(
                    lambda: all(study["result"] for study in box.status()["studies"]),
                    300,
                    "every study is answered",
                )
            health, status = box.health(), box.status()
        finally:
            over.set()
            memory.over.set()
            log = box.log()
            box.kill()

    assert health["delivered"] == len(wanted) and health["declined"] == 0
    assert len(status["studies"]) == Study.objects.count() == PATIENTS
    assert all(study["images_read"] == IMAGES and not study["result"]["error"] for study in status["studies"])
    stored = Counter(Instance.objects.values_list("series__study__accession_number", flat=True))
    assert stored == {f"A-P-{patient}": IMAGES for patient in range(PATIENTS)}
    assert not QuarantinedFile.objects.exists()
    assert "Secret" not in log and "P-1" not in log
    seconds = sum(study["result"]["seconds"] for study in status["studies"]) / len(wanted)
    held = f", the fence {most[0] / 2**20:.0f} MB of 2048 with the page cache" if most else ", no fence here"
    print(
        f"\n{kills} times killed; most memory {memory.peak / 2**20:.0f} MB (PSS){held}; {seconds:.2f} s an image"
    )
    assert memory.peak < LIMIT
