"""The first start, with a real TorchServe that is still loading: what is served becomes the default, by itself."""

from __future__ import annotations

import threading
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from cad_platform.core.actor import Actor
from cad_platform.core.models import ComponentProbe
from cad_platform.modelserver.configured import get_model_server
from cad_platform.operations import probes
from cad_platform.registry import services
from cad_platform.registry.health import component_of
from cad_platform.registry.serving import serving_of
from tests.registry.conftest import Store
from tests.torchserve_host import torchserve_host

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]
SYSTEM = Actor.system("test")


@pytest.mark.long
def test_the_newest_served_version_is_chosen_while_the_server_starts(
    store: Store, settings: Any, tmp_path_factory: pytest.TempPathFactory, broker: str, client: Client
) -> None:
    store.add("98.0.0")
    served: Path = tmp_path_factory.mktemp("host")
    with torchserve_host(served, store.path) as host:
        store.add("99.0.0")  # known, and loaded nowhere
        settings.MODEL_SERVER, settings.TORCHSERVE_URLS = "torchserve", [host.server.url]
        settings.TORCHSERVE_KEY_FILES = [str(host.server.token_file)]
        get_model_server.cache_clear()
        known = {version.version: version for version in services.register_from_store(SYSTEM).versions}
        over = threading.Event()

        def maintain() -> None:
            while not over.is_set():
                host.server.maintain()
                time.sleep(0.2)

        maintenance = threading.Thread(target=maintain)
        maintenance.start()
        try:
            said = StringIO()
            call_command("choose_defaults", wait=240, stdout=said)
            assert said.getvalue() == "ultrasound 98.0.0 is the default now\n"
            probes.probe_all()
            probes.probe_standby()
        finally:
            over.set()
            maintenance.join(10)
    serving = serving_of(SYSTEM, known.values())
    assert serving[known["98.0.0"].pk].answers and serving[known[store.version].pk].answers
    assert serving[known["99.0.0"].pk].absent
    required = ComponentProbe.objects.filter(required=True, component__startswith="model:")
    assert [probe.component for probe in required] == [component_of(known["98.0.0"])]
    failing = client.get("/readyz").json()["failed"]
    assert [name for name in failing if name.startswith("model")] == []
