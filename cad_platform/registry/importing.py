"""How a version comes into the model store from outside: packed as one ZIP, sent in pieces by who may manage models.

Nothing of it is run here. It lies beside the store's versions under a name that nobody looks at until it is whole, and
is known as "uploaded" afterwards: it is verified and approved before it analyses a study.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound, StorageFull
from cad_platform.registry.history import record_of
from cad_platform.registry.models import ModelUpload, ModelVersion
from cad_platform.registry.services import Refused, register_version
from cad_platform.studies.typed_text import cleaned

MOST_BYTES = 2 * 1024**3
#: Of one piece, so that an interruption costs little.
MOST_PIECE = 16 * 1024**2
_MOST_FILES = 500
_ABANDONED_AFTER = timedelta(days=7)
_BLOCK = 1024**2
#: What `zipfile` and the decompressors below it raise over an archive that is none, is cut off, damaged or encrypted.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError,
)  # fmt: skip
State = ModelUpload.State


@transaction.atomic
def begin(actor: Actor, *, file_name: str, size: int, sha256: str) -> ModelUpload:
    """Say what will come. The same file begun before and not ended goes on.

    Raises
    ------
    NotPermitted
    Invalid
        More than 2 GiB or nothing, or no SHA-256.
    Conflict
        `read_only_store`: no version can be added to this model store.
    """
    _require(actor)
    if not os.access(settings.MODEL_STORE, os.W_OK):
        raise Conflict(
            _("The model store of this installation cannot be written: versions come with its images."),
            code="read_only_store",
        )
    wrong = []
    if not 0 < size <= MOST_BYTES:
        wrong.append(FieldError(_("From 1 byte to 2 GiB"), "size"))
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        wrong.append(FieldError(_("64 hexadecimal digits"), "sha256"))
    if wrong:
        raise Invalid(_("The upload was not begun."), errors=tuple(wrong))
    same = ModelUpload.objects.filter(by=actor.user, sha256=sha256, size=size, state=State.RECEIVING)
    return same.first() or ModelUpload.objects.create(
        by=actor.user, file_name=cleaned(file_name)[:200], size=size, sha256=sha256
    )


def upload(actor: Actor, upload_id: uuid.UUID) -> ModelUpload:
    """One upload, the actor's own. Raises `NotPermitted` or `NotFound`."""
    _require(actor)
    return _own(ModelUpload.objects.filter(by=actor.user, pk=upload_id).select_related("version").first())


@transaction.atomic
def add(actor: Actor, upload_id: uuid.UUID, offset: int, piece: bytes) -> ModelUpload:
    """Keep the next piece.

    Raises
    ------
    Conflict
        It does not begin where the last one ended: `received` says where; or the upload has ended.
    Invalid
        It is empty, longer than a piece may be, or goes beyond the size that was said.
    NotPermitted, NotFound, StorageFull
    """
    _require(actor)
    row = _own(ModelUpload.objects.select_for_update().filter(by=actor.user, pk=upload_id).first())
    if row.state != State.RECEIVING:
        raise Conflict(_("This upload has ended."))
    if offset != row.received:
        raise Conflict(_("The next piece begins at byte %(at)d.") % {"at": row.received}, code="other_offset")
    if not 0 < len(piece) <= MOST_PIECE or row.received + len(piece) > row.size:
        raise Invalid(_("The piece was not taken."), errors=(FieldError(_("too long"), "body"),))
    path = _path(row)
    if shutil.disk_usage(path.parent).free - len(piece) < settings.DISK_RESERVE_BYTES:
        raise StorageFull(_("The disk is full."))
    # What an attempt whose transaction was lost has written lies beyond, and is written over.
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(row.received)
        file.write(piece)
        file.truncate()
    row.received += len(piece)
    row.save(update_fields=["received"])
    return row


def finish(actor: Actor, upload_id: uuid.UUID) -> ModelUpload:
    """Unpack what has come, and make the version known. An upload that is refused says why, and is over.

    Raises
    ------
    Conflict
        Not everything has come.
    NotPermitted, NotFound
    """
    row = upload(actor, upload_id)
    if row.state != State.RECEIVING:
        return row
    if row.received < row.size:
        raise Conflict(_("The next piece begins at byte %(at)d.") % {"at": row.received}, code="other_offset")
    said, version = "", None
    try:
        if _digest(_path(row)) != row.sha256:
            raise Refused(_("What has come is not what was announced: its SHA-256 differs."))
        version = import_packed(actor, _path(row))
    except Refused as error:
        said = str(error)
    with transaction.atomic():
        row = ModelUpload.objects.select_for_update(of=("self",)).get(pk=row.pk)
        if row.state == State.RECEIVING:
            row.state, row.said, row.version = (State.IMPORTED if version else State.REFUSED), said, version
            row.save(update_fields=["state", "said", "version"])
    _path(row).unlink(missing_ok=True)
    return row


def forget_abandoned() -> int:
    """End uploads that were begun a week ago and never came to their end; returns how many."""
    began = timezone.now() - _ABANDONED_AFTER
    ended = 0
    for key in list(
        ModelUpload.objects.filter(state=State.RECEIVING, began_at__lt=began).values_list("pk", flat=True)
    ):
        with transaction.atomic():
            row = ModelUpload.objects.select_for_update().get(pk=key)
            if row.state == State.RECEIVING:
                row.state, row.said = State.REFUSED, "abandoned"
                row.save(update_fields=["state", "said"])
                ended += 1
        with suppress(OSError):  # a store that this process may only read
            _path(row).unlink()
    return ended


def import_packed(actor: Actor, packed: Path) -> ModelVersion:
    """Unpack a version into the model store and make it known as uploaded. Raises `NotPermitted` or `Refused`."""
    from inference.runtime.custody import KINDS
    from inference.runtime.store import StoreError, manifest_in

    require(actor, "model.manage")
    store: Path = settings.MODEL_STORE
    place = store / f".incoming-{uuid.uuid4().hex}" / "a" / "0"
    try:
        place.mkdir(parents=True)
        named = _read(packed, place, KINDS)
        home = place.parent.parent / named["name"] / named["version"]
        home.parent.mkdir(exist_ok=True)
        place.rename(home)
        manifest = manifest_in(home)
        target = store / manifest.name / manifest.version
        if target.exists():
            raise Refused(
                _("The model store has %(version)s already.")
                % {"version": f"{manifest.name} {manifest.version}"}
            )
        target.parent.mkdir(exist_ok=True)
        home.rename(target)
        try:
            with transaction.atomic():
                version, _new = register_version(actor, manifest, store, actor.user)
                record_of(actor, "model.upload", version, weights_sha256=version.weights_sha256)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
        return version
    except StoreError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise Refused(_("The model store cannot be written (%(why)s).") % {"why": error.strerror}) from error
    finally:
        shutil.rmtree(place.parent.parent, ignore_errors=True)


def _read(packed: Path, place: Path, kinds: Iterable[str]) -> dict[str, str]:
    """Unpack an archive; the model and version that it names. Whatever reading somebody else's bytes may raise is the
    archive's fault here, and nowhere else."""
    try:
        with zipfile.ZipFile(packed) as archive:
            _unpack(archive, place, kinds)
        return _named(place)
    except _BROKEN as error:
        raise Refused(
            _("This is no packed model version (%(why)s).") % {"why": type(error).__name__}
        ) from error


def _unpack(archive: zipfile.ZipFile, place: Path, kinds: Iterable[str]) -> None:
    """The files of one version: at the top, or all in one folder or two (`NAME/VERSION/`)."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > _MOST_FILES or sum(member.file_size for member in members) > MOST_BYTES:
        raise Refused(_("It unpacks to more than a model version may hold."))
    manifests = [
        PurePosixPath(m.filename) for m in members if PurePosixPath(m.filename).name == "manifest.json"
    ]
    if len(manifests) != 1:
        raise Refused(_("It holds no manifest.json, or several."))
    root = manifests[0].parent
    for member in members:
        path = PurePosixPath(member.filename)
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in member.filename
            or root not in [path.parent, *path.parents]
        ):
            raise Refused(_("%(file)s lies outside the version's folder.") % {"file": member.filename[:200]})
        if (member.external_attr >> 16) & 0o170000 == 0o120000 or path.suffix not in kinds:
            raise Refused(
                _("%(file)s may hold code that nobody has reviewed: leave it out.")
                % {"file": path.name[:200]}
            )
        target = place / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        left = member.file_size
        with archive.open(member) as source, target.open("xb") as file:
            while block := source.read(min(_BLOCK, left + 1)):
                left -= len(block)
                if left < 0:
                    raise Refused(_("It unpacks to more than a model version may hold."))
                file.write(block)


def _named(place: Path) -> dict[str, str]:
    """Name and version as the manifest says, which become folders: parts of no path."""
    import json

    said: Any = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    named = {key: str(said[key]) for key in ("name", "version")} if isinstance(said, dict) else {}
    if len(named) != 2 or any(
        not v or v.startswith(".") or "/" in v or "\0" in v or len(v) > 60 for v in named.values()
    ):
        raise Refused(_("Its manifest.json names no model and version."))
    return named


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(row: ModelUpload) -> Path:
    """In the store itself, which every web process sees."""
    return Path(settings.MODEL_STORE) / f".incoming-{row.pk}.zip"


def _require(actor: Actor) -> None:
    require(actor, "model.manage")
    if actor.user is None:  # whoever has a shell imports a file, see `import_packed`
        raise NotFound(_("There is no such upload."))


def _own(row: ModelUpload | None) -> ModelUpload:
    if row is None:
        raise NotFound(_("There is no such upload."))
    return row
