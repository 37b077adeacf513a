"""schemathesis over the whole schema, with a token of a hospital's system and as an administrator: no address makes a
mistake, and none answers otherwise than the schema says.

It is in no lock: `pip install schemathesis` into an environment of its own, and name its bin in DEPLOY_TOOLS."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from django.test import Client

from cad_platform.accounts.models import Role
from tests import factories as make
from tests.posted_files import Hospital
from tests.web_server import web_server

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500), pytest.mark.django_db(transaction=True)]
#: Statuses that the images' addresses do not name yet; mistakes of ours (5xx), bodies and headers of all are looked at.
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"


@pytest.mark.parametrize("caller", ["token", "administrator"])
def test_no_address_makes_a_mistake(caller: str, tmp_path: Path) -> None:
    tool = shutil.which(
        "schemathesis", path=os.pathsep.join([os.environ.get("DEPLOY_TOOLS", ""), os.environ["PATH"]])
    )
    if tool is None:
        pytest.skip("schemathesis is not here: see the top of this file")
    hospital = Hospital()
    hospital.post()
    headers = {"Authorization": f"Bearer {hospital.token}"}
    if caller == "administrator":
        browser = Client()
        browser.force_login(make.user(Role.ADMINISTRATOR))
        headers = {"Cookie": "; ".join(f"{name}={cookie.value}" for name, cookie in browser.cookies.items())}
    rates = {"CAD_API_RATE": "1000000/min", "CAD_IMAGE_RATE": "1000000/min"}
    with web_server(tmp_path / "state", **rates) as server:
        told = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
        done = subprocess.run(
            [
                *(
                    tool,
                    "run",
                    f"{server.url}/api/schema/",
                    *told,
                    "--checks",
                    CHECKS,
                    "--max-examples",
                    "12",
                ),
                *("--phases", "examples,coverage,fuzzing", "--seed", "19", "--workers", "2", "--no-color"),
                *("--request-timeout", "60", "--suppress-health-check", "all"),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
