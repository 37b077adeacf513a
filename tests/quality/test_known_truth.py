"""Signed pathology gives known cases; what a person's table says of a study stays."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import KnownTruth
from cad_platform.quality.models import AnalysisFact
from tests import factories
from tests.quality.generated import analysed

pytestmark = pytest.mark.django_db


def test_what_is_proven_is_taken_up_once_and_a_table_stays(client: Client) -> None:
    site = factories.site()
    old = factories.model_version("ultrasound", "US", "2.2.0")
    new = factories.model_version("ultrasound", "US", "2.2.1", is_default=False)
    other = factories.model_version()
    each = {0: {"proven_positive": True}, 1: {"proven_positive": False}, 2: {"proven_positive": True}}
    facts = analysed(
        site, old, [0.9, 0.1, 0.5, 0.4], begin=timezone.now(), each=lambda number: each.get(number, {})
    )
    analysed(site, other, [0.9], begin=timezone.now(), each=lambda _number: {"proven_positive": True})
    KnownTruth.objects.create(study=facts[2].study, positive=False, source="table")
    client.force_login(factories.user(Role.ADMINISTRATOR))
    page = reverse("known-from-pathology", args=[new.pk])
    agreement = reverse("model-agreement", args=[new.pk, old.pk])
    assert page in client.get(agreement).content.decode()
    assert client.post(page, {"against": old.pk})["Location"] == agreement
    api = reverse("api-known-from-pathology", args=["ultrasound", "2.2.1"])
    assert client.post(api).json() == {"studies": 0}, "once"
    taken = KnownTruth.objects.filter(source="pathology").values_list("study", "positive")
    assert dict(taken) == {facts[0].study_id: True, facts[1].study_id: False}

    # An amended specimen: the later word counts.
    AnalysisFact.objects.filter(pk=facts[0].pk).update(proven_positive=False)
    assert client.post(api).json() == {"studies": 1}
    for role in set(Role.values) - {Role.ADMINISTRATOR}:
        client.force_login(factories.user(role, site))
        assert (client.post(page).status_code, client.post(api).status_code) == (403, 403), role
