"""Retraining as a job: asked for once, taken by one process, cancelled, gone on with; what comes of it is uploaded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core import outbox, queues
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.learning import calling, consent, exporting, running, tidying, trainings
from cad_platform.learning.models import DatasetVersion, Training
from cad_platform.operations.housekeeping import registered_loops
from cad_platform.records import erasing
from cad_platform.registry.models import ModelVersion
from embedded.state import REPOSITORY
from inference.datasets.generated import write
from tests import factories
from tests.web.hospital import Hospital

pytestmark = pytest.mark.django_db
RECIPE = "byra2021_deep_representation_scaling"


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


@pytest.fixture
def version(hospital: Hospital) -> DatasetVersion:
    return hospital.dataset()


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> None:
    settings.STATE_DIR, settings.MODEL_STORE = tmp_path / "state", tmp_path / "store"
    settings.MODEL_STORE.mkdir()


@pytest.fixture
def laboratory(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the laboratory's place that learns until it is told to stop: how a child process is told of and
    ended. The laboratory itself is in the long test below."""

    def tree(_actor: Any, _version: Any, into: Path, _told: Any = None) -> int:
        into.mkdir(parents=True)
        return 1

    monkeypatch.setattr(exporting, "export", tree)
    monkeypatch.setattr(running, "_EVERY", 0.05)
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "fold 1 of 5"\nexec sleep 60\n')
    program.chmod(0o755)
    settings.LABORATORY_PYTHON = str(program)
    return program


def test_a_training_is_asked_for_once_and_by_administrators(
    hospital: Hospital, version: DatasetVersion
) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    assert trainings.ask(hospital.admin, version, RECIPE) == asked
    assert OutboxEvent.objects.filter(topic=trainings.TRAIN_TOPIC).count() == 1
    assert outbox.subscribers(trainings.TRAIN_TOPIC) == (queues.TRAIN_TASK,)
    assert queues.route(queues.TRAIN_TASK) == {"queue": "training"} and "training" not in queues.QUEUES
    with pytest.raises(Invalid):
        trainings.ask(hospital.admin, version, "../../etc/passwd")
    for role in set(Role.values) - {Role.ADMINISTRATOR}:
        with pytest.raises(NotPermitted):
            trainings.ask(factories.actor(role, hospital.site), version, RECIPE)
    assert trainings.cancel(hospital.admin, asked.pk).state == "cancelled"
    assert trainings.go_on(hospital.admin, asked.pk).state == "waiting"
    with pytest.raises(Conflict):
        trainings.go_on(hospital.admin, asked.pk)


def test_who_withdraws_stops_what_was_not_begun(hospital: Hospital, version: DatasetVersion) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    assert hospital.study.patient is not None
    consent.say(
        Actor.of_user(hospital.reader), hospital.study.patient.patient_id, "", state="no", source="letter"
    )
    with pytest.raises(Conflict) as refusal:
        trainings.ask(hospital.admin, version, RECIPE, "quick")
    assert refusal.value.code == "withdrawn"
    assert running.run_next() == "failed"
    asked.refresh_from_db()
    assert "no longer consent" in asked.said and asked.candidate is None


def test_an_environment_without_the_laboratory_is_said_plainly(
    hospital: Hospital, version: DatasetVersion, settings: Any, tmp_path: Path
) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    for program, words in (("#!/bin/sh\nexit 1\n", "has no PyTorch"), (None, "cannot be run")):
        python = tmp_path / f"python-{words[:3]}"
        if program is not None:
            python.write_text(program)
            python.chmod(0o755)
        settings.LABORATORY_PYTHON = str(python)
        assert running.run_next() == "failed"
        asked.refresh_from_db()
        assert words in asked.said
        trainings.go_on(hospital.admin, asked.pk)


def test_nobody_takes_what_is_alive_and_somebody_what_is_lost(
    hospital: Hospital, version: DatasetVersion
) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    first = running._claim()
    assert first is not None and first.pk == asked.pk and running._claim() is None
    Training.objects.update(seen_at=timezone.now() - tidying.LOST_AFTER - timedelta(seconds=1))
    second = running._claim()
    assert second is not None and second.holder != first.holder
    with pytest.raises(running.Cancelled):
        running._Run(first)._alive("still here")
    running._Run(second)._alive("fold 2 of 5")
    assert Training.objects.get().progress == "fold 2 of 5"


def test_what_was_lost_waits_again_and_a_worker_is_called(
    hospital: Hospital, version: DatasetVersion
) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    first = running._claim()
    assert first is not None and calling.take_turn() == 0, "somebody works on it"
    Training.objects.update(seen_at=timezone.now() - tidying.LOST_AFTER - timedelta(seconds=1))
    assert calling.take_turn() == 1 and calling.take_turn() == 0
    asked.refresh_from_db()
    assert (asked.state, asked.holder) == (Training.State.WAITING, None)
    assert OutboxEvent.objects.filter(topic=trainings.TRAIN_TOPIC).count() == 2
    assert AuditEvent.objects.filter(action="training.lost", object_id=str(asked.pk)).count() == 1
    with pytest.raises(running.Cancelled):
        running._Run(first)._alive("still here")
    assert "lost trainings" in registered_loops()


def test_what_a_person_wants_to_end_is_not_called_for(hospital: Hospital, version: DatasetVersion) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    assert running._claim() is not None
    trainings.cancel(hospital.admin, asked.pk)
    Training.objects.update(seen_at=timezone.now() - tidying.LOST_AFTER - timedelta(seconds=1))
    assert calling.take_turn() == 0
    tidying.take_turn()
    assert Training.objects.get().state == Training.State.CANCELLED


def test_what_waits_while_nothing_learns_is_called_for_once_an_hour(
    hospital: Hospital, version: DatasetVersion
) -> None:
    trainings.ask(hospital.admin, version, RECIPE)
    assert calling.take_turn() == 0, "its message is new"
    OutboxEvent.objects.update(created_at=timezone.now() - calling.CALLED_EVERY)
    assert [calling.take_turn() for _turn in range(2)] == [1, 0], "the message went with a broker's memory"


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_leaves_nothing_that_learns_and_another_goes_on(
    laboratory: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of its own, as the command line runs it, ended by SIGKILL in the middle of a training."""
    hospital = Hospital()
    asked = trainings.ask(hospital.admin, hospital.dataset(), RECIPE)
    folder = running.folder_of(asked.pk)
    (folder / "tree").mkdir(parents=True)  # its images are written already
    environment = os.environ | {
        "CAD_STATE_DIR": str(settings.STATE_DIR), "CAD_MODEL_STORE": str(settings.MODEL_STORE),
        "CAD_LABORATORY_PYTHON": str(laboratory),
    }  # fmt: skip
    command = [sys.executable, "manage.py", "dataset", "work", hospital.site.code]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as worker:
        told(asked, "fold 1 of 5")
        assert _still_sleeps(folder)
        worker.kill()
    until(lambda: not _still_sleeps(folder), "what it had started ends with it", seconds=15)
    first = Training.objects.get(pk=asked.pk).holder
    assert first is not None and calling.take_turn() == 0, "it may only be slow"

    monkeypatch.setattr(tidying, "LOST_AFTER", timedelta(seconds=1))
    until(lambda: calling.take_turn() == 1, "it is seen to be lost")
    ended: list[str] = []

    def work() -> None:
        try:
            ended.append(running.run_next())
        finally:
            connection.close()

    another = threading.Thread(target=work)
    another.start()
    told(asked, "fold 1 of 5")
    assert Training.objects.get(pk=asked.pk).holder not in (None, first)
    trainings.cancel(hospital.admin, asked.pk)
    another.join(30)
    assert ended == ["cancelled"]


def told(training: Training, words: str) -> None:
    """Wait for what whoever works on it says."""
    until(
        lambda: Training.objects.filter(pk=training.pk, state="running", progress=words).exists(),
        "it is told",
    )


def until(true: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(0.1)


@pytest.mark.django_db(transaction=True)
def test_a_person_ends_a_running_one_with_everything_it_started(laboratory: Path) -> None:
    hospital = Hospital()
    asked = trainings.ask(hospital.admin, hospital.dataset(), RECIPE)
    ended: list[str] = []

    def work() -> None:
        try:
            ended.append(running.run_next())
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    deadline = time.monotonic() + 60
    while Training.objects.get(pk=asked.pk).progress != "fold 1 of 5":
        assert time.monotonic() < deadline, "its progress is told"
        time.sleep(0.05)
    trainings.cancel(hospital.admin, asked.pk)
    worker.join(30)
    assert ended == ["cancelled"] and Training.objects.get(pk=asked.pk).step == "learning"
    left = {path.name for path in running.folder_of(asked.pk).iterdir()}
    assert "recipe.yaml" in left and "tree" not in left, "it goes on from what was learned; the images go"
    assert not _still_sleeps(running.folder_of(asked.pk))


def written(training: Training) -> Path:
    """What a worker leaves in a training's folder when it is killed."""
    folder = running.folder_of(training.pk)
    for name in ("tree/images", ".tree-1a2b", "run"):
        (folder / name).mkdir(parents=True)
    (folder / "version.zip").write_bytes(b"")
    return folder


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_images_of_what_has_ended_go_and_what_was_learned_stays(
    hospital: Hospital, version: DatasetVersion
) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    folder, others = written(asked), tidying.folders() / "notes"
    others.mkdir()
    tidying.take_turn()
    assert "tree" in kept(folder), "it waits"
    trainings.cancel(hospital.admin, asked.pk)
    tidying.take_turn()
    assert kept(folder) == {"run"} and others.is_dir()
    unknown = tidying.folders() / str(uuid.uuid4()) / "tree"
    unknown.mkdir(parents=True)
    tidying.take_turn()
    assert not unknown.exists(), "of a database that is no more"


def test_a_worker_that_never_came_back_keeps_no_images_for_ever(
    hospital: Hospital, version: DatasetVersion
) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    assert running._claim() is not None
    folder = written(asked)
    for seen, there in ((tidying.KEPT_FOR - timedelta(hours=1), True), (tidying.KEPT_FOR, False)):
        Training.objects.update(seen_at=timezone.now() - seen)
        tidying.take_turn()
        assert ("tree" in kept(folder)) == there
    assert running._claim() is not None, "somebody goes on with it"


@pytest.mark.parametrize("state", ["waiting", "running", "lost"])
def test_an_erased_patients_images_go_from_what_learns(
    hospital: Hospital, version: DatasetVersion, state: str
) -> None:
    asked = trainings.ask(hospital.admin, version, RECIPE)
    if state != "waiting":
        assert running._claim() is not None
    if state == "lost":
        Training.objects.update(seen_at=timezone.now() - tidying.LOST_AFTER - timedelta(seconds=1))
    folder, patient = written(asked), hospital.study.patient
    assert patient is not None
    request = erasing.ask(Actor.of_user(hospital.reader), patient, on_behalf="patient", reason="she asks")
    erasing.decide(hospital.colleague(), request.pk)
    erasing.take_turn()
    tidying.take_turn()
    asked.refresh_from_db()
    if state == "running":  # its worker sees it within seconds, ends the laboratory and removes the images
        with pytest.raises(running.Cancelled):
            running._Run(asked)._alive("")
    else:
        assert asked.state == "cancelled" and kept(folder) == {"run"}
    assert AuditEvent.objects.filter(action="training.cancel", object_id=str(asked.pk)).count() == 1


def _still_sleeps(folder: Path) -> bool:
    """Whether a process has the folder's log open."""
    for entry in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            if str(entry.readlink()).startswith(str(folder)):
                return True
        except OSError:
            continue
    return False


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_recipe_learns_and_its_version_is_uploaded(
    hospital: Hospital, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The laboratory itself, on a generated tree: one patient is too few to be divided."""
    monkeypatch.setattr(
        exporting, "export", lambda _actor, _version, into, _told=None: write("hospital", into)
    )
    asked = trainings.ask(hospital.admin, version, RECIPE, "quick")
    assert running.run_next() == "succeeded", Training.objects.get().said
    asked.refresh_from_db()
    made = asked.candidate
    assert made is not None and made.state == ModelVersion.State.UPLOADED and not made.is_default
    name = f"hospital_{hospital.site.code.replace('-', '_')}_mg"
    assert (made.name, made.version) == (name, "1.0.0")
    assert (settings.MODEL_STORE / name / "1.0.0" / "model.onnx").is_file()
    left = {path.name for path in running.folder_of(asked.pk).iterdir()}
    assert not left & {"tree", "store", "version.zip"} and {"run", "recipe.yaml"} <= left
