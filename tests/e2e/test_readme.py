"""What the README tells a newcomer to type works as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from embedded.state import REPOSITORY
from inference.runtime.store import read_manifest, version_folder
from tests.e2e.reading_room import HospitalSystem
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(600)


def commands() -> str:
    """The shell lines of the section on posting, as they stand."""
    readme = (REPOSITORY / "README.md").read_text()
    section = readme.partition("\n## Post a study, fetch the result\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


def test_the_readme_has_a_line_for_each_modality() -> None:
    assert commands().count("curl ") >= 4


def test_the_curl_lines_post_a_real_exam_an_ultrasound_image_and_a_slide(
    live_platform: LivePlatform, shared_data: Path
) -> None:
    assert shutil.which("curl"), "the README's lines need curl: install it"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands()],
        cwd=REPOSITORY,
        env=os.environ | {"CAD_STATE_DIR": str(live_platform.state), "CAD_DATA_DIR": str(shared_data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hospital = HospitalSystem(live_platform)
    posted = hospital.client.get("/api/v1/studies", params={"page_size": 100}).json()["results"]
    uids = {
        study["modality"]: study["study_instance_uid"]
        for study in posted
        if study["accession_number"].startswith("README-")
    }
    assert set(uids) == {"MG", "US", "SM"}
    exam = hospital.wait_for_analysis(uids["MG"])
    assert {(image["laterality"], image["view"]) for image in exam["images"]} == {
        ("L", "CC"),
        ("L", "MLO"),
        ("R", "CC"),
        ("R", "MLO"),
    }
    for uid in uids.values():
        (job,) = hospital.wait_for_analysis(uid)["jobs"]
        assert job["state"] == "succeeded", job["reason"]


def test_the_figures_are_those_of_the_models_cards() -> None:
    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| (0\.\d{3}) \((0\.\d{3})–(0\.\d{3})\) \|$",
        (REPOSITORY / "README.md").read_text(),
        re.MULTILINE,
    )
    assert {model for model, *_ in rows} == {"ultrasound", "mammography", "histopathology"}
    for model, *figure in rows:
        folder = version_folder(read_manifest(model))
        measured = json.loads((folder / "metrics.json").read_text())["figures"]
        known = [tuple(f"{entry[key]:.3f}" for key in ("value", "low", "high")) for entry in measured]
        assert tuple(figure) in known, f"{model}: {figure} is not among its card's figures"


def test_every_file_that_the_readme_links_to_is_there() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)\)", readme)
    assert links
    for link in links:
        assert (REPOSITORY / link).exists(), link
