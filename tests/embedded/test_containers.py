"""docker/: every setting that is named there exists, every queue has a worker, and several model servers are found."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from cad_platform.core.queues import QUEUES
from cad_platform.modelserver import discovery
from cad_platform.modelserver.models import ModelHost
from embedded.state import REPOSITORY

DOCKER = REPOSITORY / "docker"
#: Read by compose itself, and by PostgreSQL's own start.
OF_COMPOSE = {"CAD_TORCHSERVE_KEYS", "CAD_PORT", "CAD_APP_PASSWORD", "CAD_OWNER_PASSWORD"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return content


@pytest.fixture(scope="module")
def kubernetes() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DOCKER / "kubernetes" / "platform.yaml").read_text()))


@pytest.mark.parametrize("path", sorted(path for path in DOCKER.rglob("*") if path.is_file()), ids=str)
def test_every_setting_that_is_named_is_one(path: Path) -> None:
    known = "".join(
        source.read_text()
        for source in [
            *(REPOSITORY / "cad_platform" / "config").rglob("*.py"),
            *(REPOSITORY / "inference" / "runtime").glob("*.py"),
        ]
    )
    named = set(re.findall(r"CAD_[A-Z_]+", path.read_text())) - OF_COMPOSE
    assert named <= set(re.findall(r"CAD_[A-Z_]+", known))


def test_every_queue_has_a_worker(compose: dict[str, Any], kubernetes: list[dict[str, Any]]) -> None:
    started = [each.get("command", []) for each in compose["services"].values()]
    assert {command[command.index("-Q") + 1] for command in started if "-Q" in command} == set(QUEUES)
    containers = [
        container
        for each in kubernetes
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    ]
    started = [container.get("command", []) for container in containers]
    assert {command[command.index("-Q") + 1] for command in started if "-Q" in command} == set(QUEUES)


@pytest.mark.django_db
def test_the_pods_behind_the_clusters_name_are_hosts(
    kubernetes: list[dict[str, Any]], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own,) = (each["data"] for each in kubernetes if each["kind"] == "ConfigMap")
    service = yaml.safe_load((DOCKER / "kubernetes" / "torchserve.yaml").read_text())
    assert service["spec"]["clusterIP"] == "None" and service["metadata"]["name"] == "torchserve"
    settings.TORCHSERVE_URLS = [own["CAD_TORCHSERVE_URL"]]
    settings.TORCHSERVE_MANAGEMENT_URLS = [own["CAD_TORCHSERVE_MANAGEMENT_URL"]]
    settings.TORCHSERVE_METRICS_URLS = [own["CAD_TORCHSERVE_METRICS_URL"]]
    settings.TORCHSERVE_KEY_FILES = []

    def look_up(name: str, *_: object, **__: object) -> list[Any]:
        assert name == "torchserve"
        return [(socket.AF_INET, 1, 6, "", (address, 0)) for address in ("10.0.0.1", "10.0.0.2")]

    monkeypatch.setattr(discovery.socket, "getaddrinfo", look_up)
    discovery.reconcile()
    ports = {str(port["port"]) for port in service["spec"]["ports"]}
    for number, host in enumerate(ModelHost.objects.order_by("url"), 1):
        found = {host.url, host.management_url, host.metrics_url}
        assert found == {f"http://10.0.0.{number}:{port}" for port in ports}
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
