"""Errors with a sentence that a person can act on. Mapped once to HTTP problem details (`core.problem_details`),
to pages (`web.middleware`) and to the outcome of a job."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal


def gettext_noop(message: str) -> str:
    """Marks a title for translation where it is shown. Django's own would want configured settings."""
    return message


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field or file of a request."""

    reason: str
    field: str = ""
    file: str = ""


FileStatus = Literal["stored", "kept_aside", "duplicate", "refused", "quarantined"]


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file that was sent: stored as an image, kept aside since it shows none, there already,
    refused, or set aside in quarantine. `reason` says why it is not simply stored; `image` is the image's id where
    there is one."""

    file: str
    status: FileStatus
    reason: str = ""
    sop_instance_uid: str = ""
    image: uuid.UUID | None = None


class PlatformError(Exception):
    """A refusal. `detail` is shown to people; it never holds patient data. `files` says what became of each file,
    where files were sent."""

    status = 400
    code = "bad_request"
    title = gettext_noop("The request cannot be carried out")

    def __init__(
        self,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        code: str = "",
        files: tuple[FileOutcome, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.files = files
        if code:
            self.code = code


class NotPermitted(PlatformError):
    status, code, title = 403, "not_permitted", gettext_noop("Not permitted")


class NotFound(PlatformError):
    """Also the answer for another site's object: its existence is not revealed."""

    status, code, title = 404, "not_found", gettext_noop("Not found")


class RequestTimeout(PlatformError):
    status, code, title = 408, "request_timeout", gettext_noop("The request did not arrive in time")


class Conflict(PlatformError):
    status, code, title = 409, "conflict", gettext_noop("Conflicts with what is stored")


class PayloadTooLarge(PlatformError):
    status, code, title = 413, "too_large", gettext_noop("Too large")


class UnsupportedMedia(PlatformError):
    status, code, title = 415, "unsupported_media", gettext_noop("Unsupported format")


class Invalid(PlatformError):
    status, code, title = 422, "invalid", gettext_noop("Invalid content")


class TooManyRequests(PlatformError):
    status, code, title = 429, "too_many_requests", gettext_noop("Too many attempts")


class Unavailable(PlatformError):
    """The database or the storage is away. Sent with Retry-After."""

    status, code, title = 503, "unavailable", gettext_noop("Temporarily unavailable")


class StorageFull(PlatformError):
    status, code, title = 507, "storage_full", gettext_noop("The storage is full")
