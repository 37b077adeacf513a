"""What is signed is what stands: nothing slips in while the PDF is made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from cad_platform.patients.models import Patient
from cad_platform.reading import services as reading
from cad_platform.reading.models import FindingDecision
from cad_platform.reporting import services, signing
from cad_platform.reporting.drafts import StaleRevision
from cad_platform.reporting.models import Report
from cad_platform.studies import services as studies
from cad_platform.studies.models import Study
from tests import factories
from tests.factories import PASSWORD
from tests.reporting.test_content import COMPLETE_MG

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signer() -> Actor:
    return factories.actor(Role.RADIOLOGIST, factories.site())


@pytest.fixture
def colleague(signer: Actor) -> Actor:
    return factories.actor(Role.RADIOLOGIST, signer.user.site)


@pytest.fixture
def study(signer: Actor) -> Study:
    return factories.study(signer.user.site)


@pytest.fixture
def marks(study: Study) -> list[Finding]:
    image, job = factories.instance(study), factories.succeeded_job(study)
    return [factories.finding(image, job) for _ in range(3)]


@pytest.fixture
def draft(signer: Actor, study: Study, marks: list[Finding]) -> Report:
    opened = services.open_draft(signer, study)
    return services.save_draft(signer, opened.pk, COMPLETE_MG, opened.revision).report


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something from another connection while the PDF is being made by the real typesetter."""

    def arrange(step: Callable[[], object]) -> None:
        real = signing.typeset

        def elsewhere() -> None:
            try:
                step()
            finally:
                connection.close()

        def typeset(*args: Any, **options: Any) -> bytes:
            made = real(*args, **options)
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join(20)
            assert not thread.is_alive(), "whoever decides waits for the PDF"
            return made

        monkeypatch.setattr(signing, "typeset", typeset)

    return arrange


def sign(signer: Actor, draft: Report) -> Any:
    return signing.sign(signer, draft.pk, password=PASSWORD, revision=draft.revision)


def assert_unsigned(draft: Report) -> None:
    draft.refresh_from_db()
    assert (draft.state, draft.content_hash, draft.pdf, draft.ai_summary) == ("draft", "", None, {})
    assert not AuditEvent.objects.filter(action="report.sign", outcome="success").exists()


def test_a_decision_made_while_the_pdf_is_typeset_is_told_and_nothing_is_signed(
    signer: Actor, colleague: Actor, draft: Report, marks: list[Finding], meanwhile: Any
) -> None:
    meanwhile(lambda: reading.decide(colleague, marks[1], "rejected", reason="skin fold"))
    with pytest.raises(Conflict) as refusal:
        sign(signer, draft)
    assert refusal.value.code == "case_changed"
    assert f"finding 2 was decided by {colleague.user.printed_name}" in refusal.value.detail
    assert_unsigned(draft)
    assert FindingDecision.objects.filter(finding=marks[1]).count() == 1, "the decision is kept"
    assert sign_again(signer, draft).report.ai_summary["findings"][1]["decision"]["verdict"] == "rejected"


def sign_again(signer: Actor, draft: Report) -> Any:
    """With nothing in the way."""
    from cad_platform.reporting import typesetting

    signing.typeset = typesetting.typeset  # the fixture puts its own back
    draft.refresh_from_db()
    return sign(signer, draft)


def test_seven_decisions_at_once_never_stand_after_a_signature(
    signer: Actor, colleague: Actor, draft: Report, study: Study, marks: list[Finding]
) -> None:
    """As it was seen: a reader who goes on deciding while the report is signed in another window."""
    image = marks[0].instance
    more = [*marks, *(factories.finding(image, marks[0].job) for _ in range(4))]
    refused: list[str] = []

    def decide_all() -> None:
        try:
            for mark in more:
                try:
                    reading.decide(colleague, mark, "rejected", reason="skin fold")
                except Conflict as conflict:
                    refused.append(conflict.detail)
        finally:
            connection.close()

    thread = threading.Thread(target=decide_all)
    thread.start()
    try:
        signature = sign(signer, draft)
    except Conflict:
        signature = None
    thread.join(30)
    assert len(refused) + FindingDecision.objects.count() == len(more)
    if signature is None:
        assert_unsigned(draft)
        return
    report = Report.objects.get(pk=draft.pk)
    recorded = [finding for finding in report.ai_summary["findings"] if finding["decision"]]
    assert len(recorded) == FindingDecision.objects.count()


def test_a_finding_drawn_meanwhile_is_told(
    signer: Actor, colleague: Actor, draft: Report, study: Study, marks: list[Finding], meanwhile: Any
) -> None:
    meanwhile(lambda: reading.add_finding(colleague, study, marks[0].instance, [5, 5, 90, 90], "asymmetry"))
    with pytest.raises(Conflict):
        sign(signer, draft)
    assert_unsigned(draft)


def test_a_result_that_arrives_meanwhile_is_told(
    signer: Actor, draft: Report, study: Study, meanwhile: Any
) -> None:
    def arrive() -> None:
        AnalysisJob.objects.create(
            study=study,
            content_hash=study.content_hash,
            model_version=factories.model_version("second-opinion"),
            state="failed",
            reason="the file is damaged",
            finished_at=timezone.now(),
        )

    meanwhile(arrive)
    with pytest.raises(Conflict, match="Second-opinion"):
        sign(signer, draft)
    assert_unsigned(draft)


def test_a_save_meanwhile_is_a_stale_revision(
    signer: Actor, colleague: Actor, draft: Report, meanwhile: Any
) -> None:
    words = COMPLETE_MG | {"impression": "Other words."}
    meanwhile(lambda: services.save_draft(colleague, draft.pk, words, draft.revision))
    with pytest.raises(StaleRevision):
        sign(signer, draft)


def test_a_withdrawal_meanwhile_ends_it(
    signer: Actor, colleague: Actor, draft: Report, study: Study, meanwhile: Any
) -> None:
    meanwhile(lambda: studies.withdraw(colleague, study, "wrong patient"))
    with pytest.raises(Conflict, match="withdrawn"):
        sign(signer, draft)
    assert_unsigned(draft)


def test_another_name_printed_is_another_report(
    signer: Actor, draft: Report, study: Study, meanwhile: Any
) -> None:
    meanwhile(lambda: Patient.objects.filter(pk=study.patient_id).update(name="Okafor^Adaeze"))
    with pytest.raises(Conflict, match="details changed"):
        sign(signer, draft)
    assert_unsigned(draft)


def test_nobody_corrects_the_patient_between_the_last_look_and_the_commit(
    signer: Actor, draft: Report, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = signing._freeze, []

    def correct() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '300ms'")
            Patient.objects.filter(pk=study.patient_id).update(name="Okafor^Adaeze")
        except OperationalError as error:
            refused.append(error)
        finally:
            connection.close()

    def freeze(*args: Any) -> Any:
        thread = threading.Thread(target=correct)
        thread.start()
        thread.join(10)
        return real(*args)

    monkeypatch.setattr(signing, "_freeze", freeze)
    assert sign(signer, draft).content_hash and len(refused) == 1


def test_an_undo_meanwhile_is_told_too(
    signer: Actor, colleague: Actor, study: Study, marks: list[Finding], meanwhile: Any
) -> None:
    reading.decide(colleague, marks[0], "rejected", reason="skin fold")
    opened = services.open_draft(signer, study)
    saved = services.save_draft(signer, opened.pk, COMPLETE_MG, opened.revision).report
    meanwhile(lambda: reading.decide(colleague, marks[0], "undecided"))
    with pytest.raises(Conflict, match="finding 1 was decided"):
        sign(signer, saved)


def test_an_addendum_is_signed_under_the_same_rule(
    signer: Actor, colleague: Actor, study: Study, marks: list[Finding], draft: Report, meanwhile: Any
) -> None:
    sign(signer, draft)
    addendum = services.open_addendum(signer, study)
    saved = services.save_draft(
        signer,
        addendum.pk,
        {"kind": "addendum", "reason": "Again.", "text": "Seen again."},
        addendum.revision,
    ).report
    meanwhile(lambda: reading.decide(colleague, marks[2], "rejected", reason="vessel"))
    with pytest.raises(Conflict, match="finding 3"):
        sign(signer, saved)


def test_a_worker_that_takes_a_job_meanwhile_changes_nothing(
    signer: Actor, draft: Report, study: Study, meanwhile: Any
) -> None:
    waiting = AnalysisJob.objects.create(
        study=study,
        content_hash=study.content_hash,
        model_version=factories.model_version("second-opinion"),
    )
    meanwhile(lambda: AnalysisJob.objects.filter(pk=waiting.pk).update(state="running"))
    assert sign(signer, draft).content_hash
