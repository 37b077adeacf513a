"""The pages as the browser gets them: their addresses, what a poll costs, how a refusal looks."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role, User
from cad_platform.audit.models import AuditEvent
from cad_platform.reading.models import FindingDecision
from cad_platform.studies.models import Study
from tests import factories as make

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def reader() -> User:
    return make.user(Role.RADIOLOGIST, make.site())


@pytest.fixture
def browser(reader: User) -> Client:
    client = Client()
    client.force_login(reader, BACKEND)
    return client


@pytest.fixture
def study(reader: User) -> Study:
    assert reader.site is not None
    return make.study(
        reader.site, patient=make.patient(reader.site, name="Lindqvist^Sara", patient_id="HN-77")
    )


def seen(html: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', html)
    assert found
    return found[1]


def test_visitors_are_asked_to_sign_in() -> None:
    for address in (reverse("worklist"), reverse("case", args=["2.25.1"])):
        answer = Client().get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/")


def test_a_search_is_answered_without_the_patient_in_any_address(browser: Client, study: Study) -> None:
    answer = browser.post(
        reverse("worklist"), {"search": "Lindqvist", "modality": "MG", "state": "all"}, headers=HTMX
    )
    html = answer.content.decode()
    assert "Lindqvist, Sara" in html
    assert "HN-77" in html
    assert answer["HX-Replace-Url"] == "/worklist/?state=all&modality=MG"
    for address in re.findall(r'(?:href|action|src|hx-\w+)="([^"]*)"', html):
        assert "Lindqvist" not in address
        assert "HN-77" not in address


def test_a_search_in_the_address_is_ignored(browser: Client, study: Study) -> None:
    html = browser.get(reverse("worklist") + "?search=nobody").content.decode()
    assert "Lindqvist, Sara" in html


def test_a_poll_of_an_unchanged_list_is_empty_and_a_changed_one_is_audited(
    browser: Client, study: Study, reader: User
) -> None:
    form = {"state": "unread", "modality": "", "priority": "", "order": "suggested", "search": ""}
    page = browser.get(reverse("worklist")).content.decode()
    again = browser.post(reverse("worklist"), {**form, "seen": seen(page)}, headers=HTMX)
    assert again.status_code == 204
    assert AuditEvent.objects.filter(action="study.list").count() == 1
    assert reader.site is not None
    make.study(reader.site)
    changed = browser.post(reverse("worklist"), {**form, "seen": seen(page)}, headers=HTMX)
    assert changed.status_code == 200
    assert AuditEvent.objects.filter(action="study.list").count() == 2


def test_a_poll_of_an_unchanged_case_is_empty_and_not_one_more_reading(browser: Client, study: Study) -> None:
    page = browser.get(reverse("case", args=[study.study_instance_uid])).content.decode()
    live = reverse("case-live", args=[study.study_instance_uid])
    assert browser.get(live, {"seen": seen(page)}, headers=HTMX).status_code == 204
    assert AuditEvent.objects.filter(action="study.view").count() == 1
    make.succeeded_job(study)
    changed = browser.get(live, {"seen": seen(page)}, headers=HTMX)
    assert changed.status_code == 200
    html = changed.content.decode()
    assert "87" in html
    assert re.search(r'id="case-state" hx-swap-oob="true">Ready to read<', html)


def test_a_decision_answers_with_the_new_list(browser: Client, study: Study) -> None:
    finding = make.finding(make.instance(study), make.succeeded_job(study))
    address = reverse("finding-decide", args=[study.study_instance_uid, finding.id])
    answer = browser.post(address, {"verdict": "accepted"}, headers=HTMX)
    assert answer.status_code == 200
    assert "Accepted" in answer.content.decode()


@pytest.mark.parametrize(
    "form",
    [
        {"verdict": "rejected"},
        {"verdict": "edited", "reason": "Too large", "box": "[1,2,3]"},
        {"verdict": "edited", "reason": "Too large", "box": "[" * 100_000},
        {"verdict": "edited", "reason": "Too large", "box": '["a","b","c","d"]'},
        {"verdict": ""},
    ],
)
def test_a_refused_decision_is_a_message_in_the_page(
    browser: Client, study: Study, form: dict[str, str]
) -> None:
    finding = make.finding(make.instance(study), make.succeeded_job(study))
    address = reverse("finding-decide", args=[study.study_instance_uid, finding.id])
    answer = browser.post(address, form, headers=HTMX)
    assert answer.status_code == 422
    assert answer["HX-Retarget"] == "#toasts"
    assert "<html" not in answer.content.decode()
    assert not FindingDecision.objects.exists()


def test_names_with_markup_stay_text(browser: Client, reader: User) -> None:
    assert reader.site is not None
    patient = make.patient(reader.site, name="<script>alert(1)</script>^Eve")
    study = make.study(reader.site, patient=patient, procedure='"><img src=x>')
    for address in (reverse("worklist"), reverse("case", args=[study.study_instance_uid])):
        html = browser.get(address).content.decode()
        assert "<script>alert(1)" not in html
        assert "<img src=x>" not in html


def test_another_sites_case_does_not_exist(browser: Client) -> None:
    elsewhere = make.study(make.site())
    answer = browser.get(reverse("case", args=[elsewhere.study_instance_uid]))
    assert answer.status_code == 404
    assert elsewhere.accession_number not in answer.content.decode()


def test_administrators_are_kept_from_images() -> None:
    client = Client()
    client.force_login(make.user(Role.ADMINISTRATOR), BACKEND)
    study = make.study(make.site())
    for address in (reverse("worklist"), reverse("case", args=[study.study_instance_uid])):
        assert client.get(address).status_code == 403


def test_a_withdrawal_needs_a_reason_and_keeps_the_study(browser: Client, study: Study) -> None:
    address = reverse("study-withdraw", args=[study.study_instance_uid])
    assert browser.post(address, {"reason": "  "}).status_code == 422
    answer = browser.post(address, {"reason": "posted for the wrong patient"})
    assert answer.status_code == 302
    study.refresh_from_db()
    assert study.withdrawn_reason == "posted for the wrong patient"
    page = browser.get(reverse("case", args=[study.study_instance_uid])).content.decode()
    assert "posted for the wrong patient" in page


def test_pages_are_in_the_chosen_language(browser: Client, study: Study) -> None:
    browser.post(reverse("set_language"), {"language": "zh-hans", "next": "/worklist/"})
    html = browser.get(reverse("worklist")).content.decode()
    assert '<html lang="zh-hans">' in html


def test_no_page_has_inline_scripts_or_handlers(browser: Client, study: Study) -> None:
    make.finding(make.instance(study), make.succeeded_job(study))
    for address in (reverse("worklist"), reverse("case", args=[study.study_instance_uid])):
        html = browser.get(address).content.decode()
        assert not re.search(r"<[^>]+\son\w+=", html)
        assert not re.search(r"<script(?![^>]*(src=|type=\"application/json\"))", html)
        assert "hx-on" not in html
