"""A key that names a request for ever: what a browser sends twice, since an answer got lost, is done only once."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import Manager, Model, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.core.errors import Conflict, FieldError, Invalid
from cad_platform.core.models import DoneRequest

Row = TypeVar("Row", bound=Model)
View = TypeVar("View", bound=Callable[..., Any])

#: The field that a browser names a request in (`frontend/src/server/request_key.ts`).
FIELD = "request_key"
#: Not of what was asked, but of the page that asked.
_OF_THE_PAGE = frozenset({"csrfmiddlewaretoken", "page_user"})
#: Nobody sends a form again after so long.
_KEPT_FOR = timedelta(days=2)


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


def done_before(rows: Manager[Row] | QuerySet[Row], key: uuid.UUID | None, **same: Any) -> Row | None:
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


def done_once(view: View) -> View:
    """A form's view: what the same person sends to it twice under one key, with the same fields, is done once. What
    comes again is led to the page that followed the first; what comes at the same moment waits for the first.

    Refused, nothing was done, and the key may come again. Everything that the view does is one transaction, so that
    it is not for views that write down a refusal, such as of a password, or that ask another server.
    """

    @wraps(view)
    def once(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        key = request_key_of(request.POST.get(FIELD, "")) if request.method == "POST" else None
        if key is None:
            return view(request, *args, **kwargs)
        with transaction.atomic():
            done, is_first = DoneRequest.objects.get_or_create(name=_name(request, key))
            if not is_first:
                return _led_again(request, done.location)
            response: HttpResponse = view(request, *args, **kwargs)
            if response.status_code >= 400:
                transaction.set_rollback(True)
            elif location := _location(response):
                done.location = location
                done.save(update_fields=["location"])
        return response

    once.is_done_once = True  # type: ignore[attr-defined]
    return once  # type: ignore[return-value]


def _name(request: HttpRequest, key: uuid.UUID) -> str:
    fields = {name: values for name, values in request.POST.lists() if name not in _OF_THE_PAGE}
    asked = json.dumps([request.user.pk, str(key), request.path, fields], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def _location(response: HttpResponse) -> str:
    """Where an answer leads; scripts are told as JSON."""
    if isinstance(response, JsonResponse):
        return str(json.loads(response.content).get("location", ""))
    return response.get("Location", "")


def _led_again(request: HttpRequest, location: str) -> HttpResponse:
    messages.info(request, _("This came twice and was done once."))
    location = location or request.get_full_path()
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"location": location})
    return redirect(location)


def forget_done() -> int:
    """Forget the forms that nobody sends again any more; their number."""
    return DoneRequest.objects.filter(done_at__lt=timezone.now() - _KEPT_FOR).delete()[0]
