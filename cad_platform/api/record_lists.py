"""A page of a list that is asked for by its number: who may not is told so before what was misspelt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api.filters import PAGE_SIZE, page_asked
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.answers import Answer


class PagedList(ApiView):
    """`get` answers the page that is asked for, of what `found` selects. A list about patients' records gives `opened`
    instead, which records that somebody looked."""

    permission: ClassVar[str]
    #: With `page`, `pages` and `results`.
    answer: ClassVar[type[Answer]]

    def found(self, actor: Actor) -> QuerySet[Any]:
        """All of its rows, in their order."""
        raise NotImplementedError

    def opened(self, actor: Actor, *, page: str | None, size: int) -> Page[Any]:
        """One page of them."""
        return Paginator(self.found(actor), size).get_page(page)

    def row(self, each: Any) -> BaseModel:
        """One of them as the answer has it."""
        raise NotImplementedError

    def beside(self, actor: Actor) -> dict[str, Any]:
        """What the answer has beside its rows."""
        return {}

    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        require(actor, self.permission)
        shown = self.opened(actor, page=page_asked(request), size=PAGE_SIZE)
        told = told_of(shown, self.row) | self.beside(actor)
        return Response(self.answer.model_validate(told).as_json())


def told_of(shown: Page[Any], row: Callable[[Any], BaseModel]) -> dict[str, Any]:
    """What every answer of a page has, each of its rows as `row` makes it."""
    return {
        "page": shown.number,
        "pages": shown.paginator.num_pages,
        "results": [row(each) for each in shown],
    }
