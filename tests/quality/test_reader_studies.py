"""A reader study by page and API gives the published figures; who may, what is refused, what is kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import InternalError, ProgrammingError, transaction
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.errors import NotPermitted
from cad_platform.quality import reader_studies
from cad_platform.quality.models import ReaderStudy
from tests import factories
from tests.inference.challenges.van_dyke import NORMAL, SCORES

pytestmark = pytest.mark.django_db


def van_dyke(*more: str, nested: bool = False) -> str:
    """Its table; `nested`: as if each reader had read other patients."""
    rows = [
        f"{reader},{modality},{f'{reader} ' if nested else ''}case {number},{int(number >= NORMAL)},{score}"
        for (reader, modality), scores in SCORES.items()
        for number, score in enumerate(scores)
    ]
    return "\n".join(["reader,modality,case,truth,score", *rows, *more])


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


def sent(browser: Client, table: str, language: str = "en", **more: Any) -> Any:
    file = SimpleUploadedFile("readings.csv", table.encode())
    return browser.post(
        reverse("reader-studies"), {"name": "Cine MRI", "table": file, "design": "crossed"} | more,
        headers={"accept-language": language}, follow=True,
    )  # fmt: skip


def test_the_page_has_the_published_figures_in_both_languages(browser: Client) -> None:
    page = sent(browser, van_dyke()).content.decode()
    assert (
        "SE MRI and cine MRI are not told apart: difference of the AUC -0.044 [-0.088, 0.000], p = 0.0517."
        in page
    )
    assert "0.920 [" in page and page.count("<polyline") == 10 and "reader 4: " not in page
    assert page.count('role="img"') == 5 and 'stroke-dasharray="7 4"' in page
    found = ReaderStudy.objects.get()
    chinese = browser.get(reverse("reader-study", args=[found.pk]), headers={"accept-language": "zh-hans"})
    assert "SE MRI 与 cine MRI 未见差异" in chinese.content.decode()
    listed = browser.get(reverse("reader-studies")).content.decode()
    assert "Cine MRI" in listed and "1140" in listed.replace(",", "")


def test_the_report_leaves_as_a_file_and_that_is_recorded(browser: Client) -> None:
    sent(browser, van_dyke())
    found = ReaderStudy.objects.get()
    text = browser.get(reverse("reader-study-report", args=[found.pk, "md"]))
    assert (
        text["Content-Disposition"].startswith("attachment")
        and "| reader 4 | 0.973 [" in text.content.decode()
    )
    told = browser.get(reverse("reader-study-report", args=[found.pk, "json"])).json()
    assert round(told["tests"][0]["p"], 4) == 0.0517
    assert browser.get(reverse("reader-study-report", args=[found.pk, "exe"])).status_code == 404
    actions = list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))
    assert [each for each in actions if each.startswith("reader_study")] == [
        "reader_study.make", "reader_study.download", "reader_study.download",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "sentence", "chinese"),
    [
        ("reader,case\n", "line 1: there is no column modality", "modality"),
        (
            van_dyke("reader 6,SE MRI,case 0,0,3"),
            "reader 6 has not read case case 1 with SE MRI",
            "未以 SE MRI 阅读",
        ),
        (van_dyke("reader 1,SE MRI,case 0,0,3"), "line 1142: reader reader 1 reads case case 0", "重复阅读"),
        (van_dyke("reader 1,SE MRI,case 0,maybe,3"), "neither 1 nor 0", "既不是 1 也不是 0"),
        (
            "reader,modality,case,truth,score\na,m,1,1,2\na,m,2,1,2\na,m,3,0,1\na,m,4,0,1",
            "two of each",
            "至少各需两个",
        ),
    ],
)
def test_a_table_that_is_not_complete_is_refused_in_a_sentence(
    browser: Client, table: str, sentence: str, chinese: str
) -> None:
    for language, said in (("en", sentence), ("zh-hans", chinese)):
        answer = sent(browser, table, language)
        assert answer.status_code == 422 and said in answer.content.decode()
    assert not ReaderStudy.objects.exists()


def test_cases_nested_in_readers_have_their_own_published_figures(browser: Client) -> None:
    page = sent(browser, van_dyke(nested=True), design="nested").content.decode()
    assert "SE MRI and cine MRI differ: difference of the AUC -0.044 [-0.085, -0.003], p = 0.0420." in page
    assert "one reader each (nested in readers)" in page
    found = ReaderStudy.objects.get()
    assert found.is_nested and found.report["command"] == (
        "python -m inference mrmc --nested --scores TABLE.csv --out DIR"
    )
    assert AuditEvent.objects.get(action="reader_study.make").detail["nested"] is True
    chinese = browser.get(reverse("reader-study", args=[found.pk]), headers={"accept-language": "zh-hans"})
    assert "嵌套于阅片者" in chinese.content.decode()
    said = {"name": "Cine MRI", "table": van_dyke(nested=True), "design": "nested"}
    made = browser.post("/api/v1/reader-studies", said, content_type="application/json")
    assert made.status_code == 201 and made.json()["study"]["design"] == "nested"
    assert round(made.json()["report"]["tests"][0]["p"], 4) == 0.0420
    designs = {each["design"] for each in browser.get("/api/v1/reader-studies").json()["results"]}
    assert designs == {"nested"}


@pytest.mark.parametrize(
    ("table", "design", "sentence", "chinese"),
    [
        (van_dyke(nested=True), "crossed", "choose that each case was read by one reader", "只由一位阅片者阅读"),
        (van_dyke(), "nested", "case case 0 is read by reader 1 and by reader 2: choose", "请选择每位阅片者阅读了"),
        (
            van_dyke("reader 1,SE MRI,another,0,3", nested=True), "nested",
            "reader 1 has not read case another with cine MRI; every reader must read each of the own cases",
            "阅读自己的每个病例",
        ),
        (
            van_dyke("reader 9,SE MRI,9a,0,3", "reader 9,cine MRI,9a,0,3", nested=True), "nested",
            "reader 9 has fewer than two cases of a class", "某一类病例少于两个",
        ),
        (van_dyke(), "", "This field is required", "必填"),
        (van_dyke(), "paired", "paired", "paired"),
    ],
)  # fmt: skip
def test_a_table_of_another_kind_than_was_said_is_refused(
    browser: Client, table: str, design: str, sentence: str, chinese: str
) -> None:
    for language, said in (("en", sentence), ("zh-hans", chinese)):
        answer = sent(browser, table, language, design=design)
        assert answer.status_code == 422 and said in answer.content.decode()
    if design:
        said_ = {"name": "Cine MRI", "table": table, "design": design}
        refused = browser.post("/api/v1/reader-studies", said_, content_type="application/json")
        assert refused.status_code == 422
    assert not ReaderStudy.objects.exists()


def test_what_is_too_much_to_wait_for_is_refused(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_studies, "MOST_READINGS", 1000)
    assert "python -m inference mrmc" in sent(browser, van_dyke()).content.decode()
    monkeypatch.setattr(reader_studies, "MOST_READERS", 4)
    assert "More than 4 values in the column reader" in sent(browser, van_dyke()).content.decode()


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMINISTRATOR])
def test_nobody_else_may(role: Role) -> None:
    actor = factories.actor(role)
    with pytest.raises(NotPermitted):
        reader_studies.analyse(actor, "study", van_dyke(), is_nested=False)
    with pytest.raises(NotPermitted):
        reader_studies.studies(actor)


def test_what_was_analysed_stays_as_it_is(browser: Client) -> None:
    sent(browser, van_dyke())
    for change in (lambda: ReaderStudy.objects.update(name="x"), lambda: ReaderStudy.objects.all().delete()):
        with pytest.raises((InternalError, ProgrammingError)), transaction.atomic():
            change()


def test_the_api_answers_with_the_same_report(browser: Client) -> None:
    said = {"name": "Cine MRI", "table": van_dyke()}
    made = browser.post("/api/v1/reader-studies", said, content_type="application/json")
    assert made.status_code == 201, made.content
    told = made.json()
    assert round(told["report"]["tests"][0]["F"], 2) == 4.46 and len(told["curves"]["reader 1"]["SE MRI"]) > 3
    assert told["study"]["design"] == "crossed", "as it was before there was a choice"
    assert browser.get("/api/v1/reader-studies").json()["results"] == [told["study"]]
    assert browser.get(f"/api/v1/reader-studies/{told['study']['id']}").json() == told
    refused = browser.post(
        "/api/v1/reader-studies", said | {"table": "reader\n"}, content_type="application/json"
    )
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "table"
