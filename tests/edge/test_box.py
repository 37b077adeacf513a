"""A box beside a real platform: the web server and its database, and `python -m edge` as a process on one core."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cad_platform.accounts.models import Role, Scope
from cad_platform.studies.models import Instance, Study
from tests import factories
from tests.edge.boxes import as_json, image, running_box, until
from tests.posted_files import token_for
from tests.web_server import WebServer, web_server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[WebServer]:
    with web_server(tmp_path / "web") as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A token that may post studies, as a hospital gives it to a box."""
    path = tmp_path / "token"
    path.write_text(token_for(factories.user(Role.INTEGRATOR, factories.site()), Scope.STUDIES_WRITE))
    return path


def test_an_image_is_answered_at_the_box_and_reaches_the_hospital(
    platform: WebServer, token_file: Path, tmp_path: Path
) -> None:
    said = {"CAD_EDGE_PLATFORM": platform.url, "CAD_EDGE_TOKEN_FILE": str(token_file)}
    with running_box(tmp_path / "box", **said) as box:
        answer = box.post(image(tmp_path, "P-7", 1), b"no image", image(tmp_path, "P-7", 2))
        assert answer.status_code == 202
        assert (
            len(as_json(answer)["00081199"]["Value"]) == 2 and len(as_json(answer)["00081198"]["Value"]) == 1
        )
        until(lambda: box.health()["delivered"] == 2, 60, "the hospital has both")
        until(lambda: box.status()["studies"][0]["result"], 60, "the model has answered")

        study = box.status()["studies"][0]
        assert study["result"]["model"].startswith("ultrasound ") and study["images_read"] == 2
        assert study["result"]["thresholds"]["balanced"] > 0 and study["result"]["error"] == ""
        whole = box.get(f"/results/{study['study_instance_uid']}").json()
        assert whole[0]["answer"]["model"]["weights_sha256"] == box.status()["model"]["weights_sha256"]
        heat = box.get(f"/pictures/{whole[0]['content']}/{whole[0]['answer']['images'][0]['heatmap']}")
        assert heat.content.startswith(b"\x89PNG")

        english, chinese = box.get("/").text, box.get("/", **{"Accept-Language": "zh-CN,zh;q=0.9,en"}).text
        assert "Everything has been handed over." in english and "P-7" in english and "Secret" not in english
        assert "已全部移交" in chinese and '<html lang="zh-Hans">' in chinese
        # Nothing without the key, whoever asks; numbers alone for a probe.
        wrong = base64.b64encode(b"me:wrong").decode()
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {wrong}"}):
            for path in ("/", "/status", "/results/1.2.3"):
                assert httpx.get(f"{box.url}{path}", headers=headers, trust_env=False).status_code == 401
        assert "Secret" not in box.log() and "P-7" not in box.log()
    stored = Study.objects.get()
    assert stored.accession_number == "A-P-7" and Instance.objects.count() == 2
