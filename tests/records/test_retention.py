"""What falls due, what is held, and that what is erased is gone: from tables, history, storage and caches."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role, Site
from cad_platform.analysis.models import Artefact, ShadowResult
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted
from cad_platform.patients.models import Patient
from cad_platform.reading.worklist import WorklistFilters, worklist
from cad_platform.records import erasing, merging, retention
from cad_platform.records.models import ErasureRequest
from cad_platform.reporting.models import Report
from cad_platform.studies import pixels, storage
from cad_platform.studies.models import Instance, Study
from tests import factories
from tests.posted_files import Hospital, dicom
from tests.studies.test_receive_safety import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def first(site: Site) -> Actor:
    return factories.actor(Role.RADIOLOGIST, site)


@pytest.fixture
def second(site: Site) -> Actor:
    return factories.actor(Role.RADIOLOGIST, site)


def policy(site: Site, years: int | None) -> None:
    retention.change_policy(factories.actor(Role.ADMINISTRATOR), site.pk, years)


def visited(site: Site, on: date, **fields: Any) -> Patient:
    patient = factories.patient(site, created_at=timezone.now() - timedelta(days=20_000), **fields)
    factories.study(site, patient=patient, study_date=on)
    return patient


class TestDue:
    def test_years_after_the_last_visit(self, site: Site, first: Actor) -> None:
        today = timezone.now().astimezone(site.zone).date()
        old = visited(site, today - timedelta(days=366 * 10))
        factories.study(site, patient=old, study_date=today - timedelta(days=366 * 12))
        recent = visited(site, today - timedelta(days=366 * 12))
        factories.study(site, patient=recent, study_date=today - timedelta(days=30))
        assert list(retention.due(first)) == []  # no policy, nothing is due
        policy(site, 10)
        assert list(retention.due(first)) == [old]
        assert list(retention.due(factories.actor(Role.RADIOLOGIST))) == []
        hold = retention.place_hold(first, old, "A trial.")
        assert list(retention.due(first)) == []
        retention.lift_hold(first, hold.pk, "It has ended.")
        erasing.ask(first, old, on_behalf="retention", reason="Over.")
        assert list(retention.due(first)) == []
        policy(site, None)
        assert list(retention.due(first)) == []

    @pytest.mark.parametrize("years", [0, -1, 101])
    def test_a_policy_that_there_is_not(self, site: Site, years: int) -> None:
        with pytest.raises(Invalid):
            policy(site, years)

    def test_who_may(self, site: Site, first: Actor) -> None:
        patient = factories.patient(site)
        with pytest.raises(NotPermitted):
            retention.change_policy(first, site.pk, 10)
        for role in (Role.ADMINISTRATOR, Role.INTEGRATOR):
            other = factories.actor(role, None if role == Role.ADMINISTRATOR else site)
            for act in (
                lambda other=other: retention.due(other),
                lambda other=other: retention.place_hold(other, patient, "x"),
                lambda other=other: erasing.ask(other, patient, on_behalf="patient", reason="x"),
            ):
                with pytest.raises(NotPermitted):
                    act()
        stranger = factories.actor(Role.RADIOLOGIST)
        with pytest.raises(NotFound):
            retention.place_hold(stranger, patient, "x")
        with pytest.raises(NotFound):
            erasing.ask(stranger, patient, on_behalf="patient", reason="x")


class TestTwoPeople:
    def test_nobody_decides_what_they_asked(self, site: Site, first: Actor, second: Actor) -> None:
        asked = erasing.ask(first, factories.patient(site), on_behalf="patient", reason="She asked.")
        with pytest.raises(NotPermitted):
            erasing.decide(first, asked.pk)
        with pytest.raises(NotFound):
            erasing.decide(factories.actor(Role.RADIOLOGIST), asked.pk)
        with pytest.raises(IntegrityError), transaction.atomic():
            ErasureRequest.objects.filter(pk=asked.pk).update(state="decided", decided_by=first.user)
        erasing.decide(second, asked.pk)
        with pytest.raises(Conflict):
            erasing.refuse(second, asked.pk, "Too late.")

    def test_refused_with_a_reason_and_asked_again(self, site: Site, first: Actor, second: Actor) -> None:
        patient = factories.patient(site)
        asked = erasing.ask(first, patient, on_behalf="patient", reason="She asked.")
        with pytest.raises(Conflict):
            erasing.ask(second, patient, on_behalf="patient", reason="Again.")
        with pytest.raises(Invalid):
            erasing.refuse(second, asked.pk, " ")
        erasing.refuse(second, asked.pk, "The law has her kept.")
        assert not erasing.carry_out(asked.pk)
        erasing.ask(second, patient, on_behalf="patient", reason="Again.")

    def test_at_once_one_decides(self, site: Site, first: Actor, second: Actor) -> None:
        asked = erasing.ask(first, factories.patient(site), on_behalf="patient", reason="She asked.")

        def tried(act: Any) -> Any:
            try:
                return act()
            except Conflict:
                return None

        third = factories.actor(Role.SONOGRAPHER, site)
        answers = at_once(
            lambda: tried(lambda: erasing.decide(second, asked.pk)),
            lambda: tried(lambda: erasing.refuse(third, asked.pk, "No.")),
        )
        assert sum(answer is not None for answer in answers) == 1

    def test_a_hold_stands_before_and_after(self, site: Site, first: Actor, second: Actor) -> None:
        patient = factories.patient(site)
        hold = retention.place_hold(first, patient, "A court.")
        with pytest.raises(Conflict, match="hold"):
            erasing.ask(first, patient, on_behalf="patient", reason="x")
        retention.lift_hold(first, hold.pk, "Over.")
        asked = erasing.ask(first, patient, on_behalf="patient", reason="x")
        erasing.decide(second, asked.pk)
        retention.place_hold(first, patient, "Another court.")
        assert not erasing.carry_out(asked.pk)
        assert Patient.objects.get(pk=patient.pk).erased_at is None


def everything_in_the_database() -> str:
    """Every row of every table, as text."""
    rows = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            table = model._meta.db_table
            if model._meta.managed and table not in {"django_session", "pghistory_events"}:
                cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')
                rows += [f"{table} {row}" for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def files_under(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


class TestMergedRecords:
    def test_nothing_is_merged_while_its_erasure_is_open_nor_split_after_it(
        self, site: Site, first: Actor, second: Actor
    ) -> None:
        kept, gone, third = (factories.patient(site) for _ in range(3))
        made = merging.merge(first, kept.pk, gone.pk, "same")
        with pytest.raises(Conflict, match="merged"):
            erasing.ask(first, gone, on_behalf="patient", reason="x")
        asked = erasing.ask(first, kept, on_behalf="patient", reason="x")
        for one, other in ((kept, third), (third, kept)):
            with pytest.raises(Conflict, match="erasure"):
                merging.merge(first, one.pk, other.pk, "same")
        erasing.decide(second, asked.pk)
        erasing.take_turn()
        with pytest.raises(Conflict, match="erased"):
            merging.undo(first, made.pk, "two")
        with pytest.raises(Conflict, match="erased"):
            merging.merge(first, third.pk, kept.pk, "same")

    def test_a_hold_on_a_record_that_was_merged_keeps_the_whole(self, site: Site, first: Actor) -> None:
        kept, gone = factories.patient(site), factories.patient(site)
        retention.place_hold(first, gone, "A court.")
        merging.merge(first, kept.pk, gone.pk, "same")
        with pytest.raises(Conflict, match="hold"):
            erasing.ask(first, kept, on_behalf="patient", reason="x")


class TestErased:
    def erased(self, patient: Patient, first: Actor, second: Actor) -> ErasureRequest:
        asked = erasing.ask(first, patient, on_behalf="patient", reason="The person asked.")
        erasing.decide(second, asked.pk)
        erasing.take_turn()
        asked.refresh_from_db()
        return asked

    def test_nothing_says_who_it_was(self, site: Site, first: Actor, second: Actor) -> None:
        hospital = Hospital(site)
        said = {
            "PatientID": "PID-SECRET", "PatientName": "Nachname^Unverwechselbar", "AccessionNumber": "ACC-SECRET",
            "StudyInstanceUID": "2.25.777777", "SeriesInstanceUID": "2.25.888888", "SOPInstanceUID": "2.25.999999",
        }  # fmt: skip
        assert hospital.post(None, {"named-file.dcm": dicom(1, **said)}).status_code == 201
        hospital.post(
            None, {"named-file.dcm": dicom(1, **{**said, "PatientBirthDate": "19500101"})}
        )  # quarantine
        no_pixels = dict.fromkeys(("Rows", "Columns", "PixelData", "BitsAllocated"))
        sr = {
            **said,
            "SOPInstanceUID": "2.25.666",
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33",
            "Modality": "SR",
        }
        hospital.post(None, {"named-report": dicom(0, **sr, **no_pixels)})
        old = factories.patient(site, patient_id="OLD-SECRET")
        patient = Patient.objects.get(patient_id="PID-SECRET")
        merging.merge(first, patient.pk, old.pk, "Nachname twice.")
        study, instance = Study.objects.get(), Instance.objects.get()
        job = factories.succeeded_job(study)
        ShadowResult.objects.create(
            study=study, content_hash=study.content_hash, model_version=job.model_version, state="succeeded",
            result={"images": [{"image_id": "2.25.999999"}]}, score=0.5,
        )  # fmt: skip
        mask = storage.store_bytes(b"a mask", "image/png")
        Artefact.objects.create(job=job, instance=instance, kind="mask", file=mask)
        pdf = storage.store_bytes(b"%PDF Nachname", "application/pdf")
        report = Report.objects.create(
            study=study, state="signed", content={"conclusion": "Nothing found."}, content_hash="ab" * 32,
            created_by=first.user, pdf=pdf,
            particulars={"patient": {"name": "Nachname^Unverwechselbar"}, "site": "H",
                         "study": {"accession_number": "ACC-SECRET", "modality": "MG"}},
        )  # fmt: skip
        pixels.rendered(instance, 0)
        original = instance.file_id
        assert any(original in name for name in files_under(settings.DERIVED_CACHE_DIR))
        with storage.open(original) as path:
            folder = path.parent.parent.parent

        asked = self.erased(patient, first, second)

        assert asked.state == ErasureRequest.State.DONE and asked.files == []
        left = everything_in_the_database()
        for word in (
            "SECRET", "Nachname", "Unverwechselbar", "named-file", "named-report", "2.25.777777", "2.25.888888",
            "2.25.999999", "19610402", "1961-04-02",
        ):  # fmt: skip
            assert [line[:160] for line in left.splitlines() if word in line] == [], word
        for sha256 in (original, mask.sha256, pdf.sha256):
            assert not storage.exists(sha256)
            assert not any(
                sha256 in name for name in files_under(folder) | files_under(settings.DERIVED_CACHE_DIR)
            )
        report.refresh_from_db()
        assert (report.content["conclusion"], report.content_hash) == ("Nothing found.", "ab" * 32)
        assert report.pdf_id is None and report.particulars["patient"] is None
        proof = AuditEvent.objects.get(action="erasure.carry_out")
        assert proof.detail["images"] == 1 and proof.detail["records"] == 2
        assert AuditEvent.objects.filter(action="erasure.files_removed").exists()
        # Nobody at the site is shown it any more.
        assert hospital.get().json()["results"] == []
        assert worklist(first, WorklistFilters(state="all")).studies == []
        assert hospital.client.get(f"/api/v1/images/{instance.pk}").status_code == 404
        # Whoever comes under the old id is somebody new.
        assert hospital.post(None, {"a.dcm": dicom(1, **said)}).status_code == 201
        assert Patient.objects.get(patient_id="PID-SECRET").pk != patient.pk

    def test_a_file_that_another_patient_has_too_stays(self, site: Site, first: Actor, second: Actor) -> None:
        mine, theirs = factories.patient(site), factories.patient(site)
        shared = storage.store_bytes(b"the same picture", "image/png")
        for patient in (mine, theirs):
            factories.instance(factories.study(site, patient=patient), file=shared)
        asked = self.erased(mine, first, second)
        assert asked.proof["files_shared_with_others"] == 1
        assert storage.exists(shared.sha256)
        assert Instance.objects.filter(file=shared).count() == 1

    def test_what_a_crash_broke_off_goes_on(
        self, site: Site, first: Actor, second: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        patient = factories.patient(site)
        file = storage.store_bytes(b"a picture", "image/png")
        factories.instance(factories.study(site, patient=patient), file=file)
        asked = erasing.ask(first, patient, on_behalf="patient", reason="x")
        erasing.decide(second, asked.pk)

        class CrashError(Exception):
            pass

        def crash(_: Any) -> Any:
            raise CrashError

        with monkeypatch.context() as patched:
            patched.setattr("cad_platform.studies.removal.remove", crash)
            with pytest.raises(CrashError):
                erasing.carry_out(asked.pk)
        asked.refresh_from_db()
        assert asked.state == ErasureRequest.State.FILES and storage.exists(file.sha256)
        at_once(*[erasing.take_turn] * 2)
        asked.refresh_from_db()
        assert asked.state == ErasureRequest.State.DONE and not storage.exists(file.sha256)
        assert AuditEvent.objects.filter(action="erasure.files_removed").count() == 1

    def test_the_database_erases_for_nobody_who_was_not_decided(self, site: Site, first: Actor) -> None:
        report = Report.objects.create(
            study=factories.study(site), state="signed", content_hash="ab" * 32, created_by=first.user
        )
        asked = erasing.ask(first, report.study.patient, on_behalf="patient", reason="x")
        statements: list[tuple[str, list[Any]]] = [
            ("SELECT records_erase(%s, '{}'::jsonb)", [asked.pk]),
            ("SELECT records_erase(%s, '{}'::jsonb)", [uuid.uuid4()]),
        ]
        for statement, values in statements:
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement, values)
        with (
            pytest.raises(DatabaseError, match="pgtrigger"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT set_config('cad.erasing', %s, true)", [str(asked.pk)])
            cursor.execute("UPDATE reporting_report SET content_hash = 'x' WHERE id = %s", [report.pk])


class TestPages:
    def test_the_whole_way(self, site: Site, first: Actor, second: Actor) -> None:
        patient = visited(site, date(1990, 1, 1), patient_id="P-OLD")
        administrator, one, other = Client(), Client(), Client()
        administrator.force_login(factories.user(Role.ADMINISTRATOR))
        one.force_login(first.user)
        other.force_login(second.user)
        answer = administrator.post(reverse("retention-policies"), {"site": site.pk, "years": 10})
        assert answer.status_code == 302
        assert b"P-OLD" in one.get(reverse("retention")).content
        one.post(reverse("erasure-of-due"), {"patient": str(patient.pk)})
        asked = ErasureRequest.objects.get()
        assert asked.on_behalf == "retention"
        address = reverse("erasure", args=[asked.pk])
        assert one.post(address, {"decision": "erase"}).status_code == 422
        assert b"P-OLD" in other.get(address).content
        assert other.post(address, {"decision": "erase"}).status_code == 302
        erasing.take_turn()
        done = other.get(address)
        assert done.status_code == 200 and b"P-OLD" not in done.content
        assert one.get(reverse("erasures")).status_code == 200

    def test_holds(self, site: Site, first: Actor) -> None:
        factories.patient(site, patient_id="P-HELD")
        browser = Client()
        browser.force_login(first.user)
        assert (
            browser.post(reverse("holds"), {"patient_id": "P-HELD", "reason": "A trial."}).status_code == 302
        )
        assert browser.post(reverse("holds"), {"patient_id": "P-HELD", "reason": "Again."}).status_code == 422
        hold = retention.holds(first).get()
        assert b"A trial." in browser.get(reverse("holds")).content
        assert browser.post(reverse("hold-lift", args=[hold.pk]), {"reason": ""}).status_code == 422
        assert browser.post(reverse("hold-lift", args=[hold.pk]), {"reason": "Over."}).status_code == 302

    def test_who_sees_what(self, site: Site) -> None:
        pages = ("retention", "holds", "erasures")
        expected = {Role.RADIOLOGIST: 200, Role.INTEGRATOR: 403, Role.ADMINISTRATOR: 403}
        for role, status in expected.items():
            browser = Client()
            browser.force_login(factories.user(role, None if role == Role.ADMINISTRATOR else site))
            for page in pages:
                assert browser.get(reverse(page)).status_code == status, (role, page)
            assert browser.get(reverse("retention-policies")).status_code == (
                200 if role == Role.ADMINISTRATOR else 403
            )
