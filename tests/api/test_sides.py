"""A side that is not sure stops, visibly, until a person says which breast it is; the sender may correct it too."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from cad_platform.accounts.models import Role
from cad_platform.analysis.services import request_analyses
from cad_platform.audit.models import AuditEvent
from cad_platform.core.errors import Conflict
from cad_platform.reporting import services as reporting
from cad_platform.reporting import signing
from cad_platform.studies.models import Instance, SideConfirmation, Study
from tests import factories
from tests.factories import PASSWORD
from tests.posted_files import Hospital, dicom
from tests.reporting.test_content import COMPLETE_MG

pytestmark = pytest.mark.django_db

PATIENT = {"patient": {"id": "P-1"}}


def posted(hospital: Hospital, *, says: str | None = "R", **header: Any) -> dict[str, Any]:
    """A left breast by its header, of which the post says `says`."""
    part = {"file": "cc.dcm", **({"laterality": says} if says else {})}
    answer = hospital.post({**PATIENT, "images": [part]}, {"cc.dcm": dicom(**header)})
    assert answer.status_code == 201, answer.content
    read: dict[str, Any] = hospital.get("/2.25.1000").json()
    return read


def reader(hospital: Hospital, role: str = Role.RADIOLOGIST) -> Client:
    browser = Client()
    browser.force_login(factories.user(role, hospital.site))
    return browser


def confirm(browser: Client, image: str, side: str = "L", reason: str = "The film says so.") -> Any:
    path = f"/api/v1/images/{image}/side"
    return browser.post(path, {"side": side, "reason": reason}, "application/json")


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


@pytest.mark.parametrize(
    ("says", "header", "side", "part_of_the_stop"),
    [
        ("R", {}, "R", "the header says L (Image Laterality)"),
        (None, {"ViewPosition": "RCC"}, "L", "the header says R (View Position)"),
        ("R", {"ImageLaterality": None, "PatientOrientation": ["A", "R"]}, "R", "the orientation A\\R"),
        (None, {"PatientOrientation": ["P", "L"]}, "L", "the orientation P\\L is that of a right breast"),
        (None, {"ImageLaterality": None, "PatientOrientation": ["A", "R"]}, "L", "the orientation A\\R"),
    ],
)
def test_what_contradicts_is_named_with_both_values(
    hospital: Hospital, says: str | None, header: dict[str, Any], side: str, part_of_the_stop: str
) -> None:
    (image,) = posted(hospital, says=says, **header)["images"]

    assert image["laterality"] == side
    assert image["side_stop"].startswith("Side unconfirmed: ")
    assert part_of_the_stop in image["side_stop"]


@pytest.mark.parametrize(
    ("says", "header"),
    [
        (None, {}),
        ("L", {}),
        ("L", {"ImageLaterality": None, "PatientOrientation": ["A", "R"]}),
        (None, {"ImageLaterality": None, "ViewPosition": "LCC"}),
        (None, {"ImageLaterality": None, "ViewPosition": "MLO", "PatientOrientation": ["A", "FR"]}),
    ],
)
def test_where_all_agree_nothing_stops(hospital: Hospital, says: str | None, header: dict[str, Any]) -> None:
    (image,) = posted(hospital, says=says, **header)["images"]

    assert (image["laterality"], image["side_stop"], image["side_confirmed"]) == ("L", "", False)


def test_the_metadata_of_an_image_have_the_side_that_counts(hospital: Hospital) -> None:
    (image,) = posted(hospital, says=None, ImageLaterality=None, PatientOrientation=["A", "R"])["images"]
    browser = reader(hospital)

    def metadata() -> tuple[str, bool]:
        answer = browser.get(image["urls"]["metadata"]).json()
        return answer["laterality"], answer["side_unconfirmed"]

    assert metadata() == ("L", True)
    assert confirm(browser, image["id"], "R").status_code == 200
    assert metadata() == ("R", False)
    assert confirm(browser, image["id"], "L").status_code == 200
    assert metadata() == ("L", False)


def test_a_sender_may_spell_the_side_in_the_view(hospital: Hospital) -> None:
    post = {**PATIENT, "images": [{"file": "x.dcm", "view": "LMLO ID"}]}
    hospital.post(post, {"x.dcm": dicom(ImageLaterality=None, ViewPosition=None)})

    (image,) = hospital.get("/2.25.1000").json()["images"]
    assert (image["laterality"], image["view"], image["view_modifiers"]) == ("L", "MLO", ["ID"])


def test_a_sender_who_contradicts_himself_is_told(hospital: Hospital) -> None:
    post = {**PATIENT, "images": [{"file": "x.dcm", "view": "RCC", "laterality": "L"}]}

    assert hospital.post(post, {"x.dcm": dicom()}).status_code == 422


def test_a_contradiction_within_a_header_is_listed_with_both_values(hospital: Hospital) -> None:
    read = posted(hospital, says=None, ViewPosition="RMLO")

    assert ("laterality", "R (ViewPosition)", "L") in {
        (each["field"], each["header"], each["used"]) for each in read["header_differences"]
    }


def test_an_orientation_that_the_view_cannot_have_is_listed(hospital: Hospital) -> None:
    read = posted(hospital, says=None, ViewPosition="MLO", PatientOrientation=["A", "R"])

    assert [(each["field"], each["header"], each["used"]) for each in read["header_differences"]] == [
        ("view", "A\\R (PatientOrientation)", "MLO")
    ]


def test_a_person_settles_it_and_the_study_is_analysed_again(hospital: Hospital) -> None:
    before = posted(hospital)
    study = Study.objects.get()
    content = study.content_hash

    answer = confirm(reader(hospital), before["images"][0]["id"], "L")

    assert answer.status_code == 200, answer.content
    after = answer.json()
    assert (
        after["images"][0] | {"laterality": "L", "side_stop": "", "side_confirmed": True}
        == after["images"][0]
    )
    assert after["version"] == before["version"] + 1
    assert [(each["field"], each["old"], each["new"]) for each in after["corrections"][-1]["changes"]] == [
        ("laterality", "R", "L")
    ]
    study.refresh_from_db()
    assert study.content_hash != content
    assert AuditEvent.objects.filter(action="image.confirm_side").count() == 1
    assert {job.content_hash for job in request_analyses(study.pk)} <= {study.content_hash}


def test_confirming_what_is_used_changes_nothing_else(hospital: Hospital) -> None:
    before = posted(hospital)

    after = confirm(reader(hospital), before["images"][0]["id"], "R").json()

    assert (after["images"][0]["side_stop"], after["images"][0]["laterality"]) == ("", "R")
    assert after["version"] == before["version"]


def test_the_newest_word_counts_and_none_is_lost(hospital: Hospital) -> None:
    image = posted(hospital)["images"][0]["id"]
    browser = reader(hospital)
    confirm(browser, image, "L")
    answer = confirm(browser, image, "R", "Looked again.")

    assert answer.json()["images"][0]["laterality"] == "R"
    assert [each.side for each in SideConfirmation.objects.order_by("at")] == ["L", "R"]


def test_a_later_correction_by_the_sender_is_weighed_anew(hospital: Hospital) -> None:
    image = posted(hospital)["images"][0]["id"]
    confirm(reader(hospital), image, "R")
    corrected = {
        **PATIENT,
        "images": [{"file": "cc.dcm", "laterality": "L"}],
        "correction": {"reason": "Wrong side."},
    }
    file = Instance.objects.get()
    answer = hospital.post(corrected, {"cc.dcm": _bytes(file)})

    assert answer.status_code in (200, 201), answer.content
    (read,) = hospital.get("/2.25.1000").json()["images"]
    assert (read["laterality"], read["side_stop"], read["side_confirmed"]) == ("L", "", False)


def _bytes(instance: Instance) -> bytes:
    from cad_platform.studies import storage

    with storage.open(instance.file_id) as path:
        return path.read_bytes()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"side": "L"},
        {"side": "B", "reason": "x"},
        {"side": "L", "reason": " "},
        {"side": "", "reason": "x"},
    ],
)
def test_a_side_needs_a_reason(hospital: Hospital, body: dict[str, str]) -> None:
    image = posted(hospital)["images"][0]["id"]
    path = f"/api/v1/images/{image}/side"

    assert reader(hospital).post(path, body, "application/json").status_code == 422


def test_only_clinicians_of_the_site_say_it_and_not_of_a_withdrawn_study(hospital: Hospital) -> None:
    image = posted(hospital)["images"][0]["id"]
    path = f"/api/v1/images/{image}/side"
    body = {"side": "L", "reason": "x"}

    assert hospital.client.post(path, body, "application/json").status_code == 403
    assert confirm(reader(hospital, Role.INTEGRATOR), image).status_code == 403
    assert confirm(reader(Hospital()), image).status_code == 404
    browser = reader(hospital)
    browser.post("/api/v1/studies/2.25.1000/withdraw", {"reason": "x"}, "application/json")
    assert confirm(browser, image).status_code == 409


def test_the_case_page_stops_and_has_the_form(hospital: Hospital) -> None:
    image = posted(hospital)["images"][0]["id"]
    browser = reader(hospital)

    page = browser.get("/studies/2.25.1000/").content.decode()
    assert page.count("Side unconfirmed: the post says R; the header says L (Image Laterality).") >= 2
    assert f'id="side-{image}"' in page

    path = f"/studies/2.25.1000/images/{image}/side"
    assert browser.post(path, {"side": "L", "reason": "Film."}).status_code == 302
    assert "Side unconfirmed" not in browser.get("/studies/2.25.1000/").content.decode()


def test_a_report_is_not_signed_over_a_side_that_is_not_sure() -> None:
    signer = factories.actor()
    study = factories.study(signer.user.site)
    factories.instance(
        study,
        "R",
        facts={"side_claims": [{"source": "post", "side": "R"}, {"source": "ImageLaterality", "side": "L"}]},
    )
    opened = reporting.open_draft(signer, study)
    draft = reporting.save_draft(signer, opened.pk, COMPLETE_MG, opened.revision).report

    with pytest.raises(Conflict) as refused:
        signing.sign(signer, draft.pk, password=PASSWORD, revision=draft.revision)
    assert refused.value.code == "side_unconfirmed"
    assert "R CC" in refused.value.detail
