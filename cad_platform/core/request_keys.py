"""A key that names a request for ever: what a browser sends twice, since an answer got lost, is done only once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Manager, Model
from django.utils.translation import gettext as _

from cad_platform.core.errors import Conflict, FieldError, Invalid

Row = TypeVar("Row", bound=Model)


class KeyReused(Conflict):
    """The key names a request of somebody else, or of the same person about something else."""

    code = "request_key_reused"

    def __init__(self) -> None:
        super().__init__(_("This was sent under a name that is taken; nothing was changed."))


def request_key_of(text: str) -> uuid.UUID | None:
    """The key that a request came with; none where it came without one. Raises `Invalid`."""
    if not text:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        wrong = FieldError(_("not a UUID"), field="request_key")
        raise Invalid(_("The browser sent something that cannot be understood."), errors=(wrong,)) from None


def done_before(rows: Manager[Row], key: uuid.UUID | None, **same: Any) -> Row | None:
    """The row that a request made when it came for the first time, where it did. Under the lock of its writers.

    Parameters
    ----------
    rows
        The manager of a model with a unique `request_key`.
    same
        Fields and values that the row has when it is the same person's request about the same thing.

    Raises
    ------
    KeyReused
        The row of that key is another's.
    """
    if key is None:
        return None
    row = rows.filter(request_key=key).first()
    if row is not None and any(getattr(row, name) != value for name, value in same.items()):
        raise KeyReused
    return row


@contextmanager
def one_of_its_key() -> Iterator[None]:
    """Around the making of a row with a `request_key`. Writers of one case come one after another; a request of the
    same key about another case meets the row's constraint, and raises `KeyReused`."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "request_key" not in str(error):
            raise
        raise KeyReused from None
