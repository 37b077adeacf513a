"""A site's own thresholds: two people, in results from then on, said on the case page, withdrawn."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from cad_platform.accounts.models import Role
from cad_platform.analysis import tasks
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.verdict import thresholds_of
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted
from cad_platform.quality.facts import fact_of
from cad_platform.reading import selectors
from cad_platform.reading.case_presenter import case_page
from cad_platform.registry import thresholds
from cad_platform.registry.models import ModelVersion, SiteThresholds
from tests import factories
from tests.analysis.conftest import MakeStudy

pytestmark = pytest.mark.django_db
PLATFORM = Path(__file__).resolve().parents[2] / "cad_platform"
OWN = {"high_sensitivity": 0.05, "balanced": 0.31, "high_specificity": 0.77}


@pytest.fixture
def version(models: dict[str, Any]) -> ModelVersion:
    return models["ultrasound"]


@pytest.fixture
def site() -> Any:
    return factories.site()


def proposed(version: ModelVersion, site: Any, **changed: float) -> SiteThresholds:
    administrator = factories.actor(Role.ADMINISTRATOR)
    return thresholds.propose(administrator, version, site, {**OWN, **changed}, uuid.uuid4())


def job_of(study: Any) -> AnalysisJob:
    assert tasks.study_complete(str(study.pk)) == "succeeded"
    return AnalysisJob.objects.select_related("study", "model_version").get(study=study)


def provenance(study: Any) -> Any:
    reader = factories.actor(Role.RADIOLOGIST, study.site)
    (analysis,) = case_page(selectors.case(reader, study.study_instance_uid)).analyses
    return analysis.provenance


def test_results_from_then_on_are_made_with_them_and_say_so(
    version: ModelVersion, site: Any, ultrasound_study: MakeStudy
) -> None:
    shipped = {name: version.manifest["thresholds"][name] for name in OWN}
    row = proposed(version, site)
    before = job_of(ultrasound_study(site))
    assert before.result is not None and before.result["thresholds"] == shipped, "a proposal does nothing"
    lead = factories.actor(Role.CLINICAL_LEAD, site)
    thresholds.sign(lead, row.pk)
    own, elsewhere = job_of(ultrasound_study(site)), job_of(ultrasound_study())
    assert own.result is not None and elsewhere.result is not None
    assert own.result["thresholds"] == OWN and elsewhere.result["thresholds"] == shipped
    assert own.score == elsewhere.score, "what the network says is the same"
    said = provenance(own.study)
    assert "of this site, number 1" in said.thresholds_of and lead.user.printed_name in said.thresholds_of
    for shown in (before, elsewhere):
        assert provenance(shown.study).thresholds_of == "as shipped with the version"

    # Others take their place; one person withdraws those, and the shipped ones hold.
    second = proposed(version, site, balanced=0.4)
    thresholds.sign(lead, second.pk)
    row.refresh_from_db()
    assert row.ended_at is not None and thresholds.in_force(version, site.pk) == second
    assert "number 1" in provenance(own.study).thresholds_of, "what was made stays what it was"
    thresholds.withdraw(lead, second.pk, "a new scanner")
    assert thresholds.in_force(version, site.pk) is None
    assert thresholds.manifest_at(version, site.pk).thresholds == version.manifest["thresholds"]
    told = AuditEvent.objects.filter(action__startswith="thresholds.").values_list("action", flat=True)
    assert sorted(told) == [
        "thresholds.propose", "thresholds.propose", "thresholds.sign", "thresholds.sign", "thresholds.withdraw",
    ]  # fmt: skip


def test_everybody_asks_one_owner_for_a_results_thresholds(version: ModelVersion, site: Any) -> None:
    """A result that says some of its operating points has the shipped ones for the rest: on the case page, in the
    worklist, in the watched figures."""
    study = factories.study(site, "US")
    job = factories.succeeded_job(study, 0.5, by=version)
    job.result = {**(job.result or {}), "thresholds": {"high_sensitivity": 0.05}}
    job.save(update_fields=["result"])
    expected = {**version.manifest["thresholds"], "high_sensitivity": 0.05}
    assert thresholds_of(job) == expected
    assert sorted(level for _point, level in provenance(study).thresholds) == sorted(expected.values())
    fact = fact_of(job.pk)
    assert fact is not None and fact.is_positive == (expected["balanced"] <= 0.5)
    asked = {
        str(path.relative_to(PLATFORM))
        for path in PLATFORM.rglob("*.py")
        if re.search(r"""manifest(_of\(.*\))?(\.get\("thresholds"|\["thresholds"\])""", path.read_text())
    }
    assert asked == {"analysis/verdict.py", "registry/thresholds.py"}


def test_two_people(version: ModelVersion, site: Any) -> None:
    row = proposed(version, site)
    with pytest.raises(Conflict) as same:
        thresholds.sign(Actor.of_user(row.proposed_by), row.pk)
    assert same.value.code == "same_person"
    with pytest.raises(NotFound):
        thresholds.sign(factories.actor(Role.CLINICAL_LEAD), row.pk)
    for role in (Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER, Role.INTEGRATOR):
        with pytest.raises(NotPermitted):
            thresholds.sign(factories.actor(role, site), row.pk)
        with pytest.raises(NotPermitted):
            thresholds.withdraw(factories.actor(role, site), row.pk, "x")
    with pytest.raises(NotPermitted):
        thresholds.propose(factories.actor(Role.CLINICAL_LEAD, site), version, site, OWN, uuid.uuid4())
    for field in ("signed_by", "signed_at"):
        value = {"signed_by": row.proposed_by, "signed_at": row.proposed_at}[field]
        with pytest.raises(IntegrityError), transaction.atomic():
            SiteThresholds.objects.filter(pk=row.pk).update(**{field: value})
    with pytest.raises(IntegrityError), transaction.atomic():
        SiteThresholds.objects.filter(pk=row.pk).update(signed_by=row.proposed_by, signed_at=row.proposed_at)
    lead = factories.actor(Role.CLINICAL_LEAD, site)
    with pytest.raises(Invalid):
        thresholds.withdraw(lead, row.pk, " ")
    thresholds.withdraw(lead, row.pk, "dropped")
    for again in (lambda: thresholds.sign(lead, row.pk), lambda: thresholds.withdraw(lead, row.pk, "x")):
        with pytest.raises(Conflict):
            again()


def test_one_set_is_in_force_whatever_the_code_does(version: ModelVersion, site: Any) -> None:
    for _ in range(2):
        row = proposed(version, site)
        change = {"signed_by": factories.user(Role.ADMINISTRATOR), "signed_at": row.proposed_at}
        if row.number == 1:
            SiteThresholds.objects.filter(pk=row.pk).update(**change)
            continue
        with pytest.raises(IntegrityError), transaction.atomic():
            SiteThresholds.objects.filter(pk=row.pk).update(**change)


@pytest.mark.parametrize("wrong", [{"balanced": 0.0}, {"balanced": 1.0}, {"other": 0.5}])
def test_only_operating_points_of_the_version(
    version: ModelVersion, site: Any, wrong: dict[str, float]
) -> None:
    with pytest.raises(Invalid):
        proposed(version, site, **wrong)
