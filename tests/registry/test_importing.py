"""A version comes in from outside: in pieces, through API and page; whatever is not right of it stays outside."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from cad_platform.registry import importing, services, switching, verification
from cad_platform.registry.models import Comparison, ModelUpload, ModelVersion, Verification
from tests import factories
from tests.registry.conftest import Store

pytestmark = pytest.mark.django_db
UPLOADS = "/api/v1/models/uploads"
SYSTEM = Actor.system("test")
State = ModelVersion.State


@pytest.fixture
def default(store: Store) -> ModelVersion:
    (version,) = services.register_from_store(SYSTEM).versions
    return switching.make_default(SYSTEM, version).version


@pytest.fixture
def administrator() -> Actor:
    return factories.actor(Role.ADMINISTRATOR)


@pytest.fixture
def browser(administrator: Actor) -> Client:
    client = Client()
    client.force_login(administrator.user)
    return client


def packed(
    store: Store, version: str = "99.0.0", *, top: str = "", add: dict[str, bytes] | None = None
) -> bytes:
    """A version's folder without what was compiled of it, as a hospital gets it."""
    folder = store.add(version)
    for compiled in ("model.pt", "variants.json"):
        (folder / compiled).unlink(missing_ok=True)
    store.seal(version)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}{path.relative_to(folder)}")
        for name, body in (add or {}).items():
            archive.writestr(name, body)
    store.remove(version)
    return content.getvalue()


def renamed(content: bytes, version: str) -> bytes:
    """The same package, whose manifest says another version."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            if name == "manifest.json":
                body = json.dumps(json.loads(body) | {"version": version}).encode()
            new.writestr(name, body)
    return changed.getvalue()


def sent(client: Client, content: bytes, piece: int = 4_000_000) -> dict[str, Any]:
    """Through the API, piece by piece."""
    announced = {"file_name": "a.zip", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    begun = client.post(UPLOADS, announced, content_type="application/json")
    assert begun.status_code == 201, begun.content
    upload = begun.json()
    while upload["received"] < upload["size"]:
        at = upload["received"]
        answer = client.put(
            f"{UPLOADS}/{upload['id']}?offset={at}",
            content[at : at + piece],
            content_type="application/octet-stream",
        )
        assert answer.status_code == 200, answer.content
        upload = answer.json()
    ended = client.post(f"{UPLOADS}/{upload['id']}/finish")
    assert ended.status_code == 200, ended.content
    return dict(ended.json())


def incoming(store: Store) -> list[Path]:
    return [path for path in store.path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("top", ["", "ultrasound/99.0.0/"])
def test_it_comes_in_pieces_and_analyses_nothing(
    store: Store, default: ModelVersion, browser: Client, top: str
) -> None:
    said = sent(browser, packed(store, top=top))
    assert (said["state"], said["name"], said["version"], said["said"]) == (
        "imported",
        "ultrasound",
        "99.0.0",
        "",
    )
    version = ModelVersion.objects.get(version="99.0.0")
    assert (version.state, version.is_default) == (State.UPLOADED, False) and version.uploaded_by is not None
    assert store.folder("99.0.0").is_dir() and incoming(store) == []
    assert switching.choose_defaults(SYSTEM).chosen == ()


def test_who_was_interrupted_goes_on(store: Store, default: ModelVersion, administrator: Actor) -> None:
    content = packed(store)
    announced = {"file_name": "a.zip", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    first = importing.begin(administrator, **announced)
    importing.add(administrator, first.pk, 0, content[:1000])
    again = importing.begin(administrator, **announced)
    assert (again.pk, again.received) == (first.pk, 1000)
    with pytest.raises(Conflict) as caught:
        importing.add(administrator, first.pk, 0, content[:1000])
    assert caught.value.code == "other_offset" and "1000" in caught.value.detail
    with pytest.raises(Conflict):
        importing.finish(administrator, first.pk)
    for at in range(1000, len(content), importing.MOST_PIECE):
        importing.add(administrator, first.pk, at, content[at : at + importing.MOST_PIECE])
    ended = importing.finish(administrator, first.pk)
    assert ended.state == ModelUpload.State.IMPORTED
    assert importing.finish(administrator, first.pk).version == ended.version, "what comes twice is done once"


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda c, s: packed(s, add={"setup.py": b"import os"}), "setup.py may hold code"),
        (lambda c, s: packed(s, add={"model.pt": b"x"}), "model.pt may hold code"),
        (lambda c, s: packed(s, add={"../up.json": b"{}"}), "outside the version's folder"),
        (lambda c, s: packed(s, add={"/abs.json": b"{}"}), "outside the version's folder"),
        (lambda c, s: packed(s, top="v/", add={"w/x.json": b"{}"}), "outside the version's folder"),
        (lambda c, s: packed(s, add={"b/manifest.json": b"{}"}), "manifest.json, or several"),
        (lambda c, s: packed(s, add={"more.json": b"{}"}), "was not there when it was sealed"),
        (lambda c, s: b"no zip at all", "no packed model version"),
        (lambda c, s: c[: len(c) // 2], "no packed model version"),
        (lambda c, s: renamed(c, s.version + "1"), "no version number"),
    ],
)
def test_what_is_not_right_stays_outside(
    store: Store, default: ModelVersion, browser: Client, harm: Callable[[bytes, Store], bytes], why: str
) -> None:
    content = harm(packed(store), store)
    said = sent(browser, content)
    assert said["state"] == "refused" and why in said["said"]
    assert incoming(store) == [] and [each.name for each in (store.path / "ultrasound").iterdir()] == [
        store.version
    ]
    assert ModelVersion.objects.count() == 1


def test_a_link_is_no_file(store: Store, default: ModelVersion, browser: Client) -> None:
    content = io.BytesIO(packed(store))
    with zipfile.ZipFile(content, "a") as archive:
        link = zipfile.ZipInfo("secrets.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "secrets.json may hold code" in sent(browser, content.getvalue())["said"]


def broken(content: bytes) -> bytes:
    """With a member whose compressed bytes are none."""
    changed = io.BytesIO(content)
    with zipfile.ZipFile(changed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.json", b"{}" * 500)
        at = archive.getinfo("notes.json").header_offset + 30 + len("notes.json")
    damaged = bytearray(changed.getvalue())
    damaged[at : at + 4] = b"\xff\xff\xff\xff"
    return bytes(damaged)


def test_an_archive_that_does_not_unpack_is_none(
    store: Store, default: ModelVersion, browser: Client
) -> None:
    said = sent(browser, broken(packed(store)))
    assert (said["state"], said["said"]) == ("refused", "This is no packed model version (error).")


@pytest.mark.parametrize("fault", [KeyError("x"), ValueError("x"), RuntimeError("x")])
def test_a_fault_of_ours_is_not_the_archives(
    store: Store,
    default: ModelVersion,
    administrator: Actor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: Exception,
) -> None:
    """Whatever goes wrong after the archive was read is told as what it is, and leaves nothing behind."""

    def failing(*_: Any) -> None:
        raise fault

    file = tmp_path / "a.zip"
    file.write_bytes(packed(store))
    monkeypatch.setattr(importing, "register_version", failing)
    with pytest.raises(type(fault)):
        importing.import_packed(administrator, file)
    assert incoming(store) == [] and not store.folder("99.0.0").exists()


def test_a_version_that_is_there_is_not_written_over(
    store: Store, default: ModelVersion, browser: Client
) -> None:
    content = packed(store)
    assert sent(browser, content)["state"] == "imported"
    said = sent(browser, content)
    assert said["state"] == "refused" and "has ultrasound 99.0.0 already" in said["said"]


@pytest.mark.parametrize("role", sorted(set(Role.values) - {Role.ADMINISTRATOR}))
def test_others_upload_nothing(role: str) -> None:
    client = Client()
    client.force_login(factories.user(role))
    said = {"file_name": "a", "size": 1, "sha256": "0" * 64}
    assert client.post(UPLOADS, said, content_type="application/json").status_code == 403
    assert client.get(reverse("model-upload")).status_code == 403
    assert client.post(reverse("model-upload-begin"), said).status_code == 403


def test_nobody_sees_anothers_upload(store: Store, administrator: Actor) -> None:
    row = importing.begin(factories.actor(Role.ADMINISTRATOR), file_name="a", size=1, sha256="0" * 64)
    client = Client()
    client.force_login(administrator.user)
    assert client.get(f"{UPLOADS}/{row.pk}").status_code == 404
    for step in ("model-upload-piece", "model-upload-finish"):
        assert client.post(reverse(step, args=[row.pk]), {"offset": "0"}).status_code == 404


def test_the_page_takes_a_file(store: Store, default: ModelVersion, browser: Client) -> None:
    file = SimpleUploadedFile("a.zip", packed(store), "application/zip")
    answer = browser.post(reverse("model-upload"), {"file": file})
    assert answer["Location"] == reverse("model", args=[ModelVersion.objects.get(version="99.0.0").pk])


def piece_of(browser: Client, step: dict[str, Any], offset: int, content: bytes) -> Any:
    said = {"offset": str(offset), "piece": SimpleUploadedFile("blob", content)}
    return browser.post(step["piece"], said, headers={"Accept": "application/json"})


def test_the_pages_script_sends_pieces_and_goes_on(
    store: Store, default: ModelVersion, browser: Client
) -> None:
    content = packed(store)
    said = {"file_name": "a.zip", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert '"piece_bytes": 1048576' in browser.get(reverse("model-upload")).content.decode()
    step = browser.post(reverse("model-upload-begin"), said).json()
    assert piece_of(browser, step, 0, content[:1000]).json()["received"] == 1000
    step = browser.post(reverse("model-upload-begin"), said).json()
    assert step["received"] == 1000, "the same file goes on"
    refused = piece_of(browser, step, 0, content[:1000])
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:cad:problem:other_offset")
    assert piece_of(browser, step, 1000, b"").status_code == 422
    assert browser.post(step["finish"], headers={"Accept": "application/json"}).status_code == 409
    for at in range(1000, len(content), importing.MOST_PIECE):
        piece_of(browser, step, at, content[at : at + importing.MOST_PIECE])
    ended = browser.post(step["finish"]).json()
    version = ModelVersion.objects.get(version="99.0.0")
    assert (ended["location"], ended["said"]) == (reverse("model", args=[version.pk]), "")
    assert "is uploaded" in browser.get(ended["location"]).content.decode()


@pytest.mark.parametrize("field", ["size", "sha256"])
@pytest.mark.parametrize("value", ["", "-1", "0", "x", "1" * 30, "٣"])
def test_what_is_announced_is_looked_at(store: Store, browser: Client, field: str, value: str) -> None:
    said = {"file_name": "a", "size": "1", "sha256": "0" * 64, field: value}
    answer = browser.post(reverse("model-upload-begin"), said, headers={"Accept": "application/json"})
    assert answer.status_code == 422 and not ModelUpload.objects.exists()


def test_what_was_abandoned_is_forgotten(store: Store, administrator: Actor) -> None:
    old, young = (
        importing.begin(administrator, file_name="a", size=9, sha256=digit * 64) for digit in ("0", "1")
    )
    for row in (old, young):
        importing.add(administrator, row.pk, 0, b"abc")
    ModelUpload.objects.filter(pk=old.pk).update(began_at=timezone.now() - timedelta(days=8))
    assert (importing.forget_abandoned(), importing.forget_abandoned()) == (1, 0)
    old.refresh_from_db()
    assert old.state == ModelUpload.State.REFUSED
    assert incoming(store) == [store.path / f".incoming-{young.pk}.zip"]


def test_a_store_that_is_read_alone_says_so_at_once(
    store: Store, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # as root, whom no permission stops
    with pytest.raises(Conflict) as caught:
        importing.begin(administrator, file_name="a", size=1, sha256="0" * 64)
    assert caught.value.code == "read_only_store"


# --- verification ---------------------------------------------------------------------------------------


def uploaded(store: Store, browser: Client) -> ModelVersion:
    sent(browser, packed(store))
    return ModelVersion.objects.get(version="99.0.0")


def test_what_passes_every_check_is_verified_and_compared(
    store: Store, default: ModelVersion, browser: Client, administrator: Actor
) -> None:
    version = uploaded(store, browser)
    asked = verification.request(administrator, version)
    assert verification.request(administrator, version) == asked, "once at a time"
    assert verification.run(asked.pk) == Verification.State.PASSED
    asked.refresh_from_db()
    version.refresh_from_db()
    assert version.state == State.VERIFIED
    assert [check["check"] for check in asked.checks] == [
        "manifest", "size", "hashes", "signature", "code", "network", "reference", "served",
    ]  # fmt: skip
    made = Comparison.objects.get()
    assert (made.version, made.against, made.site, made.low) == (version, default, None, 0.0)
    assert verification.run(asked.pk) == Verification.State.PASSED, (
        "a message that comes twice changes nothing"
    )
    life = browser.get("/api/v1/models/ultrasound/99.0.0/life").json()
    assert (life["state"], life["verification"]["state"], life["missing"]) == ("verified", "passed", [])


def test_what_was_changed_in_the_store_is_not(
    store: Store, default: ModelVersion, browser: Client, administrator: Actor
) -> None:
    version = uploaded(store, browser)
    answer = store.folder("99.0.0") / "answer.json"
    answer.write_text(json.dumps(json.loads(answer.read_text()) | {"seed": 1}))
    asked = verification.request(administrator, version)
    assert verification.run(asked.pk) == Verification.State.FAILED
    asked.refresh_from_db()
    version.refresh_from_db()
    assert version.state == State.UPLOADED
    assert not next(check for check in asked.checks if check["check"] == "hashes")["passed"]
    assert not next(check for check in asked.checks if check["check"] == "network")["passed"]


def test_a_version_in_use_is_not_examined_anew(default: ModelVersion, administrator: Actor) -> None:
    with pytest.raises(Conflict):
        verification.request(administrator, default)
