"""Two records of one patient become one, and two again; nothing is lost and nobody's is found by another."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role, Site
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.reading.worklist import WorklistFilters, worklist
from cad_platform.records import merging
from cad_platform.records.models import PatientMerge
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study, StudyCorrection
from tests import factories
from tests.posted_files import STUDY, Hospital, dicom, png
from tests.studies.test_receive_safety import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def reader(site: Site) -> Actor:
    return factories.actor(Role.RADIOLOGIST, site)


def two(site: Site) -> tuple[Patient, Patient]:
    kept, gone = factories.patient(site, patient_id="P-1"), factories.patient(site, patient_id="OLD-1")
    factories.study(site, patient=kept)
    factories.study(site, patient=gone)
    return kept, gone


def signed_report(of: Study, by: Actor) -> Report:
    return Report.objects.create(
        study=of,
        state="signed",
        content={"conclusion": "Nothing."},
        content_hash="ab" * 32,
        created_by=by.user,
    )


def owner_of(study: Study) -> str:
    return Study.objects.values_list("patient__patient_id", flat=True).get(pk=study.pk)


class TestMerging:
    def test_every_study_moves_and_comes_back(self, site: Site, reader: Actor) -> None:
        kept, gone = two(site)
        study = Study.objects.get(patient=gone)
        report = signed_report(study, reader)
        review = DemographicsReview.objects.create(
            patient=gone, study_instance_uid=study.study_instance_uid, reported={"sex": "O"}
        )
        content = study.content_hash
        made = merging.merge(reader, kept.pk, gone.pk, "The same woman, registered twice.")
        study.refresh_from_db()
        assert (study.patient_id, study.version, study.content_hash) == (kept.pk, 2, content)
        assert study.corrections.get().kind == StudyCorrection.Kind.MOVED
        assert Report.objects.get(pk=report.pk).content_hash == "ab" * 32
        assert DemographicsReview.objects.get(pk=review.pk).patient_id == kept.pk
        merging.undo(reader, made.pk, "Two women after all.")
        assert owner_of(study) == "OLD-1"
        assert DemographicsReview.objects.get(pk=review.pk).patient_id == gone.pk
        assert Patient.objects.get(pk=gone.pk).merged_into_id is None
        actions = AuditEvent.objects.filter(action__startswith="patient.").values_list("action", flat=True)
        assert {"patient.merge", "patient.unmerge"} <= set(actions)
        assert not AuditEvent.objects.filter(detail__icontains="OLD-1").exists()

    def test_a_record_with_others_in_it_takes_them_along_and_they_come_back_in_order(
        self, site: Site, reader: Actor
    ) -> None:
        a, b, c = (factories.patient(site, patient_id=name) for name in "ABC")
        study = factories.study(site, patient=a)
        first = merging.merge(reader, b.pk, a.pk, "same")
        second = merging.merge(reader, c.pk, b.pk, "same")
        assert Patient.objects.get(pk=a.pk).merged_into_id == c.pk and owner_of(study) == "C"
        with pytest.raises(Conflict, match="later merge"):
            merging.undo(reader, first.pk, "no")
        merging.undo(reader, second.pk, "no")
        assert Patient.objects.get(pk=a.pk).merged_into_id == b.pk and owner_of(study) == "B"
        merging.undo(reader, first.pk, "no")
        assert owner_of(study) == "A"
        with pytest.raises(Conflict, match="already"):
            merging.undo(reader, first.pk, "no")

    def test_what_was_given_to_another_patient_since_stays_there(self, site: Site, reader: Actor) -> None:
        kept, gone = two(site)
        study = Study.objects.get(patient=gone)
        made = merging.merge(reader, kept.pk, gone.pk, "same")
        other = factories.patient(site)
        Study.objects.filter(pk=study.pk).update(patient=other)
        merging.undo(reader, made.pk, "no")
        assert owner_of(study) == other.patient_id

    def test_who_may_not(self, site: Site, reader: Actor) -> None:
        kept, gone = two(site)
        stranger = factories.patient(factories.site())
        for one, other in ((kept, stranger), (stranger, kept)):
            with pytest.raises(NotFound):
                merging.merge(reader, one.pk, other.pk, "same")
        with pytest.raises(NotFound):
            merging.merge(reader, kept.pk, uuid.uuid4(), "same")
        for role in (Role.INTEGRATOR, Role.ADMINISTRATOR):
            with pytest.raises((NotPermitted, NotFound)):
                merging.merge(factories.actor(role, site), kept.pk, gone.pk, "same")
        made = merging.merge(reader, kept.pk, gone.pk, "same")
        with pytest.raises(NotFound):
            merging.undo(factories.actor(Role.RADIOLOGIST), made.pk, "mine")

    def test_what_cannot_be_merged(self, site: Site, reader: Actor) -> None:
        kept, gone = two(site)
        third = factories.patient(site)
        with pytest.raises(Conflict, match="same record"):
            merging.merge(reader, kept.pk, kept.pk, "same")
        for reason in ("", " \n", "\0", "x" * 2001):
            with pytest.raises(Invalid):
                merging.merge(reader, kept.pk, gone.pk, reason)
        merging.merge(reader, kept.pk, gone.pk, "same")
        for one, other in ((kept, gone), (gone, kept), (third, gone), (gone, third)):
            with pytest.raises(Conflict):
                merging.merge(reader, one.pk, other.pk, "same")


class TestOldIds:
    def test_a_post_under_the_old_id_is_hers(self, site: Site, reader: Actor) -> None:
        hospital = Hospital(site)
        kept, gone = two(site)
        merging.merge(reader, kept.pk, gone.pk, "same")
        said = {**STUDY, "patient": {**STUDY["patient"], "id": "OLD-1"}, "accession_number": "ACC-NEW"}
        assert hospital.post(said).status_code == 201
        study = Study.objects.get(accession_number="ACC-NEW")
        assert study.patient_id == kept.pk
        # Sent again, under either id, it is the same study.
        assert hospital.post(said).status_code == 200
        said["patient"]["id"] = "P-1"
        assert hospital.post(said).status_code == 200
        assert Patient.objects.filter(site=site).count() == 2

    def test_a_late_image_of_a_moved_study(self, site: Site, reader: Actor) -> None:
        hospital = Hospital(site)
        assert hospital.post(None, {"a": dicom(1, PatientID="OLD-1")}).status_code == 201
        gone = Patient.objects.get(patient_id="OLD-1")
        kept = factories.patient(site, patient_id="P-1")
        merging.merge(reader, kept.pk, gone.pk, "same")
        answer = hospital.post(None, {"b": dicom(2, PatientID="OLD-1")})
        assert answer.status_code == 201 and Study.objects.count() == 1
        assert not [each for each in Study.objects.get().header_differences if each["field"] == "patient.id"]

    def test_search_and_answers(self, site: Site, reader: Actor) -> None:
        hospital = Hospital(site)
        kept, gone = two(site)
        merging.merge(reader, kept.pk, gone.pk, "same")
        for asked in ({"patient_id": "OLD-1"}, {"patient_id": "OLD-1", "issuer": ""}, {"patient_id": "P-1"}):
            results = hospital.search(asked).json()["results"]
            assert len(results) == 2
            assert results[0]["patient"]["id"] == "P-1"
            assert results[0]["patient"]["link"] == [{"id": "OLD-1", "issuer": "", "type": "replaces"}]
        stranger = Hospital()
        assert stranger.search({"patient_id": "OLD-1"}).json()["results"] == []
        assert len(worklist(reader, WorklistFilters(state="all", search="OLD-1")).studies) == 2

    def test_a_kept_answer_changes_with_the_merge(self, site: Site, reader: Actor) -> None:
        hospital = Hospital(site)
        kept, gone = two(site)
        uid = Study.objects.get(patient=kept).study_instance_uid
        first = hospital.get(f"/{uid}")
        merging.merge(reader, kept.pk, gone.pk, "same")
        second = hospital.client.get(f"/api/v1/studies/{uid}", headers={"If-None-Match": first["ETag"]})
        assert second.status_code == 200 and second.json()["patient"]["link"][0]["id"] == "OLD-1"


class TestAtOnce:
    def test_two_people_merge_the_same_two(self, site: Site, reader: Actor) -> None:
        kept, gone = two(site)

        def merge(one: Patient, other: Patient) -> Any:
            try:
                return merging.merge(reader, one.pk, other.pk, "same")
            except Conflict:
                return None

        answers = at_once(lambda: merge(kept, gone), lambda: merge(gone, kept), lambda: merge(kept, gone))
        assert sum(answer is not None for answer in answers) == 1
        assert PatientMerge.objects.count() == 1
        assert len(set(Study.objects.values_list("patient", flat=True))) == 1

    def test_a_post_and_a_merge(self, site: Site, reader: Actor) -> None:
        hospital = Hospital(site)
        kept, gone = two(site)

        def post(number: int) -> Any:
            said = {
                **STUDY, "patient": {**STUDY["patient"], "id": "OLD-1"}, "accession_number": f"ACC-{number}-N",
            }  # fmt: skip
            return hospital.post(said, {"a.png": png(number)})

        answers = at_once(
            lambda: post(1), lambda: merging.merge(reader, kept.pk, gone.pk, "same"), lambda: post(2)
        )
        assert [answers[0].status_code, answers[2].status_code] == [201, 201]
        assert Study.objects.filter(patient=gone).count() == 0
        assert Study.objects.filter(patient=kept).count() == 4


class TestPages:
    def test_the_whole_way(self, site: Site, reader: Actor) -> None:
        kept, gone = two(site)
        browser = Client()
        browser.force_login(reader.user)
        address = reverse("patient-merges")
        assert browser.get(address).status_code == 200
        compared = browser.post(address, {"kept": "P-1", "gone": "OLD-1"})
        assert compared.status_code == 200 and b"OLD-1" in compared.content
        ids = {"kept_id": str(kept.pk), "gone_id": str(gone.pk)}
        assert browser.post(reverse("patient-compare"), {**ids, "reason": ""}).status_code == 422
        answer = browser.post(reverse("patient-compare"), {**ids, "reason": "Registered twice."})
        made = PatientMerge.objects.get()
        assert answer["Location"] == reverse("patient-merge", args=[made.pk])
        assert b"Registered twice." in browser.get(answer["Location"]).content
        browser.post(answer["Location"], {"reason": "Two women."})
        made.refresh_from_db()
        assert made.undone_reason == "Two women."

    def test_an_id_that_is_not_here_and_one_of_another_site(self, site: Site, reader: Actor) -> None:
        two(site)
        factories.patient(factories.site(), patient_id="THEIRS")
        browser = Client()
        browser.force_login(reader.user)
        for other in ("NOBODY", "THEIRS", "P-1"):
            answer = browser.post(reverse("patient-merges"), {"kept": "P-1", "gone": other})
            assert answer.status_code == 422
        stranger = Client()
        stranger.force_login(factories.user(Role.RADIOLOGIST))
        made = merging.merge(reader, *Patient.objects.filter(site=site).values_list("pk", flat=True), "same")
        assert stranger.get(reverse("patient-merge", args=[made.pk])).status_code == 404
        administrator = Client()
        administrator.force_login(factories.user(Role.ADMINISTRATOR))
        assert administrator.get(reverse("patient-merges")).status_code == 403


def test_an_id_of_several_issuers_is_asked_about(site: Site, reader: Actor) -> None:
    """Nobody's record is merged, held or erased for another's."""
    own = factories.patient(site, patient_id="P-1")
    other = factories.patient(site, patient_id="P-1", issuer="ELSEWHERE")
    for named, found in (("ELSEWHERE", other), (site.code, own)):
        assert merging.find(reader, "P-1", named) == found
    with pytest.raises(Invalid) as refusal:
        merging.find(reader, "P-1")
    assert f"ELSEWHERE, {site.code}" in refusal.value.errors[0].reason
    Site.objects.filter(pk=site.pk).update(default_issuer="OURS")
    ours = factories.patient(site, patient_id="P-1", issuer="OURS")
    for named, found in (("OURS", ours), ("ours", ours), (site.code, own)):
        assert merging.find(reader, "P-1", named) == found
    with pytest.raises(Invalid) as refusal:
        merging.find(reader, "P-1")
    (error,) = refusal.value.errors
    assert error.field == "issuer" and site.code in error.reason and "OURS" in error.reason
