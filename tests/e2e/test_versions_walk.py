"""A second version of a model: registered, made the default, taken back, while a hospital goes on posting studies. In
Chromium and by API, on a platform of its own with a model store of its own. No study is left without a result."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from imaging.phantoms import ultrasound
from tests.e2e.administrator import NEW, OLD, Administrator, add_version, take_in
from tests.e2e.reading_room import HospitalSystem
from tests.live_platform import LivePlatform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


class Posting(threading.Thread):
    """A hospital that posts one ultrasound study after the other."""

    def __init__(self, platform: LivePlatform, folder: Path) -> None:
        super().__init__(daemon=True)
        self.hospital = HospitalSystem(platform)
        self.posted: list[str] = []
        self._folder = folder
        self._done = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        number = 500
        try:
            while not self._done.is_set():
                number += 1
                path = self._folder / f"walk-{number}.png"
                ultrasound.write_png(ultrasound.phantom(number, "malignant"), path)
                study = {
                    "modality": "US",
                    "accession_number": f"WALK-{number}",
                    "patient": {"id": f"WALK-{number}", "name": "Novak^Iva", "sex": "F"},
                }
                self.posted.append(self.hospital.post(study, [path]))
                self._done.wait(0.5)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self._done.set()
        self.join(60)
        assert self.error is None, self.error

    def current(self, uid: str) -> dict[str, Any]:
        """The one job that counts, once the study is analysed."""
        answer = self.hospital.wait_for_analysis(uid)
        (job,) = [job for job in answer["jobs"] if job["current"]]
        return dict(job)

    def wait_for_one_more(self) -> str:
        """The next study that is posted from now on."""
        known = len(self.posted)
        deadline = time.monotonic() + 60
        while len(self.posted) <= known + 1:
            assert time.monotonic() < deadline and self.error is None, self.error
            time.sleep(0.1)
        return self.posted[-1]


@pytest.mark.long
def test_a_version_is_registered_made_the_default_and_taken_back_while_studies_arrive(
    own_platform: LivePlatform, own_store: Path, chromium: Browser, tmp_path: Path
) -> None:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    administrator = Administrator(context.new_page(), own_platform)
    page = administrator.page
    posting = Posting(own_platform, tmp_path)
    posting.start()
    assert posting.current(posting.wait_for_one_more())["version"] == OLD

    # Registered: known, and nothing else changes.
    folder = add_version(own_store, NEW)
    page.goto(f"{administrator.url}/models/")
    page.get_by_role("button", name="Read the model store").click()
    expect(page.get_by_role("row").filter(has_text=NEW)).to_contain_text("Uploaded")
    page.screenshot(path=tmp_path / "registered.png")
    assert {v: one["is_default"] for v, one in administrator.models().items()} == {OLD: True, NEW: False}
    assert posting.current(posting.wait_for_one_more())["version"] == OLD

    # The default, once it is approved and a server has answered for it.
    take_in(own_platform, NEW)
    administrator.make_default(NEW)
    expect(page.locator("main")).to_contain_text("Default")
    assert posting.current(posting.wait_for_one_more())["version"] == NEW

    # No server has it any more: that is said at once, of the version and not of the host.
    shutil.rmtree(folder)
    deadline = time.monotonic() + 90
    while True:
        job = posting.current(posting.wait_for_one_more())
        if job["state"] == "failed":
            break
        assert time.monotonic() < deadline, "the version is still served"
    assert job["version"] == NEW and job["reason"].startswith("not served here: ")

    # Taken back by API: whatever waits or failed so goes on with the version that serves.
    answer = administrator.post(f"models/ultrasound/{OLD}/default")
    assert answer.status == 200, answer.text()
    assert posting.current(posting.wait_for_one_more())["version"] == OLD
    refused = administrator.post(f"models/ultrasound/{NEW}/default")
    assert refused.status == 409 and refused.json()["type"].endswith(":not_served")
    posting.end()

    left = dict.fromkeys(posting.posted)
    deadline = time.monotonic() + 120
    while left:
        for uid in list(left):
            answers = [j for j in posting.hospital.answer(uid)["jobs"] if j["current"]]
            if [one["state"] for one in answers] == ["succeeded"]:
                del left[uid]
        assert time.monotonic() < deadline, f"{len(left)} of {len(posting.posted)} studies have no result"
        time.sleep(1)
    versions = {uid: posting.current(uid)["version"] for uid in posting.posted}
    assert set(versions.values()) == {OLD, NEW}
    context.close()
