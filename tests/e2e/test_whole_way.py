"""The whole way of a study: a hospital posts it, models mark it, a clinician decides, writes and signs."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from imaging.phantoms import histology, mammography, ultrasound
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(600)


def walk(
    platform: LivePlatform,
    page: Page,
    study: dict[str, object],
    files: list[Path],
    *,
    signer: str,
    panes: int,
    fields: dict[str, str],
) -> tuple[str, str]:
    """Walk the whole way. Returns the report's words on screen and in the PDF."""
    hospital = HospitalSystem(platform)
    uid = hospital.post(study, files)
    answer = hospital.wait_for_analysis(uid)
    (job,) = answer["jobs"]
    assert job["state"] == "succeeded", job["reason"]
    assert {image["image_id"] for image in job["result"]["images"]} == {
        image["sop_instance_uid"] for image in answer["images"]
    }

    patient = dict(study["patient"])  # type: ignore[call-overload]
    room = ReadingRoom(page, platform.user(signer))
    room.sign_in()
    room.open_from_worklist(patient["id"])
    room.wait_for_images(panes)
    decided = room.decide()
    # Of images that the model cannot judge nothing is marked, whatever it computed.
    assert decided == sum(found["shown"] for found in answer["findings"])
    judged = set(job["verdict"]["images"])
    assert {found["sop_instance_uid"] for found in answer["findings"]} <= judged
    room.start_report(fields)

    room.sign("not my password")
    expect(page.locator("[data-sign-error]")).not_to_be_empty()
    page.keyboard.press("Escape")
    room.sign(platform.user(signer)["password"])
    on_screen, on_paper = room.signed_report(), room.pdf_text()

    (report,) = hospital.answer(uid)["reports"]
    for words in (on_screen, on_paper):
        flat = " ".join(words.split())
        assert report["signature"]["printed_name"] in flat
        assert report["signature"]["meaning"] in flat
        assert report["content_hash"] in "".join(words.split())
        assert job["version"] in flat
    assert patient["id"] in on_paper
    assert "not a medical device" in " ".join(on_paper.split()).lower()

    trail = room.audit_trail()
    assert report["signature"]["printed_name"] in trail
    for done in ("Received the study", "Looked at an image", "Decided on a finding", "Signed"):
        if done != "Decided on a finding" or decided:
            assert done in trail, trail
    refusal = [complaint for complaint in room.complaints if complaint.endswith("/sign)")]
    assert len(refusal) == 1, "the wrong password was refused once"
    assert set(room.complaints) == set(refusal), "the pages complained on the console"
    return on_screen, on_paper


def test_an_ultrasound_image(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    path = tmp_path / "ultrasound.dcm"
    ultrasound.write_dicom(ultrasound.phantom(101, "malignant"), path, PatientID="WAY-US")
    on_screen, on_paper = walk(
        live_platform,
        page,
        {
            "modality": "US",
            "accession_number": "WAY-US-1",
            "procedure": "Breast ultrasound (synthetic)",
            "patient": {"id": "WAY-US", "name": "Moreau^Claire", "birth_date": "1970-05-05", "sex": "F"},
        },
        [path],
        signer="radiologist",
        panes=1,
        fields={
            "indication": "Palpable lump, left breast.",
            "left": "4C",
            "assessment": "4C",
            "recommendation": "tissue_diagnosis",
            "impression": "Irregular hypoechoic mass with posterior shadowing.",
        },
    )
    for words in (on_screen, on_paper):
        assert "4C" in words
        assert "Irregular hypoechoic mass" in " ".join(words.split())


def test_a_four_view_mammography_exam(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    files = []
    for view in mammography.exam(102, left="malignant", rows=1024):
        path = tmp_path / f"{view.laterality}-{view.view}.dcm"
        mammography.write_dicom(view, path, PatientID="WAY-MG")
        files.append(path)
    on_screen, on_paper = walk(
        live_platform,
        page,
        {
            "modality": "MG",
            "accession_number": "WAY-MG-1",
            "procedure": "Screening mammography (synthetic)",
            "priority": "urgent",
            "patient": {"id": "WAY-MG", "name": "欧阳^晓梅", "birth_date": "1963-08-08", "sex": "F"},
        },
        files,
        signer="radiologist",
        panes=4,
        fields={
            "indication": "Screening.",
            "density": "c",
            "right": "1",
            "left": "5",
            "assessment": "5",
            "recommendation": "tissue_diagnosis",
            "impression": "Spiculated mass in the left breast with fine calcifications. 左乳肿块。",
        },
    )
    for words in (on_screen, on_paper):
        assert "欧阳" in on_paper and "左乳肿块" in "".join(words.split())


def test_a_histopathology_image(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    tissue = histology.photograph(103, "malignant")
    histology.write_image(tissue, path)
    on_screen, on_paper = walk(
        live_platform,
        page,
        {
            "modality": "SM",
            "accession_number": "WAY-SM-1",
            "procedure": "Core biopsy, H&E (synthetic)",
            "patient": {"id": "WAY-SM", "name": "Haddad^Leila", "birth_date": "1958-12-24", "sex": "F"},
            "images": [{"file": "field.png", "pixel_spacing_um": tissue.um_per_px}],
        },
        [path],
        signer="pathologist",
        panes=1,
        fields={
            "specimen": "core_biopsy",
            "laterality": "L",
            "diagnosis": "invasive",
            "diagnosis_text": "Invasive carcinoma of no special type.",
            "invasive_type": "nst",
            "tubules": "3",
            "nuclei": "2",
            "mitoses": "2",
            "er": "not_performed",
            "pr": "not_performed",
            "her2_ihc": "not_performed",
        },
    )
    for words in (on_screen, on_paper):
        assert "Invasive carcinoma of no special type" in " ".join(words.split())


def test_a_sonographer_drafts_and_cannot_sign(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    path = tmp_path / "ultrasound.png"
    ultrasound.write_png(ultrasound.phantom(104, "benign"), path)
    hospital = HospitalSystem(live_platform)
    uid = hospital.post(
        {
            "modality": "US",
            "accession_number": "WAY-US-2",
            "patient": {"id": "WAY-SONO", "name": "Ferreira^Inês", "sex": "F"},
        },
        [path],
    )
    hospital.wait_for_analysis(uid)
    room = ReadingRoom(page, live_platform.user("sonographer"))
    room.sign_in()
    page.goto(f"/studies/{uid}/")
    room.start_report({"indication": "Follow-up.", "impression": "Oval, circumscribed, parallel mass."})
    expect(page.get_by_role("button", name="Sign…")).to_have_count(0)
    expect(page.get_by_text("Your role drafts; another person signs.")).to_be_visible()
    assert room.complaints == []
