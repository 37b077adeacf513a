"""A signature whose answer got lost is asked for again: it is told as it was given, and nothing is signed twice."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.reporting import signing
from cad_platform.reporting.models import Report, Signature
from cad_platform.studies.models import Study
from tests import factories
from tests.factories import PASSWORD
from tests.reading.test_sent_twice import at_once
from tests.reporting.sign_dialog import readiness
from tests.reporting.test_content import COMPLETE_MG
from tests.reporting.test_pages import save, signed_in, started

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def study() -> Study:
    return factories.study(factories.site())


@pytest.fixture
def browser(study: Study) -> Client:
    return signed_in(factories.user(Role.RADIOLOGIST, study.site))


@pytest.fixture
def draft(browser: Client, study: Study) -> Report:
    draft = started(browser, study)
    save(browser, draft, 0, **COMPLETE_MG)
    draft.refresh_from_db()
    return draft


def request_of(browser: Client, draft: Report, **fields: Any) -> dict[str, Any]:
    """What the dialog sends."""
    ready = readiness(browser, draft)
    return {
        "revision": ready["revision"],
        "shown": ready["digest"],
        "password": PASSWORD,
        "request_key": str(uuid4()),
        **fields,
    }


def post(browser: Client, draft: Report, form: dict[str, Any]) -> Any:
    return browser.post(f"/reports/{draft.pk}/sign", form)


def test_the_same_request_again_is_told_what_it_signed(browser: Client, draft: Report) -> None:
    form = request_of(browser, draft)
    first, again = post(browser, draft, form), post(browser, draft, form)
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.json()["before"], again.json()["before"]) == (False, True)
    assert first.json()["content_hash"] == again.json()["content_hash"]
    assert Signature.objects.count() == 1
    assert AuditEvent.objects.filter(action="report.sign", outcome="success").count() == 1


def test_another_request_is_told_that_it_is_signed(browser: Client, draft: Report) -> None:
    form = request_of(browser, draft)
    post(browser, draft, form)
    for key in (str(uuid4()), ""):
        refused = post(browser, draft, {**form, "request_key": key})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:cad:problem:signed")


def test_a_colleague_is_not_answered_for_the_signer(browser: Client, draft: Report, study: Study) -> None:
    form = request_of(browser, draft)
    post(browser, draft, form)
    colleague = signed_in(factories.user(Role.RADIOLOGIST, study.site))
    assert post(colleague, draft, form).json()["type"] == "urn:cad:problem:request_key_reused"
    stranger = signed_in(factories.user(Role.RADIOLOGIST, factories.site()))
    assert post(stranger, draft, form).status_code == 404 or post(stranger, draft, form).status_code == 403


def test_a_refused_signature_may_be_tried_again_under_its_key(browser: Client, draft: Report) -> None:
    form = request_of(browser, draft)
    assert post(browser, draft, {**form, "password": "wrong"}).status_code == 403
    assert post(browser, draft, form).json()["before"] is False


def test_the_same_request_twice_at_once_signs_once(study: Study) -> None:
    signer = factories.actor(Role.RADIOLOGIST, study.site)
    browser = signed_in(signer.user)
    draft = started(browser, study)
    save(browser, draft, 0, **COMPLETE_MG)
    draft.refresh_from_db()
    key = uuid4()

    def sign() -> str:
        try:
            signature = signing.sign(
                signer, draft.pk, password=PASSWORD, revision=draft.revision, request_key=key
            )
        except signing.SignedBefore as known:
            return f"before {known.signature.content_hash}"
        return f"now {signature.content_hash}"

    outcomes = sorted(at_once(sign, sign))
    assert [outcome.split()[0] for outcome in outcomes] == ["before", "now"]
    assert len({outcome.split()[1] for outcome in outcomes}) == 1 == Signature.objects.count()
