"""Content-addressed storage on a file system and in a bucket: the same promises on both."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest

from cad_platform.core.errors import StorageFull, Unavailable
from cad_platform.studies import storage
from cad_platform.studies.models import StoredFile
from cad_platform.studies.objects import FileObjects, Objects, key_of
from cad_platform.studies.s3_objects import S3Objects


@pytest.fixture(params=["file", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "file":
        return FileObjects(tmp_path / "objects")
    return S3Objects(request.getfixturevalue("bucket"), "cad", tmp_path / "cache", cache_bytes=3_000_000)


def made(folder: Path, data: bytes) -> tuple[Path, str]:
    path = folder / f"{os.urandom(6).hex()}.part"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


class TestBothStores:
    def test_what_is_put_is_read_back_and_the_source_is_gone(self, objects: Objects, tmp_path: Path) -> None:
        path, digest = made(tmp_path, b"pixels" * 1000)
        objects.put(path, digest)
        assert not path.exists()
        for _ in range(2):
            with objects.open(digest) as stored:
                assert stored.read_bytes() == b"pixels" * 1000
        assert objects.modified(digest) is not None

    def test_a_file_over_one_multipart_piece(self, objects: Objects, tmp_path: Path) -> None:
        data = os.urandom(1024 * 1024) * 20
        path, digest = made(tmp_path, data)
        objects.put(path, digest)
        with objects.open(digest) as stored:
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == digest

    def test_the_same_content_twice_is_one_object(self, objects: Objects, tmp_path: Path) -> None:
        for _ in range(2):
            path, digest = made(tmp_path, b"same")
            objects.put(path, digest)
            assert not path.exists()
        assert [found.sha256 for found in objects.listing()] == [digest]
        assert next(iter(objects.listing())).size == 4

    def test_deleted_is_gone_and_deleting_again_is_no_error(self, objects: Objects, tmp_path: Path) -> None:
        path, digest = made(tmp_path, b"x")
        objects.put(path, digest)
        objects.delete(digest)
        objects.delete(digest)
        assert objects.modified(digest) is None
        assert list(objects.listing()) == []

    def test_a_missing_object_is_unavailable(self, objects: Objects) -> None:
        with pytest.raises(Unavailable), objects.open("0" * 64):
            pass

    @pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
    def test_only_a_hash_names_an_object(self, objects: Objects, name: str) -> None:
        with pytest.raises(ValueError), objects.open(name):
            pass


class TestTheFileSystem:
    def test_the_layout(self, tmp_path: Path) -> None:
        path, digest = made(tmp_path, b"x")
        FileObjects(tmp_path / "objects").put(path, digest)
        stored = tmp_path / "objects" / digest[:2] / digest[2:4] / digest
        assert stored.read_bytes() == b"x"
        assert stored.stat().st_mode & 0o777 == 0o440

    def test_bytes_and_folder_are_synced_before_put_returns(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, digest = made(tmp_path, b"x")
        synced: list[tuple[str, bool]] = []
        original = os.fsync
        target = tmp_path / "objects" / key_of(digest)

        def watched(descriptor: int) -> None:
            synced.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), target.exists()))
            original(descriptor)

        monkeypatch.setattr(os, "fsync", watched)
        FileObjects(tmp_path / "objects").put(path, digest)
        assert (str(path), False) in synced  # the bytes, before the name
        assert synced[-1] == (str(target.parent), True)  # the name, last

    def test_a_truncated_object_is_replaced(self, tmp_path: Path) -> None:
        objects = FileObjects(tmp_path / "objects")
        path, digest = made(tmp_path, b"whole")
        objects.put(path, digest)
        stored = tmp_path / "objects" / key_of(digest)
        stored.chmod(0o640)
        stored.write_bytes(b"wh")
        path, _ = made(tmp_path, b"whole")
        objects.put(path, digest)
        assert stored.read_bytes() == b"whole"

    @pytest.mark.parametrize(
        ("number", "error"),
        [
            (errno.ENOSPC, StorageFull),
            (errno.EDQUOT, StorageFull),
            (errno.EIO, Unavailable),
            (errno.EROFS, Unavailable),
        ],
    )
    def test_what_the_disk_says_becomes_507_or_503(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
    ) -> None:
        path, digest = made(tmp_path, b"x")

        def refuse(self: Path, target: Path) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(error):
            FileObjects(tmp_path / "objects").put(path, digest)
        assert list(FileObjects(tmp_path / "objects").listing()) == []

    def test_storage_on_another_file_system(self, tmp_path: Path) -> None:
        elsewhere = Path("/dev/shm") / f"cad-{os.urandom(6).hex()}"
        if elsewhere.parent.stat().st_dev == tmp_path.stat().st_dev:
            elsewhere = Path.home() / elsewhere.name
        source, digest = made(tmp_path, b"far")
        objects = FileObjects(elsewhere)
        try:
            objects.put(source, digest)
            with objects.open(digest) as stored:
                assert stored.read_bytes() == b"far"
            assert not source.exists()
            objects.delete(digest)
        finally:
            for folder in (elsewhere / digest[:2] / digest[2:4], elsewhere / digest[:2], elsewhere):
                folder.rmdir()


class TestTheBucket:
    def test_the_cache_stays_within_its_bound(self, bucket: str, tmp_path: Path) -> None:
        objects = S3Objects(bucket, "", tmp_path / "cache", cache_bytes=2_500_000)
        digests = []
        for _ in range(5):
            path, digest = made(tmp_path, os.urandom(1_000_000))
            objects.put(path, digest)
            digests.append(digest)
        for digest in digests:
            with objects.open(digest):
                pass
        kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in kept) <= 2_500_000
        assert digests[-1] in {path.name for path in kept}

    def test_a_file_in_use_is_not_evicted(self, bucket: str, tmp_path: Path) -> None:
        objects = S3Objects(bucket, "", tmp_path / "cache", cache_bytes=1)
        path, first = made(tmp_path, b"first")
        objects.put(path, first)
        path, second = made(tmp_path, b"second")
        objects.put(path, second)
        with objects.open(first) as held:
            with objects.open(second):
                pass
            assert held.read_bytes() == b"first"

    def test_many_threads_read_one_object(self, bucket: str, tmp_path: Path) -> None:
        objects = S3Objects(bucket, "p", tmp_path / "cache", cache_bytes=1)
        path, digest = made(tmp_path, b"shared" * 5000)
        objects.put(path, digest)
        wrong: list[BaseException] = []

        def read() -> None:
            try:
                for _ in range(5):
                    with objects.open(digest) as stored:
                        assert stored.read_bytes() == b"shared" * 5000
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_other_bytes_under_the_name_are_noticed(self, bucket: str, tmp_path: Path) -> None:
        objects = S3Objects(bucket, "p", tmp_path / "cache", cache_bytes=10**9)
        digest = hashlib.sha256(b"honest").hexdigest()
        boto3.client("s3").put_object(Bucket=bucket, Key=f"p/objects/{key_of(digest)}", Body=b"forged")
        with pytest.raises(Unavailable) as refusal, objects.open(digest):
            pass
        assert refusal.value.code == "file_damaged"

    def test_a_bucket_that_does_not_exist_is_unavailable(self, bucket: str, tmp_path: Path) -> None:
        path, digest = made(tmp_path, b"x")
        with pytest.raises(Unavailable):
            S3Objects("no-such-bucket", "", tmp_path / "cache", cache_bytes=1).put(path, digest)
        assert path.exists()

    def test_a_server_that_is_away_is_unavailable(
        self, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        path, digest = made(tmp_path, b"x")
        objects = S3Objects(bucket, "", tmp_path / "cache", cache_bytes=1)
        for call in (lambda: objects.put(path, digest), lambda: objects.modified(digest)):
            with pytest.raises(Unavailable):
                call()


@pytest.mark.django_db
class TestWritingBack:
    """A file is on its way to the disk while it is decoded."""

    @pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503)])
    def test_an_error_that_the_disk_says_only_once_is_not_lost(
        self, monkeypatch: pytest.MonkeyPatch, settings: Any, number: int, status: int
    ) -> None:
        from tests.posted_files import Hospital, png

        original, refused = os.fsync, []

        def once(descriptor: int) -> None:
            if not refused:
                refused.append(descriptor)
                raise OSError(number, os.strerror(number))
            original(descriptor)

        hospital = Hospital()
        monkeypatch.setattr(os, "fsync", once)
        assert hospital.post(files={"a.png": png(4)}).status_code == status
        assert refused and not StoredFile.objects.exists()
        assert list(settings.UPLOAD_DIR.iterdir()) == []
        assert hospital.post(files={"a.png": png(4)}).status_code == 201


@pytest.mark.django_db
class TestRows:
    def test_stored_bytes_are_named_by_a_row(self) -> None:
        row = storage.store_bytes(b"a mask", "image/png")
        assert (row.sha256, row.size) == (hashlib.sha256(b"a mask").hexdigest(), 6)
        assert storage.exists(row.sha256)
        assert storage.store_bytes(b"a mask", "image/png") == row
        assert StoredFile.objects.count() == 1

    def test_a_study_lands_in_the_bucket_and_its_pixels_come_back(
        self, bucket: str, settings: Any, tmp_path: Path
    ) -> None:
        from tests.posted_files import Hospital, png

        settings.STORAGE_URL = f"s3://{bucket}/hospital/a"
        hospital = Hospital()
        answer = hospital.post(files={"a.png": png(4)})
        assert answer.status_code == 201, answer.content
        keys = [o["Key"] for o in boto3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
        assert keys == [f"hospital/a/objects/{key_of(StoredFile.objects.get().sha256)}"]
        body = hospital.client.get(answer.json()["url"]).json()
        file = hospital.client.get(body["images"][0]["urls"]["file"])
        assert b"".join(file.streaming_content) == png(4)

    def test_with_the_bucket_away_a_post_is_503_and_leaves_nothing(
        self, bucket: str, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tests.posted_files import Hospital

        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        settings.STORAGE_URL = f"s3://{bucket}/away"
        answer = Hospital().post()
        assert answer.status_code == 503
        assert int(answer["Retry-After"]) > 0
        assert not StoredFile.objects.exists()
        assert list(settings.UPLOAD_DIR.iterdir()) == []
