"""The model store becomes known: verified, idempotent, one default a model."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from cad_platform.core.request import Actor
from cad_platform.registry import selectors, services
from cad_platform.registry.models import ModelVersion
from inference.serving.store import model_names, read_manifest, version_folder
from tests import factories

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one model, which the test may change."""
    shutil.copytree(settings.MODEL_STORE / "ultrasound", tmp_path / "ultrasound")
    return tmp_path


def newest(store: Path) -> Path:
    return version_folder(read_manifest("ultrasound", store), store)


def change(store: Path, weights: bytes | None = None, **fields: Any) -> None:
    """Rewrite the manifest, with other weights where the test says so."""
    path = newest(store) / "manifest.json"
    manifest = json.loads(path.read_text()) | fields
    path = path.parent.with_name(manifest["version"]) / path.name
    path.parent.mkdir(exist_ok=True)
    if weights is not None:
        (path.parent / manifest["weights"]["file"]).write_bytes(weights)
        manifest["weights"]["sha256"] = hashlib.sha256(weights).hexdigest()
    path.write_text(json.dumps(manifest))


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def test_the_repositorys_models_are_registered_as_defaults() -> None:
    call_command("register_models", verbosity=0)
    defaults = {version.name: version.modality for version in selectors.default_versions()}
    assert set(defaults) == set(model_names(settings.MODEL_STORE))
    assert defaults["ultrasound"] == "US"


def test_registering_again_changes_nothing(store: Path) -> None:
    first = services.register_from_store(SYSTEM, store)
    assert actions() == ["model.register", "model.make_default"]
    assert services.register_from_store(SYSTEM, store) == first
    assert actions() == ["model.register", "model.make_default"]


def test_a_new_version_becomes_the_default_and_the_old_one_stays_known(store: Path) -> None:
    (old,) = services.register_from_store(SYSTEM, store)
    change(store, weights=b"better weights", version="99.0.0")
    (new,) = services.register_from_store(SYSTEM, store)
    assert list(selectors.default_versions("US")) == [new]
    assert ModelVersion.objects.filter(pk=old.pk, is_default=False).exists()
    event = AuditEvent.objects.filter(action="model.make_default").latest("pk")
    assert event.detail["previous"] == old.version


def test_weights_of_another_hash_are_refused_and_nothing_is_registered(store: Path) -> None:
    (newest(store) / "model.onnx").write_bytes(b"tampered")
    with pytest.raises(Invalid, match="not those of its manifest"):
        services.register_from_store(SYSTEM, store)
    assert not ModelVersion.objects.exists()


def test_a_manifest_that_the_contract_does_not_know_is_refused(store: Path) -> None:
    change(store, unheard_of=True)
    with pytest.raises(Invalid, match="manifest of ultrasound"):
        services.register_from_store(SYSTEM, store)


def test_other_weights_need_another_version(store: Path) -> None:
    services.register_from_store(SYSTEM, store)
    change(store, weights=b"quietly exchanged")
    with pytest.raises(Conflict, match="raise the version"):
        services.register_from_store(SYSTEM, store)


def test_a_card_may_be_corrected(store: Path) -> None:
    services.register_from_store(SYSTEM, store)
    (newest(store) / "card.md").write_text("# Corrected\n")
    (version,) = services.register_from_store(SYSTEM, store)
    assert version.card == "# Corrected\n"
    assert actions()[-1] == "model.describe"


def test_an_administrator_switches_the_default_back(store: Path) -> None:
    (old,) = services.register_from_store(SYSTEM, store)
    change(store, weights=b"worse weights", version="99.0.0")
    services.register_from_store(SYSTEM, store)
    administrator = factories.actor(Role.ADMINISTRATOR)
    services.make_default(administrator, old)
    assert [version.pk for version in selectors.default_versions("US")] == [old.pk]
    assert AuditEvent.objects.latest("pk").actor_label == administrator.label


def test_a_radiologist_may_not(store: Path) -> None:
    (version,) = services.register_from_store(SYSTEM, store)
    with pytest.raises(NotPermitted):
        services.make_default(factories.actor(Role.RADIOLOGIST), version)
