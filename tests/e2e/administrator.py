"""What an administrator of models does: puts a version into the store, looks, switches; by page and by API."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from embedded.bootstrap import KEYS
from embedded.state import REPOSITORY
from inference.runtime import custody
from inference.runtime.signing import sign
from inference.runtime.store import read_manifest, version_folder
from tests.e2e.reading_room import sign_in
from tests.live_platform import LivePlatform

STORE = REPOSITORY / "model_store"
OLD = read_manifest("ultrasound", STORE).version
NEW = "99.0.0"


def add_version(store: Path, version: str) -> Path:
    """Put the same network into the store under another version, sealed and signed, whole at once."""
    manifest = read_manifest("ultrasound", STORE)
    with tempfile.TemporaryDirectory(dir=store.parent) as aside:
        made = Path(aside) / "ultrasound" / version
        shutil.copytree(version_folder(manifest, STORE), made)
        described = json.loads((made / "manifest.json").read_text()) | {"version": version}
        (made / "manifest.json").write_text(json.dumps(described))
        custody.write(made, sealed="afterwards", code=custody.NOT_RECORDED)
        sign(made, KEYS / "signing.key")
        return made.rename(store / "ultrasound" / version)


def take_in(platform: LivePlatform, version: str) -> None:
    """Have a version count as one that came with the installation: how two people approve it is another test's."""
    change = (
        "from cad_platform.registry.models import ModelVersion as V; "
        f"V.objects.filter(version='{version}').update(state='approved', came_with_installation=True)"
    )
    done = platform.manage("shell", "-v", "0", "-c", change)
    assert done.returncode == 0, done.stderr


class Administrator:
    """At the browser, and at the API with the browser's session."""

    def __init__(self, page: Page, platform: LivePlatform) -> None:
        self.page, self.url = page, platform.url
        user = platform.user("administrator")
        sign_in(page, user["username"], user["password"], at=self.url)
        expect(page.get_by_role("navigation").first).to_contain_text("Models")

    def models(self) -> dict[str, Any]:
        answer = self.page.request.get(f"{self.url}/api/v1/models")
        assert answer.status == 200, answer.text()
        return {one["version"]: one for one in answer.json()["results"] if one["name"] == "ultrasound"}

    def workers(self, model: str) -> int:
        """Ready ones of a model, over all hosts."""
        answer = self.page.request.get(f"{self.url}/api/v1/hosts")
        assert answer.status == 200, answer.text()
        versions = [version for host in answer.json()["results"] for version in host["versions"]]
        return sum(version["ready_workers"] or 0 for version in versions if version["model"] == model)

    def post(self, path: str) -> Any:
        token = next(c["value"] for c in self.page.context.cookies() if "csrf" in c["name"].lower())
        return self.page.request.post(
            f"{self.url}/api/v1/{path}", headers={"X-CSRFToken": token, "Referer": self.url}, data={}
        )

    def make_default(self, version: str) -> None:
        """On the version's page; tried again while no server answers yet."""
        deadline = time.monotonic() + 90
        while not self.models()[version]["is_default"]:
            assert time.monotonic() < deadline, self.page.locator("main").inner_text()
            self.page.goto(f"{self.url}/models/")
            self.page.get_by_role("link", name=f"ultrasound {version}").click()
            button = self.page.get_by_role("button", name="Make it the default")
            if button.count():
                # The known case is computed before the page answers.
                with self.page.expect_navigation(timeout=90_000):
                    button.click()
            else:
                time.sleep(1)
