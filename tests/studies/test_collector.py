"""The collector removes what no row names, and never what a row names or is about to name."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from cad_platform.studies import storage
from cad_platform.studies.collector import Collected, collect
from cad_platform.studies.models import StoredFile
from cad_platform.studies.objects import key_of
from imaging.digest import sha256_of
from tests import factories

NOTHING = Collected(0, 0, 0)


@pytest.fixture
def root(settings: Any, tmp_path: Path) -> Path:
    settings.STORAGE_URL = f"file://{tmp_path}/objects"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.UPLOAD_DIR.mkdir()
    return tmp_path / "objects"


def leave(root: Path, data: bytes, age: float) -> str:
    """As a crash between storing and committing leaves it."""
    source = root.parent / "uploads" / "x.part"
    source.write_bytes(data)
    digest = sha256_of(source)
    storage.objects().put(source, digest)
    grow_old(root, digest, age)
    return digest


def grow_old(root: Path, digest: str, age: float) -> None:
    os.utime(root / key_of(digest), (time.time() - age,) * 2)


@pytest.mark.django_db
def test_an_old_file_without_a_row_is_removed(root: Path) -> None:
    digest = leave(root, b"orphan", 7200)
    assert collect() == Collected(rows=0, files=1, uploads=0)
    assert not storage.exists(digest)
    assert collect() == NOTHING


@pytest.mark.django_db
def test_a_young_file_without_a_row_stays(root: Path) -> None:
    digest = leave(root, b"just put", 60)
    assert collect() == NOTHING
    assert storage.exists(digest)


@pytest.mark.django_db
def test_a_file_with_a_row_stays_however_old(root: Path) -> None:
    study = factories.study(factories.site())
    row = storage.store_bytes(b"an image", "image/png")
    factories.instance(study, file=row)
    StoredFile.objects.filter(pk=row.pk).update(stored_at=timezone.now() - timedelta(days=900))
    grow_old(root, row.sha256, 9e7)
    assert collect() == NOTHING
    assert storage.exists(row.sha256)


@pytest.mark.django_db
def test_a_row_that_nothing_refers_to_goes_with_its_file(root: Path) -> None:
    row = storage.store_bytes(b"a heat map of a lost attempt", "image/png")
    assert collect() == NOTHING
    StoredFile.objects.update(stored_at=timezone.now() - timedelta(hours=2))
    grow_old(root, row.sha256, 7200)
    assert collect() == Collected(rows=1, files=1, uploads=0)


@pytest.mark.django_db
def test_storing_again_makes_the_row_young(root: Path) -> None:
    row = storage.store_bytes(b"again", "image/png")
    StoredFile.objects.update(stored_at=timezone.now() - timedelta(hours=2))
    grow_old(root, row.sha256, 7200)
    storage.store_bytes(b"again", "image/png")
    assert collect() == NOTHING


@pytest.mark.django_db
def test_broken_off_uploads_are_removed_when_old(root: Path, settings: Any) -> None:
    old, young = settings.UPLOAD_DIR / "post-a.part", settings.UPLOAD_DIR / "post-b.part"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert collect() == Collected(rows=0, files=0, uploads=1)
    assert young.exists() and not old.exists()


@pytest.mark.django_db(transaction=True)
def test_a_receive_in_progress_holds_the_collector_off(root: Path) -> None:
    """The file lies there, old and unnamed, while a transaction that will name it has not committed."""
    digest = leave(root, b"contested", 7200)
    stored, finish = threading.Event(), threading.Event()

    def receive() -> None:
        try:
            with transaction.atomic():
                storage.keep_from_collector(digest)
                stored.set()
                finish.wait(20)
                StoredFile.objects.create(sha256=digest, size=9, media_type="image/png")
        finally:
            connection.close()

    other = threading.Thread(target=receive)
    other.start()
    assert stored.wait(20)
    assert collect() == NOTHING
    finish.set()
    other.join()
    assert collect() == NOTHING
    assert storage.exists(digest)


@pytest.mark.django_db
def test_the_beat_task_is_scheduled_under_its_name(root: Path, settings: Any) -> None:
    from cad_platform.api.tasks import expire_idempotent_answers
    from cad_platform.studies.tasks import collect_files

    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {collect_files.name, expire_idempotent_answers.name} <= scheduled
    leave(root, b"orphan", 7200)
    assert collect_files() == {"rows": 0, "files": 1, "uploads": 0}
