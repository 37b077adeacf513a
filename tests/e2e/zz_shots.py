from __future__ import annotations
from pathlib import Path
import pytest, io
from playwright.sync_api import Page, expect
from imaging.phantoms import mammography
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.live_platform import LivePlatform

OUT = Path("/tmp/house/zh/shots")
pytestmark = pytest.mark.timeout(900)


def test_shots(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    OUT.mkdir(exist_ok=True)
    page.set_default_timeout(90000)
    files = []
    for view in mammography.exam(102, left="malignant", rows=1024):
        path = tmp_path / f"{view.laterality}-{view.view}.dcm"
        mammography.write_dicom(view, path, PatientID="ZH-MG")
        files.append(path)
    hospital = HospitalSystem(live_platform)
    uid = hospital.post(
        {
            "modality": "MG",
            "accession_number": "ZH-MG-1",
            "procedure": "双乳 X 线筛查",
            "priority": "urgent",
            "patient": {"id": "ZH-MG", "name": "欧阳^晓梅", "birth_date": "1963-08-08", "sex": "F"},
        },
        files,
    )
    hospital.wait_for_analysis(uid, 400)
    user = live_platform.user("radiologist")
    ReadingRoom(page, user).sign_in()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("heading", level=1, name="工作列表")).to_be_visible()
    page.screenshot(path=OUT / "worklist_zh.png")
    page.set_viewport_size({"width": 320, "height": 720})
    page.screenshot(path=OUT / "worklist_320_zh.png")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"/studies/{uid}/")
    page.wait_for_timeout(15000)
    page.screenshot(path=OUT / "case_zh.png")
    accept = page.locator("[data-action=accept]").first
    if accept.count():
        accept.click()
        page.wait_for_timeout(3000)
    page.locator("#tab-study").click()
    page.wait_for_timeout(500)
    page.screenshot(path=OUT / "study_zh.png")
    page.set_viewport_size({"width": 320, "height": 900})
    page.locator("#tab-findings").click()
    page.wait_for_timeout(1500)
    page.screenshot(path=OUT / "case_320_zh.png")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"/reports/study/{uid}/editor")
    page.get_by_role("button", name="开始书写报告").click()
    page.locator("[name=indication]").fill("常规筛查。")
    page.locator("[name=impression]").fill("左乳毛刺状肿块，伴细小钙化，建议活检。")
    for name, value in {"density": "c", "right": "1", "left": "5"}.items():
        page.locator(f"[name={name}]").select_option(value)
    page.wait_for_timeout(4000)
    page.screenshot(path=OUT / "report_zh.png", full_page=True)
    page.locator("[data-action=sign]").first.click()
    page.wait_for_timeout(5000)
    page.screenshot(path=OUT / "sign_zh.png")
    page.set_viewport_size({"width": 320, "height": 900})
    page.wait_for_timeout(800)
    page.screenshot(path=OUT / "sign_320_zh.png")
    page.set_viewport_size({"width": 1280, "height": 800})
    try:
        for box in page.locator("dialog[open] textarea").all():
            box.fill("标记已逐一核对，均为正常组织。")
        page.locator("dialog[open] #sign-password, dialog[open] input[type=password]").first.fill(
            user["password"]
        )
        page.locator("dialog[open] button[type=submit]").first.click()
        page.wait_for_selector("article.signed", timeout=120000)
        page.wait_for_timeout(1500)
        page.screenshot(path=OUT / "signed_zh.png")
        href = page.locator("article.signed a[href*=pdf]").first.get_attribute("href")
        (OUT / "report.pdf").write_bytes(page.request.get(href).body())
    finally:
        page.screenshot(path=OUT / "last.png")
