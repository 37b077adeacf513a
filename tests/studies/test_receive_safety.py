"""Two posts at once, and a process killed in the middle: one study, and never a row without its file."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cad_platform.core.errors import Unavailable
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.studies import storage, turns
from cad_platform.studies.collector import collect
from cad_platform.studies.models import Instance, StoredFile, Study
from cad_platform.studies.objects import FileObjects
from embedded.state import REPOSITORY
from imaging.digest import sha256_of
from tests.posted_files import STUDY, Hospital, dicom, png

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Start all together; their answers in order."""
    barrier, answers = threading.Barrier(len(calls)), [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            barrier.wait(30)
            answers[place] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


@pytest.mark.parametrize(
    ("study", "files"), [(STUDY, {"a.png": png()}), (None, {"a.dcm": dicom(1), "b.dcm": dicom(2)})]
)
def test_the_same_post_many_times_at_once_makes_one_study(study: Any, files: dict[str, bytes]) -> None:
    hospital = Hospital()
    answers = at_once(*[lambda: hospital.post(study, files)] * 6)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["study_instance_uid"] for answer in answers}) == 1
    assert (Study.objects.count(), Instance.objects.count()) == (1, len(files))


def test_the_same_key_many_times_at_once_makes_one_study() -> None:
    hospital = Hospital()
    answers = at_once(*[lambda: hospital.post(**{"Idempotency-Key": "k"})] * 6)
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {201, 409} and 201 in statuses
    assert Study.objects.count() == 1


def test_one_uid_for_two_patients_at_once_is_stored_for_one_of_them() -> None:
    hospital = Hospital()
    data = dicom()
    answers = at_once(
        *(lambda p=p: hospital.post({"patient": {"id": p}}, {"a.dcm": data}) for p in ("A", "B"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert Study.objects.count() == 1


def test_one_image_in_two_studies_of_two_patients_at_once_is_stored_once() -> None:
    hospital = Hospital()
    data = dicom()
    answers = at_once(
        *(
            lambda n=n: hospital.post(
                {"patient": {"id": f"P{n}"}, "study_instance_uid": f"2.25.{n}"}, {"a.dcm": data}
            )
            for n in range(1, 5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert Instance.objects.count() == 1


def test_many_studies_of_a_new_patient_at_once_make_one_patient() -> None:
    hospital = Hospital()
    answers = at_once(
        *(
            lambda n=n: hospital.post({**STUDY, "accession_number": f"A{n}"}, {"a.png": png(n)})
            for n in range(6)
        )
    )
    assert [answer.status_code for answer in answers] == [201] * 6
    assert Patient.objects.count() == 1
    assert not DemographicsReview.objects.exists()


PROGRAM = """
import sys, time
from pathlib import Path
import django
django.setup()
from cad_platform.accounts.models import User
from cad_platform.core.actor import Actor
from cad_platform.studies import services, storage
from imaging.digest import sha256_of
from cad_platform.studies.post import StudyPost
from cad_platform.studies.describing import PostedFile

path, flag, point, username = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]

def stop_here(*_):
    flag.touch()
    time.sleep(60)

if point == "file in place, no row":
    put = storage.objects().put
    storage.objects().put = lambda *arguments: (put(*arguments), stop_here())
services.receive(
    Actor.of_user(User.objects.get(username=username)),
    StudyPost.model_validate({"patient": {"id": "P"}, "modality": "US"}),
    [PostedFile("a.png", path, sha256_of(path), path.stat().st_size)],
    note=stop_here,
)
"""


@pytest.mark.parametrize("point", ["file in place, no row", "rows written, not committed"])
def test_a_killed_process_leaves_no_row_without_its_file(point: str, tmp_path: Path, settings: Any) -> None:
    hospital = Hospital()
    upload, flag = Path(settings.UPLOAD_DIR) / "killed.part", tmp_path / "reached"
    data = png(77)
    upload.write_bytes(data)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, upload, flag, point, hospital.user.username],
        cwd=REPOSITORY,
        env=os.environ,
    )
    try:
        deadline = time.monotonic() + 60
        while not flag.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not Study.objects.exists() and not StoredFile.objects.exists() and not Patient.objects.exists()
    assert storage.exists(hashlib.sha256(data).hexdigest())

    assert hospital.post(files={"a.png": data}).status_code == 201  # the sender simply sends again
    settings.COLLECT_AFTER_SECONDS = -1
    collect()
    with storage.open(StoredFile.objects.get().sha256) as path:
        assert path.read_bytes() == data


def test_what_a_killed_process_leaves_is_collected(settings: Any) -> None:
    source = Path(settings.UPLOAD_DIR) / "left.part"
    source.write_bytes(b"left behind")
    digest = sha256_of(source)
    storage.objects().put(source, digest)
    settings.COLLECT_AFTER_SECONDS = -1
    assert collect().files >= 1
    assert not storage.exists(digest)


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_bytes_reach_the_storage_before_any_transaction_is_open(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While bytes travel nobody waits: no transaction is open, and none of the locks of posts or files is held."""
    seen: list[tuple[bool, int]] = []
    put = FileObjects.put

    def watched(self: FileObjects, path: Path, sha256: str) -> None:
        open_transaction = connection.in_atomic_block
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                " AND classid IN (%s, %s)",
                [storage.LOCK_CLASS, turns._LOCK],
            )
            seen.append((open_transaction, cursor.fetchone()[0]))
        put(self, path, sha256)

    monkeypatch.setattr(FileObjects, "put", watched)
    files = {f"{number}.dcm": dicom(number) for number in range(3)}
    assert Hospital().post(None, files, **headers).status_code == 201
    assert seen == [(False, 0)] * 3


def test_a_study_that_comes_again_sends_its_bytes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    hospital, files = Hospital(), {"a.dcm": dicom(1), "b.dcm": dicom(2)}
    assert hospital.post(None, files).status_code == 201

    def refused(self: FileObjects, path: Path, sha256: str) -> None:
        pytest.fail("the bytes are there already")

    monkeypatch.setattr(FileObjects, "put", refused)
    assert hospital.post(None, files).status_code == 200


def test_bytes_of_a_refused_post_are_collected(settings: Any) -> None:
    hospital = Hospital()
    stored, other = dicom(1), dicom(3)
    assert hospital.post(None, {"a.dcm": stored}).status_code == 201
    post = {"patient": {"id": "P-2"}}
    assert hospital.post(post, {"a.dcm": stored, "b.dcm": other}).status_code == 409
    left = hashlib.sha256(other).hexdigest()
    assert storage.exists(left) and not StoredFile.objects.filter(pk=left).exists()
    settings.COLLECT_AFTER_SECONDS = -1
    collect()
    assert not storage.exists(left)
    with storage.open(StoredFile.objects.get().sha256) as path:
        assert path.read_bytes() == stored


def test_bytes_that_were_collected_before_they_were_named_are_not_named(settings: Any) -> None:
    deposited = storage.deposit_bytes(b"slow", "image/png")
    storage.delete(deposited.sha256)
    settings.COLLECT_AFTER_SECONDS = 0
    with pytest.raises(Unavailable):
        storage.name([deposited])
    assert not StoredFile.objects.exists()


def test_the_same_bytes_named_at_once_in_other_orders_do_not_wait_for_each_other_forever() -> None:
    hospital = Hospital()
    pictures = {f"{seed}.png": png(seed) for seed in range(6)}
    backwards = dict(reversed(pictures.items()))
    answers = at_once(
        *(
            lambda n=n, files=files: hospital.post({**STUDY, "patient": {"id": f"P{n}"}}, files)
            for n, files in enumerate([pictures, backwards] * 3)
        )
    )
    assert [answer.status_code for answer in answers] == [201] * 6
    assert StoredFile.objects.count() == 6
