"""Pictures of the pages for the documents: taken anew where SAFE_PICTURES names a folder, such as docs/images/safe."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Locator, Page


def picture(of: Page | Locator, name: str) -> None:
    if folder := os.environ.get("SAFE_PICTURES"):
        of.screenshot(path=Path(folder, f"{name}.png"))
