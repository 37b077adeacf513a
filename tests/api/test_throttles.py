"""Every address of the API has a limit, counted by all replicas together."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.conf import settings as base
from django.core.cache import caches
from django.test import Client
from django.urls import get_resolver
from rest_framework.views import APIView

from cad_platform.accounts.models import Role
from cad_platform.api import throttles
from tests import factories as make


@pytest.fixture
def shared(broker: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(throttles, "_rests_until", 0.0)
    yield caches["shared"]


def views_of_the_api() -> dict[str, type]:
    found: dict[str, type] = {}

    def walk(patterns: Any, before: str) -> None:
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                walk(pattern.url_patterns, before + str(pattern.pattern))
            elif view := getattr(pattern.callback, "view_class", getattr(pattern.callback, "cls", None)):
                found[before + str(pattern.pattern)] = view

    walk(get_resolver().url_patterns, "")
    return {address: view for address, view in found.items() if address.startswith("api/")}


def test_each_view_has_a_limit() -> None:
    views = {address: view for address, view in views_of_the_api().items() if issubclass(view, APIView)}
    assert len(views) > 20
    for address, view in views.items():
        limits = [limit for limit in view.throttle_classes if issubclass(limit, throttles.CallerThrottle)]
        assert limits and base.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"][limits[0].scope], address


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/api/v1/images/{id}/pixels", "/api/v1/images/{id}/thumbnail", "/api/v1/reports/{id}/pdf"]
)
def test_images_tiles_and_files_too(address: str, shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles.CallerThrottle, "THROTTLE_RATES", {"token": "3/min", "image": "4/min"})
    reader = Client()
    reader.force_login(make.user(Role.RADIOLOGIST))
    asked = [reader.get(address.format(id=uuid.uuid4())) for _ in range(5)]
    assert [answer.status_code for answer in asked] == [404] * 4 + [429]
    assert 0 < int(asked[-1]["Retry-After"]) <= 61


@pytest.mark.django_db
def test_replicas_count_together(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has memory of its own; the limit is one."""
    monkeypatch.setattr(throttles.CallerThrottle, "THROTTLE_RATES", {"token": "3/min", "image": "4/min"})
    reader, statuses = Client(), []
    reader.force_login(make.user(Role.RADIOLOGIST))
    for _ in range(4):
        caches["default"].clear()  # another replica
        statuses.append(reader.get("/api/v1/studies").status_code)
    assert statuses == [200, 200, 200, 429]


@pytest.mark.django_db
def test_whoever_is_not_known_is_limited_by_address(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles.CallerThrottle, "THROTTLE_RATES", {"token": "1/min", "image": "4/min"})
    address = f"10.9.{uuid.uuid4().int % 250}.{uuid.uuid4().int % 250}"
    asked = [Client().get("/api/schema/", REMOTE_ADDR=address).status_code for _ in range(2)]
    assert asked[-1] in {401, 403, 429} and asked[0] != 429


@pytest.mark.django_db
def test_without_the_store_each_replica_counts_for_itself(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "_rests_until", 0.0)
    monkeypatch.setattr(throttles.CallerThrottle, "THROTTLE_RATES", {"token": "2/min", "image": "4/min"})
    away = dict(settings.CACHES["shared"], LOCATION="redis://127.0.0.1:9/0")
    monkeypatch.setitem(caches.settings, "shared", away)
    monkeypatch.delattr(caches._connections, "shared", raising=False)
    reader = Client()
    reader.force_login(make.user(Role.RADIOLOGIST))
    assert [reader.get("/api/v1/studies").status_code for _ in range(3)] == [200, 200, 429]
    monkeypatch.delattr(caches._connections, "shared", raising=False)
