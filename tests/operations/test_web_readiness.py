"""A web process takes traffic while database and storage answer, whatever the model server does."""

from __future__ import annotations

import pytest
from django.test import Client

from cad_platform.core.errors import Unavailable
from cad_platform.studies import storage

pytestmark = pytest.mark.django_db


def test_ready_without_any_broker_worker_or_model(client: Client) -> None:
    answer = client.get("/readyz/web")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "failed": []}


def test_a_storage_that_is_away_takes_it_out_of_service(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(sha256: str) -> bool:
        raise Unavailable("the storage does not answer")

    monkeypatch.setattr(storage, "exists", away)
    answer = client.get("/readyz/web")
    assert answer.status_code == 503
    assert answer.json()["failed"] == ["storage"]
