"""The JSON that the page of uploading a version holds for its script, and what its steps answer."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _

from cad_platform.core.answers import Answer
from cad_platform.registry.models import ModelUpload

#: A second or so of a slow way: the bar moves, and an interruption costs little.
PIECE_BYTES = 1024 * 1024


class UploadWords(Answer):
    """What the script says while it sends."""

    reading: str
    sending: str
    """With `{percent}`."""
    interrupted: str
    """With `{percent}`."""
    importing: str


class UploadPage(Answer):
    """Where an upload begins, and how much is sent at once."""

    begin: str
    piece_bytes: int
    words: UploadWords


class UploadStep(Answer):
    """How far an upload is, and where it goes on. `location` leads to the version that it became; `said` tells why it
    was refused."""

    received: int
    piece: str
    finish: str
    location: str
    said: str


def upload_page() -> UploadPage:
    """In the reader's language."""
    return UploadPage(
        begin=reverse("model-upload-begin"),
        piece_bytes=PIECE_BYTES,
        words=UploadWords(
            reading=_("Reading the file."),
            sending=_("{percent} percent sent"),
            interrupted=_("The server does not answer. {percent} percent are there; it goes on by itself."),
            importing=_("All of it is there, and is being unpacked."),
        ),
    )


def upload_step(row: ModelUpload) -> UploadStep:
    """Of an upload as it is now."""
    return UploadStep(
        received=row.received,
        piece=reverse("model-upload-piece", args=[row.pk]),
        finish=reverse("model-upload-finish", args=[row.pk]),
        location=reverse("model", args=[row.version_id]) if row.version_id else "",
        said=row.said,
    )
