"""What may be asked for by time: one parser for the API's moments and the pages' days."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.test import Client

from cad_platform.accounts.models import Role
from cad_platform.core.days import day_from, moment_from
from tests import factories as make
from tests.posted_files import Hospital

NO_MOMENTS = [
    "2026-01-01T00:00:00+17:45",
    "2026-01-01T00:00:00-17:45",
    "2026-01-01T00:00:00+14:01",
    "2026-01-01T00:00:00-14:01",
    "2026-01-01T00:00:00+23:59",
    "2026-01-01T00:00:00+99:99",
    "2026-01-01T00:00:00+05:60",
    "2026-01-01T00:00:00+05:45:30",
    "2026-01-01T00:00:00 05:45",  # a plus that the address turned into a space
    "2026-01-01T00:00:00",
    "2026-01-01",
    "2026-01-01Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:00:60Z",
    "1899-12-31T23:59:59Z",
    "1900-01-01T00:00:00+14:00",  # still 1899 in UTC
    "2101-01-01T00:00:00Z",
    "2100-12-31T23:59:59-14:00",  # 2101 in UTC
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "12026-01-01T00:00:00Z",
    "1767225600",
    "٢٠٢٦-01-01T00:00:00Z",
    " 2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00Z\n",
    "2026-01-01T00:00:00Z\x00",
    "now",
    "",
]


@pytest.mark.parametrize("text", NO_MOMENTS)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        moment_from(text)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-01T00:00:00Z", (2026, 1, 1)),
        ("2026-01-01t00:00:00z", (2026, 1, 1)),
        ("2026-01-01 00:00:00.000000+00:00", (2026, 1, 1)),
        ("2026-01-01T00:00-00:00", (2026, 1, 1)),
        ("2026-01-01T14:00:00+14:00", (2026, 1, 1)),
        ("2026-01-01T05:45:00+0545", (2026, 1, 1)),
        ("2025-12-31T10:00:00-14:00", (2026, 1, 1)),
        ("2026-01-01T00:00:00.123456789Z", (2026, 1, 1, 0, 0, 0, 123456)),
    ],
)
def test_a_moment_is_the_same_in_utc(text: str, utc: tuple[int, ...]) -> None:
    assert moment_from(text) == datetime(*utc, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    "text", ["2026-02-30", "20260101", "2026-W01-1", "1899-12-31", "2101-01-01", "٢٠٢٦-01-01", "", "x"]
)
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        day_from(text)


@pytest.mark.django_db
class TestAsked:
    def test_the_api_answers_400_and_names_the_field(self) -> None:
        hospital = Hospital()
        hospital.client.raise_request_exception = False
        addresses = [
            f"/api/v1/studies?{name}={quote(text)}"
            for name in ("received_after", "received_before")
            for text in NO_MOMENTS[::4]
        ]
        answers = {address: hospital.client.get(address) for address in addresses}
        assert {address for address, answer in answers.items() if answer.status_code != 400} == set()
        assert answers[addresses[0]].json()["errors"][0]["field"] == "received_after"

    def test_the_search_by_patient_too(self) -> None:
        hospital = Hospital()
        answer = hospital.client.post(
            "/api/v1/studies/search?received_after=2026-01-01T00:00:00%2B17:45",
            {"patient_id": "P-1"},
            content_type="application/json",
        )
        assert answer.status_code == 400

    @pytest.mark.parametrize(
        ("role", "address"),
        [
            (Role.ADMINISTRATOR, "/audit/?since={}"),
            (Role.ADMINISTRATOR, "/audit/?until={}"),
            (Role.ADMINISTRATOR, "/jobs/?requested_from={}"),
            (Role.ADMINISTRATOR, "/jobs/?requested_until={}"),
            (Role.RADIOLOGIST, "/reanalyses/?received_from={}"),
        ],
    )
    def test_a_page_answers_400(self, role: Role, address: str) -> None:
        browser = Client()
        browser.force_login(make.user(role))
        for text in ("2026-02-30", "1899-12-31", "9999-12-31", "2026-01-01T00:00:00+17:45", "x"):
            assert browser.get(address.format(quote(text))).status_code == 400, text
        assert browser.get(address.format("2026-01-31")).status_code == 200
        assert browser.get(address.format("")).status_code == 200
