"""schemathesis over the whole schema: with a token of a hospital's system, as an administrator and as a radiologist,
who may write. No address makes a mistake, and none answers otherwise than the schema says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils.crypto import get_random_string

from cad_platform.accounts.models import Role
from tests import factories as make
from tests.deploy_tools import deploy_tool
from tests.posted_files import Hospital
from tests.web_server import web_server

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500), pytest.mark.django_db(transaction=True)]
#: Statuses that the images' addresses do not name yet; mistakes of ours (5xx), bodies and headers of all are looked at.
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"


@pytest.mark.parametrize("caller", ["token", Role.ADMINISTRATOR, Role.RADIOLOGIST])
def test_no_address_makes_a_mistake(caller: str, tmp_path: Path) -> None:
    tool = deploy_tool("schemathesis", "pip install schemathesis")
    hospital = Hospital()
    hospital.post()
    headers = {"Authorization": f"Bearer {hospital.token}"}
    if caller != "token":
        browser = Client()
        browser.force_login(make.user(caller, hospital.site))
        # Without it each write ends at the check that a page of ours sent it.
        browser.cookies[settings.CSRF_COOKIE_NAME] = csrf = get_random_string(32)
        cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in browser.cookies.items())
        headers = {"Cookie": cookies, "X-CSRFToken": csrf}
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
