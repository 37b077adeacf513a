"""What is refused before anybody is known is a page, or problem details, of its own; never a mistake of ours."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

ADDRESSES = [
    "/",
    "/worklist/",
    "/accounts/login/",
    "/livez",
    "/readyz/web",
    "/api/v1/studies",
    "/no-such-page",
    "/api/",
]
HOSTS = [
    "evil.example",
    "cad.example:80:80",
    "a b",
    "cad.example/",
    "xn--",
    "[::1",
    "_dmarc.example",
    "cad.example.",
]


@pytest.mark.django_db
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_none_of_ours_is_400(address: str, host: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["hospital.example"]
    answer = Client(raise_request_exception=False, headers={"Host": host}).get(address)
    assert answer.status_code in ({200, 400} if address in {"/livez", "/readyz/web"} else {400})
    if address.startswith("/api/"):
        assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/accounts/login/", "/api/v1/studies"])
def test_in_production_too(address: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["hospital.example"], True
    client = Client(raise_request_exception=False)
    assert client.get(address, headers={"Host": "evil.example"}).status_code == 400
    assert client.post(address, headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.django_db
def test_too_many_fields_are_a_refusal() -> None:
    answer = Client(raise_request_exception=False).post(
        "/accounts/login/", {f"f{n}": "x" for n in range(1200)}
    )
    assert answer.status_code == 400 and "cannot be understood" in answer.content.decode()
