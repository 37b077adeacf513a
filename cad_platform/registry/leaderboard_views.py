"""The administrators' page of methods and models side by side."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from cad_platform.core.actor import actor_of
from cad_platform.registry import leaderboard


@login_required
@never_cache
@require_GET
def figures(request: HttpRequest) -> HttpResponse:
    """One measure: a plot with whiskers, and its numbers as a table."""
    choice = leaderboard.Choice.of(request.GET)
    board = leaderboard.board_of(actor_of(request), choice)
    context = {
        "nav": "leaderboard",
        "board": board,
        "choice": choice,
        "measure": leaderboard.measure_words(choice.measure),
        "nothing": leaderboard.nothing_words(board),
        "measures": leaderboard.MEASURES.items(),
        "kinds": leaderboard.KINDS.items(),
        "sorts": leaderboard.SORTS.items(),
    }
    return render(request, "registry/leaderboard.html", context)
