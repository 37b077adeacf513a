"""Every pod of the cluster without a cluster: the overlay's own commands and environment, each with a state folder of
its own and one storage for all. They wait for the schema, become ready and stay alive by their own probes; what one
took in another has and the model server has looked at, and the nightly jobs keep it and try it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from cad_platform.accounts.models import Site
from embedded.model_host import PORTS
from embedded.state import REPOSITORY, port_is_free
from tests.dockerfile import Image, lay_out
from tests.kustomization import Manifest, pod_of, render
from tests.operations.test_backup import empty_place, here, key_file  # noqa: F401 (fixtures)
from tests.posted_files import STUDY, Hospital
from tests.resilience.deployment import PROXY, Deployment, until
from tests.resilience.hospital import pictures

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200), pytest.mark.django_db(transaction=True)]
OVERLAY = REPOSITORY / "docker" / "kubernetes" / "overlays" / "one-host"
SECRETS = REPOSITORY / "docker" / "kubernetes" / "secrets.example.env"


class Cluster:
    """Pods of the overlay by their names."""

    def __init__(self, image: Image, folder: Path, bucket: str, secrets: dict[str, str]) -> None:
        self.manifests = render(OVERLAY)
        self.image, self.folder, self.secrets = image, folder, secrets
        (settings,) = (each["data"] for each in self.manifests if each["kind"] == "ConfigMap")
        # What lies elsewhere here: the storage, and who the ingress controller is.
        said = {"CAD_STORAGE_URL": f"s3://{bucket}/objects", "CAD_TRUSTED_PROXIES": PROXY}
        assert set(said) <= set(settings)
        self.places = {
            "/backups": str(folder / "backups"),
            "/run/keys": str(folder / "keys"),
            "/run/torchserve": str(folder / "tokens"),
            "//torchserve:": "//localhost:",  # the headless service's name leads to its one pod
        }
        settings = {name: self.here(text) for name, text in settings.items()}
        self.settings = settings | said | {name: secrets[name] for name in _names_of(SECRETS)}
        self.settings["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
        self.settings["AWS_DEFAULT_REGION"] = os.environ["AWS_DEFAULT_REGION"]
        self.host = self.settings["CAD_ALLOWED_HOSTS"]
        self.stack = ExitStack()

    def of_kind(self, kind: str) -> list[Manifest]:
        return [each for each in self.manifests if each["kind"] == kind]

    def pod(self, name: str) -> Deployment:
        """A pod's own state folder and environment."""
        state = self.folder / name
        state.mkdir(exist_ok=True)
        pod = Deployment(self.image, state, dict(self.settings))
        pod.settings["CAD_MODEL_SERVER"] = "torchserve"  # the default, which the overlay leaves
        self.stack.enter_context(pod.stack)
        return pod

    def model_server(self, container: dict[str, Any]) -> Deployment:
        """The StatefulSet's one pod: the inference image's own command, with the archive of one model of three."""
        taken = [port for port in PORTS.values() if not port_is_free(port)]
        assert not taken, f"the image's server wants the ports {taken}, which something else has"
        state, archives = self.folder / "torchserve", self.folder / "archives"
        for path in (state, archives, Path(self.places["/run/torchserve"])):
            path.mkdir()
        pod = Deployment(lay_out("inference-cpu", self.folder / "inference"), state, {})
        for archive in pod.image.path(".local-setup/archives").glob("ultrasound-*"):
            (archives / archive.name).symlink_to(archive)
        pod.settings = self.environment_of(container) | {
            "CAD_STATE_DIR": str(state),
            "CAD_MODEL_ARCHIVES": str(archives),
            "PATH": pod.settings["PATH"],
        }
        self.stack.enter_context(pod.stack)
        pod.start("torchserve", pod.image.command)
        return pod

    def environment_of(self, container: dict[str, Any]) -> dict[str, str]:
        """What the container has beside the settings of all."""
        found = {}
        for each in container.get("env", []):
            source = each.get("valueFrom", {})
            if "fieldRef" in source:
                assert source["fieldRef"]["fieldPath"] == "status.podIP", source
                found[each["name"]] = "127.0.0.1"
            elif key := source.get("secretKeyRef", {}).get("key"):
                found[each["name"]] = self.secrets[key]
            else:
                found[each["name"]] = self.here(each["value"])
        return found

    def here(self, text: str, state: Path | None = None) -> str:
        """A path of a mount, where it lies here."""
        for inside, place in (self.places | ({"/var/lib/cad": str(state)} if state else {})).items():
            text = text.replace(inside, place)
        return text


def _names_of(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line.partition("=")[0] for line in lines if line and not line.startswith("#")]


@pytest.fixture
def cluster(tmp_path: Path, broker: str, bucket: str, empty_place: Any) -> Iterator[Cluster]:  # noqa: F811
    secrets = {
        "CAD_TORCHSERVE_TOKEN": "",
        "CAD_METRICS_TOKEN": "of-the-scraper",
        "CAD_DRILL_DATABASE_URL": empty_place.owner_url,
        **{name: os.environ[name] for name in ("DATABASE_URL", "CAD_BROKER_URL", "CAD_SECRET_KEY")},
        **{name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        "CAD_DATABASE_OWNER_URL": os.environ["CAD_DATABASE_OWNER_URL"],
    }
    found = Cluster(lay_out("web", tmp_path / "image"), tmp_path, bucket, secrets)
    with found.stack:
        yield found


def test_every_pod_starts_and_what_one_took_in_another_has(cluster: Cluster) -> None:
    (hosts,) = cluster.of_kind("StatefulSet")
    (inference,) = pod_of(hosts)["containers"]  # type: ignore[index]
    model_server = cluster.model_server(inference)
    (job,) = cluster.of_kind("Job")
    (migration,) = pod_of(job)["containers"]  # type: ignore[index]
    told = cluster.pod("migration").settings | cluster.environment_of(migration)
    migrated = cluster.image.run(*migration["command"], check=False, **told)
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    pods = {}
    for manifest in cluster.of_kind("Deployment"):
        name, spec = manifest["metadata"]["name"], pod_of(manifest)
        assert spec is not None
        pod = pods[name] = cluster.pod(name)
        for first in spec["initContainers"]:
            waited = cluster.image.run(*first["command"], check=False, **pod.settings)
            assert waited.returncode == 0, (name, waited.stderr)
        (container,) = spec["containers"]
        command = container.get("command") or cluster.image.command
        port = {"8000": str(pod.port)} if name == "cad-web" else {}
        pod.start(name, [port.get(part, part) for part in command], **cluster.environment_of(container))
    assert {"cad-web", "cad-worker-short", "cad-worker-slide", "cad-beat", "cad-housekeeping"} <= set(pods)
    for manifest in cluster.of_kind("Deployment"):
        pod, (container,) = pods[manifest["metadata"]["name"]], pod_of(manifest)["containers"]  # type: ignore[index]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind in container:
                until(lambda: _answers(cluster, pod, container[kind]))  # noqa: B023 (called at once)
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = inference[kind]["exec"]["command"]
        until(
            lambda: model_server.image.run(*probe, check=False, **model_server.settings).returncode == 0,  # noqa: B023
            300,
        )

    web = pods["cad-web"]
    web.manage(
        *("install", "--site-code", "riverside", "--site-name", "Riverside", "--administrator", "root.admin"),
        *("--password-file", str(web.state / "password"), "--keys", cluster.places["/run/keys"]),
    )
    # The host has one model of three: the command names the others, and ends with 1.
    chosen = web.image.run(
        web.python, "manage.py", "choose_defaults", "--wait", "60", check=False, **web.settings
    )
    assert "ultrasound" in chosen.stdout and "is the default now" in chosen.stdout, chosen.stderr
    hospital = Hospital(Site.objects.get(code="riverside"))
    told = {
        "Authorization": f"Bearer {hospital.token}",
        "Host": cluster.host,
        "X-Forwarded-Proto": "https",
    }
    proxy = httpx.HTTPTransport(local_address=PROXY)
    with httpx.Client(
        base_url=f"http://127.0.0.1:{web.port}", headers=told, transport=proxy, timeout=120
    ) as caller:
        posted = caller.post(
            "/api/v1/studies",
            data={"study": json.dumps(STUDY)},
            files={"files": ("a.png", pictures(1)[0], "image/png")},
        )
        assert posted.status_code == 201, posted.text
        (image,) = posted.json()["images"]
        assert caller.get(f"/api/v1/images/{image['id']}/file").content == pictures(1)[0]
        study = f"/api/v1/studies/{posted.json()['study_instance_uid']}"

        def result() -> Any:
            jobs = caller.get(study).json()["jobs"]
            assert not any(job["state"] == "failed" for job in jobs), jobs
            return jobs and jobs[0]["state"] == "succeeded" and jobs[0]["result"]

        assert len(until(result, 300)["images"]) == 1
    assert not list((web.state).rglob("objects/*")), "it went to the pod's own disk"

    for manifest in sorted(cluster.of_kind("CronJob"), key=lambda each: str(each["metadata"]["name"])):
        pod, (container,) = cluster.pod(manifest["metadata"]["name"]), pod_of(manifest)["containers"]  # type: ignore[index]
        command = [cluster.here(part) for part in container["command"]]
        done = cluster.image.run(*command, check=False, **(pod.settings | cluster.environment_of(container)))
        assert done.returncode == 0, (command, done.stdout + done.stderr)
    pods["torchserve"] = model_server
    assert not [name for name, pod in pods.items() if pod.processes[name].poll() is not None]


def _answers(cluster: Cluster, pod: Deployment, probe: dict[str, Any]) -> bool:
    command = [cluster.here(part, pod.state) for part in probe["exec"]["command"]]
    asked = pod.settings | {"CAD_PORT": str(pod.port)}
    return cluster.image.run(*command, check=False, **asked).returncode == 0
