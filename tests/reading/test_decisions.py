"""What readers make of findings: who may, what is asked of them, and that nothing is ever overwritten."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import Finding
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted, PlatformError
from cad_platform.reading import report_standing, selectors, services
from cad_platform.reading.models import FindingDecision
from cad_platform.reading.worklist import WorklistFilters, worklist
from cad_platform.studies.models import Study
from cad_platform.studies.services import withdraw
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def finding(reader: Actor) -> Finding:
    study = make.study(reader.user.site)
    return make.finding(make.instance(study), make.succeeded_job(study))


def newest(finding: Finding) -> FindingDecision:
    return FindingDecision.objects.filter(finding=finding).latest()


def test_accepting_needs_no_reason(reader: Actor, finding: Finding) -> None:
    services.decide(reader, finding, "accepted")
    assert newest(finding).verdict == "accepted"
    assert newest(finding).reader == reader.user


@pytest.mark.parametrize("verdict", ["edited", "rejected"])
@pytest.mark.parametrize("reason", ["", "   ", "\n\0"])
def test_editing_and_rejecting_need_a_reason(
    reader: Actor, finding: Finding, verdict: str, reason: str
) -> None:
    with pytest.raises(Invalid) as refused:
        services.decide(reader, finding, verdict, reason=reason, box=[1, 1, 50, 50])
    assert refused.value.errors[0].field == "reason"
    assert not FindingDecision.objects.exists()


def test_an_edit_changes_box_label_or_both(reader: Actor, finding: Finding) -> None:
    services.decide(reader, finding, "edited", reason="Too large", box=[110, 210, 200, 280])
    assert newest(finding).box == [110, 210, 200, 280]
    services.decide(reader, finding, "edited", reason="Wrong label", label="calcifications")
    assert (newest(finding).box, newest(finding).label) == (None, "calcifications")
    with pytest.raises(Invalid):
        services.decide(reader, finding, "edited", reason="because")
    finding.refresh_from_db()
    assert (finding.box, finding.label) == ([100, 200, 220, 290], "mass")


@pytest.mark.parametrize(
    "box",
    [
        [0, 0, 1, 1],
        [1600, 10, 1700, 90],
        [-50, -50, -1, -1],
        [5, 5, 5, 80],
        [float("nan"), 0, 9, 9],
        [float("inf"), 0, 9, 9],
        [1, 2, 3],
        [],
    ],
)
def test_a_box_must_lie_in_the_image(reader: Actor, finding: Finding, box: list[float]) -> None:
    with pytest.raises(Invalid):
        services.decide(reader, finding, "edited", reason="Wrong place", box=box)


def test_a_box_over_the_border_is_cut_and_one_drawn_backwards_is_turned(
    reader: Actor, finding: Finding
) -> None:
    services.decide(reader, finding, "edited", reason="Too small", box=[1600, 300, 1400, -20])
    assert newest(finding).box == [1400, 0, 1500, 300]


def test_unknown_verdicts_and_labels_are_refused(reader: Actor, finding: Finding) -> None:
    with pytest.raises(Invalid):
        services.decide(reader, finding, "maybe")
    with pytest.raises(Invalid):
        services.decide(reader, finding, "edited", reason="x", label="<script>")


def test_an_undo_is_one_more_decision(reader: Actor, finding: Finding) -> None:
    services.decide(reader, finding, "rejected", reason="Normal tissue")
    services.decide(reader, finding, "undecided")
    history = FindingDecision.objects.filter(finding=finding)
    assert [decision.verdict for decision in history] == ["rejected", "undecided"]
    assert history[0].reason == "Normal tissue"


def test_the_database_refuses_to_change_a_decision(reader: Actor, finding: Finding) -> None:
    services.decide(reader, finding, "accepted")
    with pytest.raises(DatabaseError), transaction.atomic():
        FindingDecision.objects.update(verdict="rejected")
    with pytest.raises(DatabaseError), transaction.atomic():
        FindingDecision.objects.all().delete()


@pytest.mark.parametrize(
    ("role", "modality", "refusal"),
    [
        (Role.RADIOLOGIST, "MG", None),
        (Role.RADIOLOGIST, "US", None),
        (Role.RADIOLOGIST, "SM", NotPermitted),
        (Role.SONOGRAPHER, "MG", None),
        (Role.SONOGRAPHER, "US", None),
        (Role.SONOGRAPHER, "SM", NotPermitted),
        (Role.PATHOLOGIST, "SM", None),
        (Role.PATHOLOGIST, "MG", NotPermitted),
        (Role.PATHOLOGIST, "US", NotPermitted),
        (Role.INTEGRATOR, "MG", NotPermitted),
        (Role.ADMINISTRATOR, "MG", NotPermitted),
    ],
)
def test_who_decides(role: str, modality: str, refusal: type[PlatformError] | None) -> None:
    site = make.site()
    study = make.study(site, modality)
    finding = make.finding(make.instance(study), make.succeeded_job(study))
    actor = make.actor(role, site)
    if refusal is None:
        services.decide(actor, finding, "accepted")
    else:
        with pytest.raises(refusal):
            services.decide(actor, finding, "accepted")
        assert not FindingDecision.objects.exists()


def test_another_site_learns_nothing(finding: Finding) -> None:
    stranger = make.actor(Role.RADIOLOGIST, make.site())
    with pytest.raises(NotFound):
        services.decide(stranger, finding, "accepted")
    with pytest.raises(NotFound):
        selectors.finding(stranger, finding.study.study_instance_uid, finding.id)
    with pytest.raises(NotFound):
        services.open_case(stranger, finding.study.study_instance_uid)


def test_every_decision_is_audited_with_it_or_not_made(
    reader: Actor, finding: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.decide(reader, finding, "rejected", reason="Artefact or marker")
    event = AuditEvent.objects.get(action="finding.decide")
    assert (event.object_id, event.detail["verdict"]) == (str(finding.id), "rejected")

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("the audit log is away")

    monkeypatch.setattr(services, "record", refuse)
    with pytest.raises(RuntimeError):
        services.decide(reader, finding, "accepted")
    assert FindingDecision.objects.count() == 1


def test_a_signed_report_closes_the_findings_until_an_addendum_is_begun(
    reader: Actor, finding: Finding
) -> None:
    report_standing.report_signed(finding.study, timezone.now(), {})
    with pytest.raises(Conflict):
        services.decide(reader, finding, "accepted")
    report_standing.draft_begun(finding.study)
    services.decide(reader, finding, "accepted")


def test_a_withdrawn_study_takes_no_decisions(reader: Actor, finding: Finding) -> None:
    withdraw(reader, finding.study, "wrong patient")
    with pytest.raises(Conflict):
        services.decide(reader, finding, "accepted")


def test_a_reader_adds_a_finding_of_their_own(reader: Actor, finding: Finding) -> None:
    study: Study = finding.study
    added = services.add_finding(reader, study, finding.instance, [10, 20, 90, 80], "asymmetry")
    assert (added.number, added.author, added.job, added.score) == (2, reader.user, None, None)
    assert AuditEvent.objects.filter(action="finding.add", object_id=str(added.id)).exists()
    with pytest.raises(Invalid):
        services.add_finding(reader, study, finding.instance, [10, 20, 90, 80], "")
    with pytest.raises(Invalid):
        services.add_finding(reader, study, finding.instance, [], "mass")
    with pytest.raises(Invalid):
        services.add_finding(
            reader, study, make.instance(make.study(reader.user.site)), [1, 1, 50, 50], "mass"
        )


def test_a_finding_of_a_clip_belongs_to_the_frame_that_it_was_drawn_on(
    reader: Actor, finding: Finding
) -> None:
    study: Study = finding.study
    clip, still = make.instance(study, frames=8), make.instance(study)
    box = [10, 20, 90, 80]
    assert services.add_finding(reader, study, clip, box, "mass", 5).frame == 5
    assert services.add_finding(reader, study, clip, box, "mass").frame is None
    assert services.add_finding(reader, study, still, box, "mass", 0).frame is None
    with pytest.raises(Invalid):
        services.add_finding(reader, study, clip, box, "mass", 8)


def test_opening_a_case_is_audited_with_what_was_shown(reader: Actor, finding: Finding) -> None:
    services.open_case(reader, finding.study.study_instance_uid)
    event = AuditEvent.objects.get(action="study.view")
    assert event.object_id == str(finding.study_id)
    assert event.detail["findings"] == 1
    assert list(event.detail["jobs"].values()) == ["succeeded"]


def test_what_was_searched_for_is_not_recorded(reader: Actor) -> None:
    services.show_worklist(reader, worklist(reader, WorklistFilters(search="Okafor")))
    event = AuditEvent.objects.get(action="study.list")
    assert event.detail["searched"] is True
    assert "Okafor" not in str(event.detail)
