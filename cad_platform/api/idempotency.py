"""`Idempotency-Key`: the same key and body of one token gives the first answer, for seven days."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import ApiToken
from cad_platform.api.models import IdempotentAnswer
from cad_platform.core.errors import Conflict, FieldError, Invalid
from cad_platform.studies.describing import PostedFile

KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Key:
    """A key of a token, with what the body that came with it amounts to."""

    token: ApiToken
    key: str
    fingerprint: str

    @classmethod
    def of(cls, token: ApiToken, key: str, study: bytes, files: Sequence[PostedFile]) -> Key:
        """Raises `Invalid` for a key that cannot be kept."""
        if not 1 <= len(key) <= 255 or not key.isprintable():
            raise Invalid(
                "The Idempotency-Key is not accepted.",
                errors=(FieldError("1 to 255 printable characters.", "Idempotency-Key"),),
            )
        digest = hashlib.sha256(_canonical(study))
        # Where two have one name, the study part may tell them apart by their order.
        named_once = len({file.name for file in files}) == len(files)
        for file in sorted(files, key=lambda file: (file.name, file.sha256)) if named_once else files:
            digest.update(f"\0{file.name}\0{file.sha256}".encode())
        return cls(token, key, digest.hexdigest())

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the first request with the key runs, another one is told so at once.

        The lock belongs to the database session: a process that dies lets go of it.

        Raises
        ------
        Conflict
            A request with this key is still running.
        """
        number = int.from_bytes(
            hashlib.sha256(f"{self.token.pk}\0{self.key}".encode()).digest()[:8], "big", signed=True
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [number])
            if not cursor.fetchone()[0]:
                raise Conflict("A request with this Idempotency-Key is still running.", code="still_running")
        try:
            yield
        finally:
            if connection.connection is not None and not connection.connection.closed:
                _unlock(number)

    def first_answer(self) -> IdempotentAnswer | None:
        """What the key was answered before, if its seven days have not passed.

        Raises
        ------
        Invalid
            The key came with another body.
        """
        answer = IdempotentAnswer.objects.filter(
            token=self.token, key=self.key, expires_at__gt=timezone.now()
        ).first()
        if answer is not None and answer.fingerprint != self.fingerprint:
            raise Invalid(
                "The Idempotency-Key was used with another body.",
                errors=(FieldError("Use a new key for a new body.", "Idempotency-Key"),),
                code="idempotency_key_reused",
            )
        return answer

    def remember(self, status: int, body: dict[str, Any]) -> None:
        """Keep the answer. In the transaction that made it true, where there was one."""
        IdempotentAnswer.objects.update_or_create(
            token=self.token,
            key=self.key,
            defaults={
                "fingerprint": self.fingerprint,
                "status": status,
                "body": body,
                "created_at": timezone.now(),
                "expires_at": timezone.now() + KEPT_FOR,
            },
        )


def forget_expired() -> int:
    """Remove the answers whose time is over; their number."""
    return IdempotentAnswer.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def _unlock(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s)", [number])


def _canonical(study: bytes) -> bytes:
    """The same JSON is the same body, however it is spaced and ordered."""
    try:
        return json.dumps(json.loads(study), sort_keys=True).encode()
    except (ValueError, RecursionError):
        return study
