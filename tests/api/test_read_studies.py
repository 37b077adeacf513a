"""GET: the one composed answer, the list, and the search by patient."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob, Artefact
from cad_platform.audit.models import AuditEvent
from cad_platform.studies.models import Instance, Study
from tests import factories
from tests.posted_files import STUDY, Hospital, dicom, png, reasons

pytestmark = pytest.mark.django_db


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


class TestTheComposedAnswer:
    def test_images_with_their_addresses(self, hospital: Hospital) -> None:
        url = hospital.post(None, {"cc.dcm": dicom()}).json()["url"]
        answer = hospital.client.get(url)
        assert answer.status_code == 200
        body = answer.json()
        assert (body["study_instance_uid"], body["state"], body["modality"]) == (
            "2.25.1000",
            "complete",
            "MG",
        )
        assert body["patient"] == {
            "id": "P-1",
            "issuer": "",
            "name": "Okafor^Amara",
            "name_ideographic": "",
            "name_phonetic": "",
            "birth_date": "1961-04-02",
            "birth_date_sent": "",
            "sex": "F",
            "link": [],
        }
        (image,) = body["images"]
        assert (image["laterality"], image["view"], image["kind"]) == ("L", "CC", "dicom")
        assert image["pixel_spacing_um"] == pytest.approx(70)
        for name in ("metadata", "file", "pixels", "thumbnail", "rendered"):
            assert hospital.client.get(image["urls"][name]).status_code == 200, name
        assert image["urls"]["tiles"] is None
        assert answer["Cache-Control"] == "no-store"

    def test_a_study_is_analysed_when_every_job_has_ended(self, hospital: Hospital) -> None:
        study = factories.study(hospital.site)
        path = f"/{study.study_instance_uid}"
        assert hospital.get(path).json()["state"] == "complete"  # no job yet
        job = AnalysisJob.objects.create(
            study=study, model_version=factories.model_version(), content_hash=study.content_hash
        )
        for state, expected in [("requested", "complete"), ("running", "complete"), ("failed", "analysed")]:
            job.state, job.reason = state, "why" if state == "failed" else ""
            job.save()
            assert hospital.get(path).json()["state"] == expected
            listed = hospital.get(state="analysed").json()["results"]
            assert len(listed) == (expected == "analysed")
            assert len(hospital.get(state="complete").json()["results"]) == (expected == "complete")
        assert hospital.get(path).json()["jobs"][0]["reason"] == "why"

    def test_results_findings_decisions_and_the_heat_maps_address(self, hospital: Hospital) -> None:
        study = factories.study(hospital.site)
        image = factories.instance(study)
        job = factories.succeeded_job(study)
        heatmap = Artefact.objects.create(
            job=job, instance=image, kind="heatmap", file=factories.stored_file()
        )
        job.result["images"] = [
            {
                "image_id": image.sop_instance_uid,
                "probabilities": {"malignant": 0.87, "normal": 0.13},
                "findings": [{"label": "mass", "score": 0.87, "box": [100, 200, 220, 290]}],
                "heatmap": str(heatmap.pk),
            }
        ]
        job.save()
        finding = factories.finding(image, job)
        factories.decision(finding, factories.user(at=hospital.site), "rejected", reason="a fold")
        body = hospital.get(f"/{study.study_instance_uid}").json()
        (answered,) = body["jobs"]
        assert (answered["model"], answered["version"], answered["state"]) == (
            "mammography",
            "1.0.0",
            "succeeded",
        )
        (result,) = answered["result"]["images"]
        assert result["heatmap"] == f"http://testserver/api/v1/artefacts/{heatmap.pk}"
        assert result["mask"] is None
        assert result["findings"][0]["box"] == [100, 200, 220, 290]
        assert answered["result"]["model"]["weights_sha256"] == "ab" * 32
        (found,) = body["findings"]
        assert (found["decision"], found["decision_reason"], found["source"]) == (
            "rejected",
            "a fold",
            "model",
        )

    def test_reading_is_recorded(self, hospital: Hospital) -> None:
        study = factories.study(hospital.site)
        hospital.get(f"/{study.study_instance_uid}")
        event = AuditEvent.objects.get(action="study.view")
        assert (event.object_id, event.actor) == (str(study.pk), hospital.user)
        assert event.token_id == hospital.user.api_tokens.get().pk

    def test_an_unknown_uid_and_another_sites_are_the_same_404(self, hospital: Hospital) -> None:
        theirs = factories.study(factories.site())
        answers = [hospital.get(f"/{theirs.study_instance_uid}"), hospital.get("/2.25.404")]
        assert [a.status_code for a in answers] == [404, 404]
        bodies = [{k: v for k, v in a.json().items() if k != "request_id"} for a in answers]
        assert bodies[0] == bodies[1]

    @pytest.mark.parametrize("uid", ["%00", "a" * 3000, "..", "<script>", "1.2'--"])
    def test_a_uid_that_is_none_is_404(self, hospital: Hospital, uid: str) -> None:
        assert hospital.get(f"/{uid}").status_code == 404


class TestWithdrawal:
    def test_a_clinician_withdraws_with_a_reason_and_the_images_may_go_to_another_patient(
        self, hospital: Hospital
    ) -> None:
        files = {"cc.dcm": dicom()}
        hospital.post(None, files)
        browser = signed_in(Role.RADIOLOGIST, hospital)
        answer = browser.post(
            "/api/v1/studies/2.25.1000/withdraw", {"reason": "wrong patient"}, "application/json"
        )
        assert answer.status_code == 200, answer.content
        assert answer.json()["withdrawn"]["reason"] == "wrong patient"
        assert hospital.post({"patient": {"id": "P-2"}}, files).status_code == 201
        assert hospital.get("/2.25.1000").json()["patient"]["id"] == "P-2"
        assert Study.objects.count() == 2

    def test_posting_it_again_brings_it_back_as_a_new_version(self, hospital: Hospital) -> None:
        files = {"cc.dcm": dicom()}
        hospital.post(None, files)
        browser = signed_in(Role.RADIOLOGIST, hospital)
        browser.post("/api/v1/studies/2.25.1000/withdraw", {"reason": "x"}, "application/json")
        again = hospital.post(None, files)
        assert again.status_code == 200, again.content
        assert (again.json()["version"], again.json()["created"]) == (2, False)
        read = hospital.get("/2.25.1000").json()
        assert read["withdrawn"] is None
        assert [(each["kind"], each["version"]) for each in read["corrections"]] == [("brought_back", 2)]
        assert Study.objects.count() == 1

    @pytest.mark.parametrize(
        "body", [{}, {"reason": ""}, {"reason": " "}, {"reason": "a\0"}, {"why": "x"}, []]
    )
    def test_without_a_reason_422(self, hospital: Hospital, body: Any) -> None:
        study = factories.study(hospital.site)
        path = f"/api/v1/studies/{study.study_instance_uid}/withdraw"
        assert signed_in(Role.RADIOLOGIST, hospital).post(path, body, "application/json").status_code == 422

    def test_twice_is_409(self, hospital: Hospital) -> None:
        study = factories.study(hospital.site)
        browser = signed_in(Role.RADIOLOGIST, hospital)
        path = f"/api/v1/studies/{study.study_instance_uid}/withdraw"
        statuses = [browser.post(path, {"reason": "x"}, "application/json").status_code for _ in range(2)]
        assert statuses == [200, 409]

    def test_malformed_and_bottomless_json_is_400(self, hospital: Hospital) -> None:
        study = factories.study(hospital.site)
        browser = signed_in(Role.RADIOLOGIST, hospital)
        path = f"/api/v1/studies/{study.study_instance_uid}/withdraw"
        for body in ("{", "[" * 200_000):
            answer = browser.post(path, body, "application/json")
            assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


class TestTheList:
    def test_pages_newest_first_without_gap_or_repetition(self, hospital: Hospital) -> None:
        uids = [
            factories.study(
                hospital.site, received_at=timezone.now() - timedelta(minutes=n)
            ).study_instance_uid
            for n in range(7)
        ]
        factories.study(factories.site())
        seen, address = [], "/api/v1/studies?page_size=3"
        while address:
            page = hospital.client.get(address).json()
            seen += [study["study_instance_uid"] for study in page["results"]]
            address = page["next"]
        assert seen == uids

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ({"modality": "US"}, 1),
            ({"modality": "SM"}, 0),
            ({"priority": "stat"}, 1),
            ({"accession_number": "ACC-X"}, 1),
            ({"received_after": "2026-01-01T00:00:00Z"}, 2),
            ({"received_before": "2020-01-01T00:00:00Z"}, 0),
            ({"withdrawn": "true"}, 0),
            ({"withdrawn": "false", "state": "complete"}, 2),
        ],
    )
    def test_filters(self, hospital: Hospital, query: dict[str, str], count: int) -> None:
        factories.study(hospital.site, "US", accession_number="ACC-X")
        factories.study(hospital.site, "MG", priority="stat")
        answer = hospital.get(**query)
        assert answer.status_code == 200, answer.content
        assert len(answer.json()["results"]) == count

    @pytest.mark.parametrize(
        "query",
        [
            {"modality": "CT"},
            {"state": "lost"},
            {"patient_id": "P-1"},
            {"withdrawn": "maybe"},
            {"modality": ["MG", "US"]},
        ],
    )
    def test_a_filter_that_is_not_known_is_422_and_never_everything(
        self, hospital: Hospital, query: dict[str, Any]
    ) -> None:
        answer = hospital.get(**query)
        assert answer.status_code == 422
        assert reasons(answer)[0][0] == next(iter(query))

    def test_a_forged_cursor_is_a_clear_refusal(self, hospital: Hospital) -> None:
        forged = base64.b64encode(b"p=yesterday").decode()
        assert hospital.get(cursor=forged).status_code == 404

    def test_listing_is_recorded(self, hospital: Hospital) -> None:
        study = factories.study(hospital.site)
        hospital.get()
        assert AuditEvent.objects.get(action="study.list").detail["studies"] == [str(study.pk)]


class TestTheSearch:
    def test_by_id_by_name_and_by_birth_date(self, hospital: Hospital) -> None:
        hospital.post()
        hospital.post({**STUDY, "patient": {"id": "P-2", "name": "Lindgren^Eva"}}, {"b.png": png(2)})
        for body, count in [
            ({"patient_id": "P-1"}, 1),
            ({"patient_id": "p-1"}, 0),
            ({"name": "amara OKAFOR"}, 1),
            ({"name": "lind"}, 1),
            ({"name": "%"}, 0),
            ({"birth_date": "1961-04-02"}, 1),
            ({"birth_date": "1961-04-02", "name": "Lindgren"}, 0),
        ]:
            answer = hospital.search(body)
            assert answer.status_code == 200, answer.content
            assert len(answer.json()["results"]) == count, body

    def test_the_next_pages_address_names_no_patient(self, hospital: Hospital) -> None:
        for seed in range(3):
            hospital.post({**STUDY, "accession_number": f"A{seed}"}, {"a.png": png(seed)})
        first = hospital.search({"name": "Okafor"}, "?page_size=2").json()
        assert "Okafor" not in first["next"]
        second = hospital.client.post(first["next"], {"name": "Okafor"}, "application/json").json()
        assert len(first["results"]) + len(second["results"]) == 3

    @pytest.mark.parametrize("body", [{}, {"name": ""}, {"patient": "x"}, [], {"birth_date": "soon"}])
    def test_a_search_for_nobody_is_422(self, hospital: Hospital, body: Any) -> None:
        assert hospital.search(body).status_code == 422

    def test_it_is_recorded_without_the_patients_name(self, hospital: Hospital) -> None:
        hospital.post()
        hospital.search({"name": "Okafor"})
        event = AuditEvent.objects.get(action="study.search")
        assert event.detail["fields"] == ["name"] and "Okafor" not in str(event.detail)

    def test_nul_in_a_search_finds_nobody(self, hospital: Hospital) -> None:
        assert hospital.search({"name": "a\0"}).status_code == 422


def signed_in(role: str, hospital: Hospital) -> Client:
    browser = Client()
    browser.force_login(factories.user(role, hospital.site))
    return browser


def test_other_peoples_images_have_no_address(hospital: Hospital) -> None:
    hospital.post()
    image = Instance.objects.get()
    for path in ("metadata", "file", "pixels", "thumbnail"):
        assert Hospital().client.get(f"/api/v1/images/{image.pk}/{path}").status_code == 404
