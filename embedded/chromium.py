"""The Chromium of the browser tests: the machine's own, else the one that npm brings, unpacked by set-up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

from embedded.state import REPOSITORY, StateError

#: Where the browser tests' npm packages are.
BROWSER = REPOSITORY / "tests" / "e2e"
FRONTEND_PACKAGES = REPOSITORY / "frontend" / "node_modules"
UNPACKED_CHROMIUM = REPOSITORY / ".local-setup" / "chromium"


def browser() -> tuple[Path, dict[str, str]]:
    """The Chromium for the browser tests and the environment that it wants.

    Raises
    ------
    StateError
        Where bin/test has not set one up.
    """
    installed = installed_chromium()
    if installed:
        return installed, {}
    if not (UNPACKED_CHROMIUM / "chromium").exists():
        raise StateError("There is no Chromium: run bin/test, or set CAD_CHROMIUM to one.")
    libraries = UNPACKED_CHROMIUM / "al2023" / "lib"
    environment = {"LD_LIBRARY_PATH": str(libraries), "FONTCONFIG_PATH": str(_fonts_for_chromium())}
    return UNPACKED_CHROMIUM / "chromium", environment


def _fonts_for_chromium() -> Path:
    """A folder with a `fonts.conf` that finds fonts where they lie. The one that comes with Chromium names
    folders of the service it was made for; without any font it ends at the first text field."""
    chinese = FRONTEND_PACKAGES / "@expo-google-fonts" / "noto-sans-sc" / "400Regular"
    folders = "".join(
        f"<dir>{escape(str(folder))}</dir>" for folder in (UNPACKED_CHROMIUM / "fonts" / "fonts", chinese)
    )
    folder = UNPACKED_CHROMIUM / "fontconfig"
    folder.mkdir(exist_ok=True)
    (folder / "fonts.conf").write_text(
        f'<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>{folders}'
        f"<cachedir>{escape(str(folder / 'cache'))}</cachedir></fontconfig>\n"
    )
    return folder


def installed_chromium() -> Path | None:
    """A Chromium or Chrome of this machine (`CAD_CHROMIUM`, else the usual names on the PATH)."""
    named = os.environ.get("CAD_CHROMIUM")
    for candidate in (
        [named] if named else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    ):
        found = shutil.which(candidate)
        if found:
            return Path(found)
    return None
