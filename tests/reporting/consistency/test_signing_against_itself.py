"""The review's contradictions stop the signature over HTTP; a reason lets it through, and is printed and recorded."""

from __future__ import annotations

import io

import pypdf
import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.reporting.models import Report, Signature
from cad_platform.reporting.record import hash_matches
from cad_platform.studies.models import Study
from tests import factories
from tests.reporting.sign_dialog import readiness, sign
from tests.reporting.test_content import COMPLETE_MG

pytestmark = pytest.mark.django_db(transaction=True)
REASON = "Both breasts are sampled by the surgeon."


@pytest.fixture
def study() -> Study:
    return factories.study(factories.site())


@pytest.fixture
def browser(study: Study) -> Client:
    client = Client()
    client.force_login(factories.user(Role.RADIOLOGIST, study.site))
    return client


def written(browser: Client, study: Study, **fields: str) -> Report:
    browser.post(reverse("report-start", args=[study.study_instance_uid]))
    draft = Report.objects.get(study=study)
    saved = browser.post(reverse("report-save", args=[draft.pk]), {**COMPLETE_MG, "revision": 0, **fields})
    assert saved.status_code == 200
    return draft


def test_it_is_stopped_and_signed_with_a_reason_that_is_printed(browser: Client, study: Study) -> None:
    draft = written(browser, study, impression="Mass of the left breast. Biopsy of the RIGHT breast.")
    refused = sign(browser, draft)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:cad:problem:contradiction")
    [stop] = [each for each in readiness(browser, draft)["contradictions"] if each["severity"] == "stop"]
    assert {place["name"] for place in stop["places"]} == {"impression", "right"}
    assert sign(browser, draft, **{f"reason_{stop['key']}": REASON}).status_code == 200

    draft.refresh_from_db()
    assert [each["reason"] for each in draft.overrides] == [REASON]
    assert hash_matches(draft, Signature.objects.get(pk=draft.pk))
    file = io.BytesIO(browser.get(reverse("report-pdf", args=[draft.pk])).content)
    printed = " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(file).pages).split())
    assert REASON in printed
    recorded = AuditEvent.objects.filter(action="report.sign", outcome="success").get()
    assert recorded.detail["overrides"] == [{"rule": stop["rule"], "reason": REASON}]


def test_a_patient_corrected_since_the_dialog_is_not_signed(browser: Client, study: Study) -> None:
    draft = written(browser, study)
    digest = readiness(browser, draft)["digest"]
    assert study.patient is not None
    study.patient.name = "Other^Patient"
    study.patient.save()
    refused = sign(browser, draft, shown=digest)
    assert refused.json()["type"] == "urn:cad:problem:shown_changed"
