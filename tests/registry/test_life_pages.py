"""A version's life on its page: who sees which forms, and what they do."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.registry import routes, switching
from cad_platform.registry.models import Comparison, ModelRoute, ModelVersion, Verification
from tests import factories

pytestmark = pytest.mark.django_db
State = ModelVersion.State
PLAN = {"change_class": "technical", "modification": "built anew", "protocol": "known case", "impact": "none"}


@pytest.fixture(autouse=True)
def every_version_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (switching, routes):
        monkeypatch.setattr(module, "prove", lambda version: None)


@pytest.fixture
def old() -> ModelVersion:
    return factories.model_version("ultrasound", "US", "2.2.0")


@pytest.fixture
def new(old: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    """Its page shows a real manifest."""
    from django.conf import settings

    from inference.runtime.store import read_manifest

    manifest = read_manifest("ultrasound", settings.MODEL_STORE).model_dump(mode="json")
    ModelVersion.objects.update(manifest=manifest)
    found = factories.model_version("ultrasound", "US", "2.2.1", is_default=False)
    ModelVersion.objects.filter(pk=found.pk).update(
        state=State.VERIFIED, came_with_installation=False, manifest=manifest
    )
    return found


def session(role: str = Role.ADMINISTRATOR) -> Client:
    client = Client()
    client.force_login(factories.user(role))
    return client


def page(client: Client, version: ModelVersion) -> str:
    answer = client.get(reverse("model", args=[version.pk]))
    assert answer.status_code == 200
    return unescape(re.sub(r"\s+", " ", answer.content.decode()))


def post(client: Client, name: str, key: int, **said: str) -> str:
    """What the page says afterwards."""
    answer = client.post(reverse(name, args=[key]), said)
    assert answer.status_code == 302
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_two_people_approve_on_the_page(new: ModelVersion) -> None:
    administrator, lead = session(), session(Role.CLINICAL_LEAD)
    assert "Approve this version" in page(administrator, new) and "Examine it" in page(administrator, new)
    assert "Approve this version" in page(lead, new) and "Examine it" not in page(lead, new)
    assert "required" in post(administrator, "model-approve", new.pk, reason="better")
    assert "Another person has to as well." in post(
        administrator, "model-approve", new.pk, reason="better", **PLAN
    )
    assert "Approve this version" not in page(administrator, new)
    assert "You are the second person." in page(lead, new)
    assert "is approved. It analyses nothing yet." in post(lead, "model-approve", new.pk, reason="agreed")
    shown = page(lead, new)
    assert "built anew" in shown and "Clinical lead" in shown and "Begin" not in shown
    assert "It was not compared with 2.2.0 on the reference set." in page(administrator, new)


def test_what_runs_beside_the_default_is_begun_and_ended(old: ModelVersion, new: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=new.pk).update(state=State.APPROVED, came_with_installation=True)
    administrator, site = session(), factories.site()
    assert "Canary" in post(
        administrator, "model-route-add", new.pk, kind="canary", percent="10", site=site.code
    )
    assert "percent" in post(administrator, "model-route-add", new.pk, kind="canary", percent="x")
    shown = page(administrator, new)
    assert "10 %" in shown and site.name in shown and "Retire it for good" not in shown
    assert "10 %" in administrator.get(reverse("models")).content.decode()
    post(administrator, "model-route-end", ModelRoute.objects.get().pk)
    assert "is retired" in post(administrator, "model-retire", new.pk, reason="not wanted")
    assert "Retired" in administrator.get(reverse("models")).content.decode()


def test_one_click_rolls_back(old: ModelVersion, new: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=new.pk).update(state=State.APPROVED, came_with_installation=True)
    administrator = session()
    assert "Roll back" not in page(administrator, old)
    administrator.post(reverse("model-make-default", args=[new.pk]))
    assert "Roll back to 2.2.0" in page(administrator, new)
    said = post(administrator, "model-roll-back", new.pk)
    assert "New studies are analysed with ultrasound 2.2.0." in said


def test_an_examination_is_shown_check_by_check(new: ModelVersion) -> None:
    administrator = session()
    assert "is being examined" in post(administrator, "model-verify", new.pk)
    checks = [{"check": "signature", "passed": False, "said": "nobody vouches"}]
    Verification.objects.update(state=Verification.State.FAILED, checks=checks)
    shown = page(administrator, new)
    assert "Signature" in shown and "Not passed" in shown and "nobody vouches" in shown


@pytest.mark.parametrize("role", sorted(set(Role.values) - {Role.ADMINISTRATOR, Role.CLINICAL_LEAD}))
def test_others_see_none_of_it(new: ModelVersion, role: str) -> None:
    client = session(role)
    assert client.get(reverse("model", args=[new.pk])).status_code == 403
    for name in ("verify", "approve", "retire", "route-add", "roll-back"):
        assert client.post(reverse(f"model-{name}", args=[new.pk])).status_code == 403


def test_a_lead_only_looks_and_approves(new: ModelVersion) -> None:
    lead = session(Role.CLINICAL_LEAD)
    assert "Read the model store" not in lead.get(reverse("models")).content.decode()
    for name in ("verify", "retire", "route-add", "roll-back"):
        assert (
            lead.post(reverse(f"model-{name}", args=[new.pk]), {"reason": "x", "kind": "shadow"}).status_code
            == 403
        )
    assert not Comparison.objects.exists() and not ModelRoute.objects.exists()
