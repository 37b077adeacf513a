"""The report section over HTTP, as the browser's script and plain forms use it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Site, User
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study
from tests import factories
from tests.factories import PASSWORD
from tests.reporting.sign_dialog import readiness, sign
from tests.reporting.test_content import COMPLETE_MG

pytestmark = pytest.mark.django_db(transaction=True)
FRAGMENT = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def study(site: Site) -> Study:
    return factories.study(site, "MG")


@pytest.fixture
def radiologist(site: Site) -> User:
    return factories.user(Role.RADIOLOGIST, site)


@pytest.fixture
def browser(radiologist: User) -> Client:
    return signed_in(radiologist)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def started(browser: Client, study: Study) -> Report:
    response = browser.post(reverse("report-start", args=[study.study_instance_uid]), **FRAGMENT)
    assert response.status_code == 200
    return Report.objects.get(study=study)


def save(browser: Client, draft: Report, revision: int = 0, **fields: Any) -> Any:
    form = {**COMPLETE_MG, "revision": revision, **fields}
    return browser.post(reverse("report-save", args=[draft.pk]), form)


def test_the_section_stands_in_the_case_and_alone(browser: Client, study: Study) -> None:
    url = reverse("report-editor", args=[study.study_instance_uid])
    alone = browser.get(url).content.decode()
    inside = browser.get(url, **FRAGMENT).content.decode()
    assert "<!doctype html>" in alone.lower() and "<!doctype" not in inside.lower()
    assert "Start the report" in alone and "Start the report" in inside


def test_writing_saving_and_signing(browser: Client, study: Study, radiologist: User) -> None:
    draft = started(browser, study)
    answer = save(browser, draft).json()
    assert answer["revision"] == 1 and answer["saved_at"]
    ready = browser.get(reverse("report-readiness", args=[draft.pk])).json()
    assert (ready["revision"], ready["errors"], ready["contradictions"]) == (1, [], [])
    signed = sign(browser, draft)
    assert signed.status_code == 200
    page = browser.get(reverse("report-editor", args=[study.study_instance_uid]), **FRAGMENT).content.decode()
    for expected in (
        radiologist.printed_name,
        "4B – moderate suspicion for malignancy",
        signed.json()["content_hash"],
        "The stored report gives this hash",
        "Write an addendum",
    ):
        assert expected in page
    pdf = browser.get(reverse("report-pdf", args=[draft.pk]))
    assert pdf["Content-Type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-1.7") and pdf["Content-Disposition"].startswith("inline")
    assert AuditEvent.objects.filter(action="report.pdf", object_id=str(draft.pk)).exists()


def test_a_plain_form_leads_back_to_the_page(browser: Client, study: Study) -> None:
    response = browser.post(reverse("report-start", args=[study.study_instance_uid]))
    assert response.status_code == 302
    assert response["Location"] == reverse("report-editor", args=[study.study_instance_uid])


def test_the_second_writer_is_shown_and_a_stale_save_names_them(
    browser: Client, study: Study, site: Site
) -> None:
    draft = started(browser, study)
    sonographer = factories.user(Role.SONOGRAPHER, site)
    other = signed_in(sonographer)
    page = other.post(reverse("report-start", args=[study.study_instance_uid]), **FRAGMENT).content.decode()
    assert "is writing too" in page and "Your role drafts; another person signs." in page
    present = browser.post(reverse("report-presence", args=[draft.pk])).json()
    assert present["notice"] == f"{sonographer.printed_name} is writing too."
    save(other, draft, impression="Theirs.")
    stale = save(browser, draft, impression="Mine.")
    assert stale.status_code == 409
    assert stale["Content-Type"] == "application/problem+json"
    assert stale.json()["type"] == "urn:cad:problem:stale_revision"
    assert stale.json()["writer"] == sonographer.printed_name
    joined = save(browser, draft, impression="Mine.", keep_both="1").json()
    assert joined["revision"] == 2
    draft.refresh_from_db()
    assert draft.content["impression"] == "Theirs.\n\nMine."


def test_what_is_missing_is_told_with_the_words_of_the_form(browser: Client, study: Study) -> None:
    draft = started(browser, study)
    save(browser, draft, impression="", density="")
    errors = browser.get(reverse("report-readiness", args=[draft.pk])).json()["errors"]
    assert [(error["field"], error["reason"]) for error in errors] == [
        ("density", "Choose the breast density."),
        ("impression", "Write the impression."),
    ]


def test_the_signer_is_warned_of_undecided_findings(browser: Client, study: Study) -> None:
    factories.finding(factories.instance(study), factories.succeeded_job(study))
    draft = started(browser, study)
    found = readiness(browser, draft)["contradictions"]
    warnings = [each["sentence"] for each in found if each["severity"] == "warning"]
    assert "Not decided yet: finding 1. They are recorded as undecided." in warnings


def test_lines_that_are_shown_and_not_yet_kept_are_told_to_the_script(
    browser: Client, study: Study, site: Site
) -> None:
    """Signing keeps them first; else it would be refused until somebody types something."""
    draft = started(browser, study)
    save(browser, draft)
    factories.finding(factories.instance(study), author=factories.user(Role.RADIOLOGIST, site))
    url = reverse("report-editor", args=[study.study_instance_uid])
    assert "data-unsaved-lines" in browser.get(url, **FRAGMENT).content.decode()
    save(browser, draft, revision=1)
    assert "data-unsaved-lines" not in browser.get(url, **FRAGMENT).content.decode()


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"revision": "1", "password": "wrong"}, 403, "wrong_password"),
        ({"revision": "0", "password": PASSWORD}, 409, "stale_revision"),
        ({"revision": "x", "password": PASSWORD}, 422, "invalid"),
        ({"shown": ""}, 422, "invalid"),
        ({"shown": "of another report"}, 409, "shown_changed"),
    ],
)
def test_refused_signatures(
    form: dict[str, str], status: int, code: str, browser: Client, study: Study
) -> None:
    draft = started(browser, study)
    save(browser, draft)
    response = sign(browser, draft, **form)
    assert (response.status_code, response.json()["type"]) == (status, f"urn:cad:problem:{code}")
    draft.refresh_from_db()
    assert draft.state == Report.State.DRAFT


@pytest.mark.parametrize("kind", ["histopathology", "nonsense", ""])
def test_a_save_of_another_kind_is_refused(kind: str, browser: Client, study: Study) -> None:
    draft = started(browser, study)
    assert save(browser, draft, kind=kind).status_code == 422


def test_markup_in_a_report_stays_text(browser: Client, study: Study) -> None:
    draft = started(browser, study)
    save(browser, draft, impression="<script>alert(1)</script>")
    page = browser.get(reverse("report-editor", args=[study.study_instance_uid])).content.decode()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_others_see_that_somebody_writes_but_not_what(browser: Client, study: Study, site: Site) -> None:
    save(browser, started(browser, study), impression="Not for the corridor.")
    pathologist = signed_in(factories.user(Role.PATHOLOGIST, site))
    page = pathologist.get(reverse("report-editor", args=[study.study_instance_uid])).content.decode()
    assert "is writing a report" in page and "corridor" not in page


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.SONOGRAPHER, Role.ADMINISTRATOR])
def test_another_sites_reports_do_not_exist(role: str, browser: Client, study: Study) -> None:
    draft = started(browser, study)
    save(browser, draft)
    sign(browser, draft)
    stranger = signed_in(factories.user(role))
    uid = study.study_instance_uid
    expected = {403, 404} if role == Role.ADMINISTRATOR else {404}
    for url in (
        reverse("report-editor", args=[uid]),
        reverse("report-pdf", args=[draft.pk]),
        reverse("report-readiness", args=[draft.pk]),
    ):
        assert stranger.get(url).status_code in expected, url
    for url in (reverse("report-start", args=[uid]), reverse("report-addendum", args=[uid])):
        assert stranger.post(url).status_code in expected, url


def test_a_hospital_system_fetches_the_pdf_with_its_token(browser: Client, study: Study, site: Site) -> None:
    draft = started(browser, study)
    save(browser, draft)
    sign(browser, draft)
    address = reverse("api-report-pdf", args=[draft.pk])

    def fetch(of: Site, *scopes: str) -> Any:
        system = factories.user(Role.INTEGRATOR, of)
        _token, plaintext = tokens.issue(Actor.system("test"), system, name="PACS", scopes=scopes)
        return Client().get(address, HTTP_AUTHORIZATION=f"Bearer {plaintext}")

    answer = fetch(site, "studies:read")
    assert answer["Content-Type"] == "application/pdf"
    assert b"".join(answer.streaming_content).startswith(b"%PDF-1.7")
    assert fetch(site, "studies:write").status_code == 403
    assert fetch(factories.site(), "studies:read").status_code == 404
    assert Client().get(address).status_code == 401


def test_nobody_reads_reports_without_signing_in(study: Study) -> None:
    response = Client().get(reverse("report-editor", args=[study.study_instance_uid]))
    assert response.status_code == 302 and "/accounts/login/" in response["Location"]


def test_the_trail_says_who_did_what(browser: Client, study: Study, radiologist: User) -> None:
    draft = started(browser, study)
    for revision in range(3):
        save(browser, draft, revision=revision, impression=f"Text {revision}")
    sign(browser, draft, "wrong")
    sign(browser, draft)
    page = browser.get(reverse("report-trail", args=[study.study_instance_uid])).content.decode()
    assert radiologist.printed_name in page
    assert "Began a report" in page and "Signed" in page
    assert "Tried to sign" in page and "wrong password" in page
    assert "Saved the draft" in page and "×3" in page


def test_the_pages_speak_chinese(study: Study, browser: Client) -> None:
    url = reverse("report-editor", args=[study.study_instance_uid])
    page = browser.get(url, HTTP_ACCEPT_LANGUAGE="zh-hans").content.decode()
    assert 'lang="zh-hans"' in page.lower()
