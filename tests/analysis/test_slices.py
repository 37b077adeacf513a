"""A slide is analysed in slices: it gives way, another worker goes on, and nothing of it is lost or different."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from cad_platform.analysis import lease, runner, services, turns, worker
from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.core.errors import Unavailable
from cad_platform.core.models import OutboxEvent
from cad_platform.core.queues import MAINTENANCE, QUEUES, SHORT, SLIDE
from cad_platform.modelserver.inprocess import InProcessModelServer
from cad_platform.modelserver.port import Deadline
from cad_platform.studies import storage
from cad_platform.studies.collector import collect
from cad_platform.studies.models import StoredFile
from inference.contract import ImageReference
from inference.runtime import resumable
from inference.runtime.histopathology.pipeline import FIELDS_PER_CALL
from inference.runtime.store import read_manifest
from tests import factories
from tests.inference.runtime.test_tiling_resumes import write_section

State, Outcome = AnalysisJob.State, JobAttempt.Outcome
MakeSlide = Callable[..., AnalysisJob]


@pytest.fixture(scope="session")
def section(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("section") / "slide.tif"
    write_section(path)
    return path.read_bytes()


@pytest.fixture
def slide(models: dict[str, Any], section: bytes) -> MakeSlide:
    """Make a slide's study of a priority, and its job."""

    def make(priority: str = "routine") -> AnalysisJob:
        study = factories.study(factories.site(), "SM", priority=priority)
        with transaction.atomic():
            file = storage.store_bytes(section, "image/tiff")
        size = {"rows": 1000, "columns": 900, "pixel_spacing_um": 4.0}
        factories.instance(study, view="", laterality="", kind="slide", file=file, **size)
        (job,) = services.request_analyses(study.pk)
        assert job.queue == SLIDE
        AnalysisJob.objects.filter(pk=job.pk).update(available_at=timezone.now() - timedelta(seconds=5))
        return job

    return make


class Watched(InProcessModelServer):
    """The networks in this process; `before` is called before each large pass."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(settings.MODEL_STORE)
        self.passes = 0
        self._before = before

    def _session(self, manifest: Any) -> Any:
        session = super()._session(manifest)

        def run(tensor: Any, /) -> Any:
            self.passes += 1
            self._before(self.passes)
            return session(tensor)

        return run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """Have analyses made by a `Watched` server."""
    monkeypatch.setattr(lease, "_LOOK_SECONDS", 0.05)

    def use(before: Callable[[int], None] = lambda _: None) -> Watched:
        server = Watched(before)
        monkeypatch.setattr(runner, "get_model_server", lambda: server)
        return server

    return use


def said(job: AnalysisJob) -> tuple[Any, Any, bytes]:
    """What the result says, without the names of its maps and the times; and the heat map."""
    result = AnalysisJob.objects.get(pk=job.pk).result
    with storage.open(job.artefacts.get().file_id) as path:
        return (*_plain(result), path.read_bytes())


def _plain(result: dict[str, Any]) -> tuple[Any, Any]:
    images = [{**image, "heatmap": None, "image_id": None} for image in result["images"]]
    return result["probabilities"], images


@pytest.fixture(scope="session")
def uninterrupted(section: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, bytes]:
    """The same of an analysis that nobody interrupted."""
    path: Path = tmp_path_factory.mktemp("whole") / "slide.tif"
    path.write_bytes(section)
    manifest = read_manifest("histopathology", settings.MODEL_STORE)
    maps: list[bytes] = []

    def save(_: str, png: bytes, /) -> str:
        maps.append(png)
        return ""

    reference = ImageReference(image_id="slide", path=str(path), spacing_um=(4.0, 4.0))
    server = InProcessModelServer(settings.MODEL_STORE)
    result = server.analyse(manifest.request("whole", reference), manifest, save, Deadline(120))
    return (*_plain(result.model_dump(mode="json")), maps[0])


def outcomes(job: AnalysisJob) -> list[str]:
    return list(job.attempts.order_by("number").values_list("outcome", flat=True))


@pytest.mark.django_db(transaction=True)
class TestGivingWay:
    def test_a_slide_gives_way_to_a_stat_one_and_goes_on(
        self, slide: MakeSlide, served: Any, uninterrupted: Any
    ) -> None:
        stat: list[AnalysisJob] = []

        def arrive(number: int) -> None:
            if not stat:
                stat.append(slide("stat"))
            if number == 1:
                time.sleep(0.5)  # the worker looks meanwhile

        server, routine = served(arrive), slide()
        assert runner.run_next(SLIDE) == "gave way"
        routine.refresh_from_db()
        assert (routine.state, routine.reason, outcomes(routine)) == (State.REQUESTED, "", [Outcome.GAVE_WAY])
        assert routine.checkpoint is not None and routine.queued_at is not None
        assert OutboxEvent.objects.filter(topic="analysis.requested", payload={"queue": SLIDE}).exists()

        assert runner.run_next(SLIDE) == "succeeded"
        assert outcomes(stat[0]) == [Outcome.SUCCEEDED]
        passes = server.passes
        assert runner.run_next(SLIDE) == "succeeded"
        assert server.passes - passes == 2, "the first pass was kept"
        assert outcomes(routine) == [Outcome.GAVE_WAY, Outcome.SUCCEEDED]
        assert said(routine) == said(stat[0]) == uninterrupted
        routine.refresh_from_db()
        assert (
            routine.checkpoint is None
            and routine.result["images"][0]["descriptors"]["fields"] > FIELDS_PER_CALL
        )

    def test_a_worker_that_is_to_end_gives_way(
        self, slide: MakeSlide, served: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(_: int) -> None:
            worker.note_stopping()
            time.sleep(0.3)

        server, job = served(stop), slide()
        monkeypatch.setattr(worker, "_stopping", bytearray(1))
        assert runner.run_next(SLIDE) == "gave way"
        monkeypatch.setattr(worker, "_stopping", bytearray(1))
        again = served()
        assert runner.run_next(SLIDE) == "succeeded"
        assert (server.passes, again.passes) == (1, 2)
        assert outcomes(job) == [Outcome.GAVE_WAY, Outcome.SUCCEEDED]

    def test_one_whose_storage_is_away_gives_way_to_nobody(
        self, slide: MakeSlide, served: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*_: object) -> None:
            raise Unavailable("the storage does not answer")

        def stop(_: int) -> None:
            worker.note_stopping()
            time.sleep(0.2)

        job = slide()
        served(stop)
        monkeypatch.setattr(worker, "_stopping", bytearray(1))
        monkeypatch.setattr(services, "keep_checkpoint", away)
        assert runner.run_next(SLIDE) == "succeeded"
        assert outcomes(job) == [Outcome.SUCCEEDED]


@pytest.fixture(params=["a folder", pytest.param("a bucket", marks=pytest.mark.long)])
def other_machine(
    request: pytest.FixtureRequest, settings: Any, tmp_path: Path
) -> Iterator[Callable[[], None]]:
    """The storage that two machines share; to be called in the process of the second one."""
    if request.param == "a folder":
        yield lambda: None
        return
    settings.STORAGE_URL = f"s3://{request.getfixturevalue('bucket')}/objects"
    settings.STATE_DIR = tmp_path / "one"

    def another() -> None:
        # Nothing but the bucket is common: no file of the first one's, and no connection.
        settings.STATE_DIR = tmp_path / "other"
        storage._objects.cache_clear()

    yield another
    storage._objects.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_loses_nothing(
    slide: MakeSlide,
    served: Any,
    uninterrupted: Any,
    monkeypatch: pytest.MonkeyPatch,
    other_machine: Callable[[], None],
) -> None:
    """Killed by the kernel, in a process of its own; another goes on once the lease has run out, on another machine."""
    monkeypatch.setattr(resumable, "KEEP_EVERY_SECONDS", 0.0)
    job = slide()

    def first() -> None:
        other_machine()
        runner.run_next(SLIDE)

    with _in_a_child(first, served, lambda n: time.sleep(60 if n == 3 else 0)) as pid:
        deadline = time.monotonic() + 60
        while AnalysisJob.objects.get(pk=job.pk).checkpoint_id is None:
            assert time.monotonic() < deadline, "nothing was kept"
            time.sleep(0.05)
        time.sleep(0.5)  # into the next pass
        os.kill(pid, signal.SIGKILL)
    AnalysisJob.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert services.take_over_lost() == 1
    assert AnalysisJob.objects.get(pk=job.pk).checkpoint_id is not None
    server = served()
    assert runner.run_next(SLIDE) == "succeeded"
    assert 1 <= server.passes <= 2, "what was kept was not asked for again"
    assert outcomes(job) == [Outcome.LOST, Outcome.SUCCEEDED]
    assert said(job) == uninterrupted


class _in_a_child:
    """Run `work` in a forked process, which ends with the block."""

    def __init__(self, work: Callable[[], object], served: Any, before: Callable[[int], None]) -> None:
        self._work, self._served, self._before = work, served, before

    def __enter__(self) -> int:
        connection.close()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._served(self._before)
                self._work()
            finally:
                os._exit(1)
        return self._pid

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


@pytest.mark.django_db
class TestKeeping:
    @pytest.fixture
    def claim(self, slide: MakeSlide) -> services.Claim:
        slide()
        claim = services.claim_next(SLIDE, "worker-1")
        assert claim is not None
        return claim

    def test_a_lost_attempt_keeps_nothing(self, claim: services.Claim) -> None:
        assert services.keep_checkpoint(claim, b"passes")
        AnalysisJob.objects.filter(pk=claim.job.pk).update(attempt=2)
        assert not services.keep_checkpoint(claim, b"an older worker's")
        kept = AnalysisJob.objects.get(pk=claim.job.pk).checkpoint_id
        with storage.open(kept) as path:
            assert path.read_bytes() == b"passes"

    def test_what_is_kept_is_collected_only_after_the_job(self, claim: services.Claim) -> None:
        services.keep_checkpoint(claim, b"passes")
        kept = AnalysisJob.objects.get(pk=claim.job.pk).checkpoint_id
        old = timezone.now() - timedelta(days=1)
        StoredFile.objects.filter(pk=kept).update(stored_at=old)
        collect()
        assert StoredFile.objects.filter(pk=kept).exists()
        services.conclude(claim, State.NOT_APPLICABLE, "not analysed: no stained tissue was found")
        collect()
        assert not StoredFile.objects.filter(pk=kept).exists()

    def test_giving_way_counts_against_nothing(self, claim: services.Claim, settings: Any) -> None:
        settings.JOB_MAX_ATTEMPTS = 1
        for number in range(3):
            assert services.give_way(claim)
            again = services.claim_next(SLIDE, f"worker-{number}")
            assert again is not None
            claim = again
        assert AnalysisJob.objects.get(pk=claim.job.pk).state == State.RUNNING


@pytest.mark.django_db
class TestWhoGivesWay:
    """Of slides at work as many as are waited for, the least urgent and youngest first."""

    @pytest.fixture
    def running(self) -> Iterator[Callable[..., AnalysisJob]]:
        from tests.analysis.test_turns import waiting

        def make(priority: str = "routine", minutes: float = 0, by_age: bool = False) -> AnalysisJob:
            job = waiting(priority, queue=SLIDE, state=State.RUNNING, attempt=1)
            begun = timezone.now() - timedelta(minutes=minutes)
            AnalysisJob.objects.filter(pk=job.pk).update(started_at=begun)
            JobAttempt.objects.create(job=job, number=1, queue=SLIDE, by_age=by_age)
            job.refresh_from_db()
            return job

        yield make

    @pytest.fixture
    def due(self) -> Callable[..., AnalysisJob]:
        from tests.analysis.test_turns import waiting

        def make(priority: str, queue: str = SLIDE, seconds: float = 5) -> AnalysisJob:
            return waiting(priority, queue=queue, available_at=timezone.now() - timedelta(seconds=seconds))

        return make

    def test_to_what_is_more_urgent_only(self, running: Any, due: Any) -> None:
        routine, urgent = running("routine"), running("urgent")
        assert not turns.must_give_way(routine, [SLIDE])
        due("urgent")
        assert turns.must_give_way(routine, [SLIDE]) and not turns.must_give_way(urgent, [SLIDE])

    def test_one_for_each_that_waits(self, running: Any, due: Any) -> None:
        old, young = running(minutes=5), running(minutes=1)
        due("stat")
        assert [turns.must_give_way(job, [SLIDE]) for job in (old, young)] == [False, True]
        due("stat")
        assert [turns.must_give_way(job, [SLIDE]) for job in (old, young)] == [True, True]

    def test_a_worker_that_is_free_has_its_moment(self, running: Any, due: Any) -> None:
        job = running()
        due("stat", seconds=0)
        assert not turns.must_give_way(job, [SLIDE])

    def test_to_an_image_where_the_worker_serves_images_too(self, running: Any, due: Any) -> None:
        job = running("routine")
        due("routine", queue=SHORT)
        assert not turns.must_give_way(job, [SLIDE]), "images have workers of their own"
        assert turns.must_give_way(job, [MAINTENANCE, SHORT, SLIDE])
        assert not turns.must_give_way(running("urgent"), QUEUES)

    def test_not_where_it_has_its_turn_by_age(self, running: Any, due: Any) -> None:
        job = running(by_age=True)
        due("stat")
        assert not turns.must_give_way(job, [SLIDE])

    def test_a_worker_without_a_choice_serves_all_queues(self) -> None:
        assert worker.queues_served() == QUEUES
