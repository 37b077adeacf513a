"""From a draft to a signed report that nobody can change."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import psycopg
import pypdf
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from cad_platform.accounts.models import Role, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted, TooManyRequests
from cad_platform.core.models import OutboxEvent
from cad_platform.reporting import services, signing
from cad_platform.reporting.drafts import StaleRevision
from cad_platform.reporting.models import Report, Signature
from cad_platform.reporting.record import content_hash, hash_matches
from cad_platform.studies import storage
from cad_platform.studies.models import Study
from tests import factories
from tests.factories import PASSWORD
from tests.reporting.test_content import COMPLETE_MG, COMPLETE_SM

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def study(site: Site) -> Study:
    return factories.study(site, "MG", procedure="Screening mammography")


@pytest.fixture
def radiologist(site: Site) -> Actor:
    return factories.actor(Role.RADIOLOGIST, site, professional_id="GMC 7654321")


def complete_draft(actor: Actor, study: Study, content: dict[str, Any] = COMPLETE_MG) -> Report:
    draft = services.open_draft(actor, study)
    return services.save_draft(actor, draft.pk, content, draft.revision).report


def signed_report(actor: Actor, study: Study, content: dict[str, Any] = COMPLETE_MG) -> Report:
    draft = complete_draft(actor, study, content)
    signing.sign(actor, draft.pk, password=PASSWORD, revision=draft.revision)
    return Report.objects.get(pk=draft.pk)


def pdf_of(report: Report) -> pypdf.PdfReader:
    assert report.pdf is not None
    with storage.open(report.pdf.sha256) as path:
        return pypdf.PdfReader(BytesIO(path.read_bytes()))


def test_two_who_open_a_draft_write_the_same_one(study: Study, radiologist: Actor, site: Site) -> None:
    colleague = factories.actor(Role.SONOGRAPHER, site)
    assert services.open_draft(radiologist, study) == services.open_draft(colleague, study)
    assert services.update_presence(radiologist, Report.objects.get(study=study).pk)[1] == [
        colleague.user.printed_name
    ]
    services.leave_draft(colleague, Report.objects.get(study=study).pk)
    assert services.update_presence(radiologist, Report.objects.get(study=study).pk)[1] == []


def test_a_stale_save_is_refused_and_names_the_other_writer(
    study: Study, radiologist: Actor, site: Site
) -> None:
    colleague = factories.actor(Role.SONOGRAPHER, site)
    draft = services.open_draft(radiologist, study)
    services.save_draft(colleague, draft.pk, {"kind": "imaging", "indication": "Lump."}, 0)
    with pytest.raises(StaleRevision) as refusal:
        services.save_draft(radiologist, draft.pk, {"kind": "imaging", "impression": "Cyst."}, 0)
    assert refusal.value.writer == colleague.user.printed_name
    assert refusal.value.revision == 1


def test_keeping_both_joins_over_the_common_start(study: Study, radiologist: Actor, site: Site) -> None:
    colleague = factories.actor(Role.SONOGRAPHER, site)
    draft = services.open_draft(radiologist, study)
    first = {"kind": "imaging", "comparison": "None.", "assessment": "1"}
    services.save_draft(radiologist, draft.pk, first, 0)
    services.save_draft(colleague, draft.pk, first | {"impression": "Theirs.", "assessment": "2"}, 1)
    saved = services.save_draft(
        radiologist,
        draft.pk,
        first | {"impression": "Mine.", "comparison": "2024.", "assessment": "3"},
        1,
        keep_both=True,
    )
    assert saved.report.content["impression"] == "Theirs.\n\nMine."
    assert saved.report.content["comparison"] == "2024."
    assert (saved.report.content["assessment"], saved.chosen_theirs) == ("2", ("assessment",))
    assert saved.report.revision == 3


def test_saving_the_same_again_makes_no_new_revision(study: Study, radiologist: Actor) -> None:
    draft = services.open_draft(radiologist, study)
    content = {"kind": "imaging", "impression": "Cyst."}
    assert services.save_draft(radiologist, draft.pk, content, 0).report.revision == 1
    assert services.save_draft(radiologist, draft.pk, content, 1).report.revision == 1


def test_words_about_a_finding_stay_when_it_is_rejected_later(study: Study, radiologist: Actor) -> None:
    marked = factories.finding(factories.instance(study), factories.succeeded_job(study))
    factories.decision(marked, radiologist.user)
    draft = services.open_draft(radiologist, study)
    line = {"finding": str(marked.pk), "text": "Spiculated."}
    saved = services.save_draft(radiologist, draft.pk, {"kind": "imaging", "findings": [line]}, 0).report
    assert saved.content["findings"][0] == {
        "finding": str(marked.pk),
        "heading": "1 · L CC · mass · 12.0 × 9.0 mm",
        "text": "Spiculated.",
    }
    factories.decision(marked, radiologist.user, "rejected", reason="skin fold")
    again = services.save_draft(radiologist, draft.pk, saved.content, 1).report
    assert again.content["findings"] == [{"finding": None, "heading": "", "text": "Spiculated."}]


def test_a_draft_may_be_discarded_and_begun_again(study: Study, radiologist: Actor) -> None:
    draft = services.open_draft(radiologist, study)
    services.discard_draft(radiologist, draft.pk)
    assert not Report.objects.filter(pk=draft.pk).exists()
    assert services.open_draft(radiologist, study).pk != draft.pk
    assert AuditEvent.objects.filter(action="report.discard", object_id=str(draft.pk)).exists()


def test_signing_freezes_content_decisions_and_what_the_models_said(study: Study, radiologist: Actor) -> None:
    image = factories.instance(study)
    job = factories.succeeded_job(study)
    accepted, rejected, undecided = (factories.finding(image, job) for _ in range(3))
    factories.decision(accepted, radiologist.user)
    factories.decision(rejected, radiologist.user, "rejected", reason="skin fold")
    report = signed_report(radiologist, study)
    signature = report.signature
    assert report.state == Report.State.SIGNED
    assert signature.printed_name == radiologist.user.printed_name
    assert signature.role == Role.RADIOLOGIST and signature.meaning
    assert signature.content_hash == report.content_hash and hash_matches(report, signature)
    assert [line["finding"] for line in report.content["findings"]] == [str(accepted.pk)]
    assert report.content["findings"][0]["heading"] == "1 · L CC · mass · 12.0 × 9.0 mm"
    assert report.ai_summary["undecided"] == [undecided.number]
    assert [f["decision"] and f["decision"]["verdict"] for f in report.ai_summary["findings"]] == [
        "accepted",
        "rejected",
        None,
    ]
    event = OutboxEvent.objects.get(topic="report.signed")
    assert event.payload == {"report_id": str(report.pk)}
    recorded = AuditEvent.objects.get(action="report.sign", outcome="success")
    assert recorded.detail["content_hash"] == report.content_hash


def test_the_pdf_says_everything_and_carries_the_record(study: Study, radiologist: Actor) -> None:
    job = factories.succeeded_job(study)
    marked = factories.finding(factories.instance(study), job)
    factories.decision(marked, radiologist.user)
    study.patient.name = "王^小东"
    study.patient.save()
    hostile = '#read("/etc/passwd") $x$ *not bold* <label> @ref [x] \\ "quoted"'
    report = signed_report(radiologist, study, COMPLETE_MG | {"impression": hostile})
    reader = pdf_of(report)
    text = " ".join(page.extract_text() for page in reader.pages)
    squeezed = "".join(text.split())
    for expected in (
        "王",
        study.patient.patient_id,
        study.accession_number,
        study.study_instance_uid,
        "4B – moderate suspicion",
        "Tissue diagnosis",
        "probability of malignancy 87 %",
        "weights abababababab",
        "Accepted by",
        radiologist.user.printed_name,
        "Radiologist",
        "GMC 7654321",
        "approved as the responsible physician",
        report.content_hash,
        "Not a medical device",
        hostile,
    ):
        assert "".join(expected.split()) in squeezed, expected
    record = reader.attachments["record.json"][0]
    assert content_hash(record) == report.content_hash
    metadata = reader.xmp_metadata
    assert metadata is not None and metadata.pdfaid_part == "3"


def test_a_histopathology_report_prints_grade_and_receptors(site: Site) -> None:
    pathologist = factories.actor(Role.PATHOLOGIST, site)
    report = signed_report(pathologist, factories.study(site, "SM"), COMPLETE_SM)
    text = "".join(pdf_of(report).pages[0].extract_text().split())
    assert "tubules3+nuclei2+mitoses1=6of9" in text
    assert "Positive,95%" in text


@pytest.mark.parametrize(
    ("role", "modality"),
    [(Role.SONOGRAPHER, "US"), (Role.SONOGRAPHER, "MG"), (Role.PATHOLOGIST, "MG"), (Role.RADIOLOGIST, "SM")],
)
def test_who_may_not_sign(role: str, modality: str, site: Site) -> None:
    study = factories.study(site, modality)
    writer = factories.actor(Role.PATHOLOGIST if modality == "SM" else Role.RADIOLOGIST, site)
    draft = complete_draft(writer, study, COMPLETE_SM if modality == "SM" else COMPLETE_MG)
    with pytest.raises(NotPermitted):
        signing.sign(factories.actor(role, site), draft.pk, password=PASSWORD, revision=draft.revision)


def test_another_sites_draft_does_not_exist(study: Study, radiologist: Actor) -> None:
    draft = complete_draft(radiologist, study)
    stranger = factories.actor(Role.RADIOLOGIST)
    for act in (
        lambda: services.open_draft(stranger, study),
        lambda: services.save_draft(stranger, draft.pk, {"kind": "imaging"}, 1),
        lambda: services.update_presence(stranger, draft.pk),
        lambda: services.discard_draft(stranger, draft.pk),
        lambda: signing.sign(stranger, draft.pk, password=PASSWORD, revision=1),
    ):
        with pytest.raises(NotFound):
            act()


def test_an_administrator_neither_drafts_nor_signs(study: Study, radiologist: Actor) -> None:
    draft = complete_draft(radiologist, study)
    administrator = factories.actor(Role.ADMINISTRATOR)
    with pytest.raises(NotPermitted):
        services.open_draft(administrator, study)
    with pytest.raises(NotPermitted):
        signing.sign(administrator, draft.pk, password=PASSWORD, revision=1)


def test_a_wrong_password_signs_nothing_and_is_recorded(study: Study, radiologist: Actor) -> None:
    draft = complete_draft(radiologist, study)
    with pytest.raises(NotPermitted) as refusal:
        signing.sign(radiologist, draft.pk, password="wrong", revision=draft.revision)
    assert refusal.value.code == "wrong_password"
    assert not Signature.objects.exists()
    assert AuditEvent.objects.filter(action="report.sign", outcome="wrong_password").count() == 1


def test_too_many_wrong_passwords_close_the_door_until_it_is_unlocked(
    study: Study, radiologist: Actor
) -> None:
    from cad_platform.accounts.services import unlock_user

    draft = complete_draft(radiologist, study)
    for _ in range(5):
        with pytest.raises(NotPermitted):
            signing.sign(radiologist, draft.pk, password="wrong", revision=draft.revision)
    with pytest.raises(TooManyRequests):
        signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision)
    unlock_user(factories.actor(Role.ADMINISTRATOR), radiologist.user)
    assert signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision)


def test_an_incomplete_report_is_not_signed_and_the_fields_are_named(
    study: Study, radiologist: Actor
) -> None:
    draft = complete_draft(radiologist, study, COMPLETE_MG | {"impression": "", "density": ""})
    with pytest.raises(Invalid) as refusal:
        signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision)
    assert [error.field for error in refusal.value.errors] == ["density", "impression"]


def test_nobody_signs_what_they_did_not_see(study: Study, radiologist: Actor) -> None:
    draft = complete_draft(radiologist, study)
    with pytest.raises(StaleRevision):
        signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision - 1)
    factories.decision(
        factories.finding(factories.instance(study), factories.succeeded_job(study)), radiologist.user
    )
    with pytest.raises(Conflict, match="Look at them once more"):
        signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision)


def test_a_withdrawn_study_is_not_reported(study: Study, radiologist: Actor) -> None:
    draft = complete_draft(radiologist, study)
    study.withdrawn_at, study.withdrawn_reason = timezone.now(), "wrong patient"
    study.save()
    with pytest.raises(Conflict, match="withdrawn"):
        signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision)


def test_a_signed_report_takes_no_changes_but_an_addendum(study: Study, radiologist: Actor) -> None:
    report = signed_report(radiologist, study)
    with pytest.raises(Conflict):
        services.save_draft(radiologist, report.pk, COMPLETE_MG, report.revision)
    with pytest.raises(Conflict):
        services.discard_draft(radiologist, report.pk)
    with pytest.raises(Conflict):
        services.open_draft(radiologist, study)
    addendum = services.open_addendum(radiologist, study)
    assert addendum == services.open_addendum(radiologist, study)
    saved = services.save_draft(
        radiologist, addendum.pk, {"kind": "addendum", "reason": "Late priors.", "text": "Priors came."}, 0
    )
    signature = signing.sign(radiologist, addendum.pk, password=PASSWORD, revision=saved.report.revision)
    signed = Report.objects.get(pk=addendum.pk)
    assert signed.amends == report and hash_matches(signed, signature)
    assert "Priors came." in pdf_of(signed).pages[0].extract_text()


def test_an_addendum_needs_a_signed_report(study: Study, radiologist: Actor) -> None:
    with pytest.raises(Conflict):
        services.open_addendum(radiologist, study)


CHANGES = [
    "UPDATE reporting_report SET content = '{}'",
    "UPDATE reporting_report SET state = 'draft', content_hash = ''",
    "DELETE FROM reporting_report",
    "TRUNCATE reporting_report CASCADE",
    "ALTER TABLE reporting_report DISABLE TRIGGER ALL",
    "DROP TRIGGER pgtrigger_signed_is_frozen_0f3e4 ON reporting_report",
    "UPDATE reporting_signature SET printed_name = 'somebody'",
    "DELETE FROM reporting_signature",
    "TRUNCATE reporting_signature",
    "ALTER TABLE reporting_signature DISABLE TRIGGER ALL",
    "UPDATE reporting_reportevent SET content = '{}'",
    "DELETE FROM reporting_reportevent",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_application_cannot_change_a_signed_report_by_sql(
    statement: str, study: Study, radiologist: Actor
) -> None:
    report = signed_report(radiologist, study)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true) FROM pg_trigger")
        cursor.execute(statement)
    unchanged = Report.objects.get(pk=report.pk)
    assert hash_matches(unchanged, Signature.objects.get(pk=report.pk))


@pytest.mark.parametrize(
    "statement",
    [
        change
        for change in CHANGES
        if change.startswith(("UPDATE reporting_report SET", "DELETE FROM reporting_report", "TRUNCATE"))
    ][:4],
)
def test_the_owner_of_the_tables_does_not_change_it_in_passing(
    statement: str, study: Study, radiologist: Actor, owner_url: str
) -> None:
    signed_report(radiologist, study)
    with psycopg.connect(owner_url) as owner, pytest.raises(psycopg.DatabaseError, match="Cannot"):
        owner.execute(statement)


def test_a_deactivated_signer_cannot_sign(study: Study, radiologist: Actor) -> None:
    draft = complete_draft(radiologist, study)
    radiologist.user.is_active = False
    radiologist.user.save()
    with pytest.raises(NotPermitted):
        signing.sign(radiologist, draft.pk, password=PASSWORD, revision=draft.revision)


def test_a_token_neither_drafts_nor_signs(study: Study, radiologist: Actor) -> None:
    class Token:
        id = None
        scopes = ("studies:read", "studies:write")

    with pytest.raises(NotPermitted):
        services.open_draft(replace(radiologist, token=Token()), study)
