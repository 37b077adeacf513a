"""A recipe's run beside the served models: exported into the store of a running TorchServe, it is served, known to the
platform and asked by it, and no default of its own accord."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.analysis import runner
from cad_platform.core.actor import Actor
from cad_platform.core.queues import SHORT
from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.port import Deadline
from cad_platform.reading import selectors
from cad_platform.reading.case_presenter import case_page
from cad_platform.registry import services, switching
from cad_platform.registry.routing import routed_versions
from cad_platform.studies.models import Study
from embedded.model_versions import ModelVersions
from embedded.state import StateFolder
from embedded.torchserve import Version
from inference.contract import ImageReference
from inference.runtime.analyse import analyse
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest, version_folder
from tests import factories
from tests.inference.champions.runs import exported, made
from tests.inference.champions.test_bags import TWO_SIZES
from tests.inference.champions.test_outlines import RECIPE
from tests.posted_files import Hospital
from tests.torchserve_host import torchserve_host

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
SYSTEM = Actor.system("test")


@pytest.mark.long
@pytest.mark.parametrize("recipe", [RECIPE, TWO_SIZES], ids=["an outline", "a bag"])
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_an_exported_run_is_served_beside_the_champion_and_is_research(
    recipe: dict[str, Any], settings: Any, tmp_path: Path
) -> None:
    name = recipe["id"]
    champion, store = read_manifest("ultrasound"), tmp_path / "store"
    shutil.copytree(version_folder(champion), version_folder(champion, store))
    one = made(tmp_path, recipe, published=True)
    with torchserve_host(tmp_path / "host", store) as host:
        versions = ModelVersions(StateFolder(tmp_path / "host" / "state"), store, host.server)
        versions.prepare()

        def wait(until: Callable[[], bool]) -> None:
            deadline = time.monotonic() + 240
            while not until():
                assert host.child is not None and host.child.running(), host.child and host.child.log_tail()
                assert time.monotonic() < deadline
                host.server.maintain()
                versions.maintain()
                time.sleep(0.2)

        wait(host.server.ready)
        before = host.child.pid if host.child else 0
        assert one.store == store and exported(one) == 0
        wait(lambda: Version(name, "1.0.0") in host.server.registered and host.server.ready())
        assert host.child is not None and host.child.pid == before, "it is served without a new start"

        settings.MODEL_STORE = store
        settings.MODEL_SERVER, settings.TORCHSERVE_URLS = "torchserve", [host.server.url]
        settings.TORCHSERVE_KEY_FILES = [str(host.server.token_file)]
        get_model_server.cache_clear()
        outcome = services.register_from_store(SYSTEM)
        assert not outcome.refused and {str(v) for v in outcome.new} == {
            f"{name} 1.0.0", f"ultrasound {champion.version}",
        }  # fmt: skip
        switching.choose_defaults(SYSTEM, settle=True)
        assert [str(version) for version in routed_versions()] == [f"ultrasound {champion.version}"]

        image = ImageReference(image_id="a", path=str(one.image))
        for manifest in (read_manifest(name, store), champion):
            saved: dict[str, bytes] = {}

            def save(name: str, png: bytes, saved: dict[str, bytes] = saved) -> str:
                saved[name] = png
                return name

            request = manifest.request("a study", image)
            said = get_model_server().analyse(request, manifest, save, Deadline(60))
            own = analyse(
                request, manifest, OnnxForward(version_folder(manifest, store) / "model.onnx"), save
            )
            for there, here in zip(said.images, own.images, strict=True):
                assert there.probabilities == pytest.approx(here.probabilities, abs=1e-4)
                assert [f.box for f in there.findings] == [f.box for f in here.findings]
            if manifest.name == name:
                assert manifest.research
                if recipe is RECIPE:
                    assert said.images[0].findings and said.images[0].mask in saved
        known = {version.name: version for version in outcome.new}
        switching.make_default(SYSTEM, known[name], "we want to see it")
        assert f"{name} 1.0.0" in {str(version) for version in routed_versions()}

        hospital = Hospital()
        answer = hospital.post(files={"a.png": one.image.read_bytes()})
        assert answer.status_code in (200, 201, 202), answer.content
        study = Study.objects.get(site=hospital.site)
        assert runner.run_study(str(study.pk)) == "succeeded"
        while runner.run_next(SHORT) == "succeeded":
            pass
        reader = factories.actor(Role.RADIOLOGIST, hospital.site)
        analyses = case_page(selectors.case(reader, study.study_instance_uid)).analyses
        assert {each.provenance.model for each in analyses if each.provenance} == {name, "ultrasound"}
        browser = Client()
        browser.force_login(reader.user, BACKEND)
        page = browser.get(reverse("case", args=[study.study_instance_uid]))
        assert page.status_code == 200 and name in page.content.decode()
    get_model_server.cache_clear()
