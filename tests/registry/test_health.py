"""What is proven of each version, and for whom it counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.core import proofs
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotPermitted
from cad_platform.core.models import ComponentProbe
from cad_platform.operations import probes
from cad_platform.registry import health, services, switching
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.selectors import manifest_of
from cad_platform.registry.serving import Serving, serving_of
from tests import factories
from tests.registry.conftest import Store

pytestmark = pytest.mark.django_db(transaction=True)
SYSTEM = Actor.system("test")


@pytest.fixture
def pair(store: Store) -> tuple[ModelVersion, ModelVersion]:
    """The default version and one that stands by, both served."""
    store.add("99.0.0")
    default, other = services.register_from_store(SYSTEM).versions
    return switching.make_default(SYSTEM, default).version, other


def serving(version: ModelVersion) -> Serving:
    return serving_of(SYSTEM, [version])[version.pk]


def failed_components(client: Client) -> list[str]:
    failed: list[str] = client.get("/readyz").json()["failed"]
    return [name for name in failed if name.startswith("model")]


def test_a_version_and_its_manifest_are_one_component(store: Store) -> None:
    (version,) = services.register_from_store(SYSTEM).versions
    named = f"model:ultrasound/{store.version}"
    assert health.component_of(version) == health.component_of(manifest_of(version)) == named


def test_the_longest_name_and_version_have_a_component(store: Store) -> None:
    version = factories.model_version("u" * 60, "US", "1" * 40, is_default=False)
    proofs.failed(health.component_of(version), "away")
    assert serving(version).reason == "away"


def test_the_default_counts_and_the_others_stand_by(pair: tuple[ModelVersion, ModelVersion]) -> None:
    default, other = pair
    assert list(health.checks()) == [health.component_of(default)]
    assert list(health.standby_checks()) == [health.component_of(other)]


def test_a_default_that_nobody_serves_is_named_by_readiness(
    broker: str, client: Client, store: Store, pair: tuple[ModelVersion, ModelVersion]
) -> None:
    default, _ = pair
    probes.probe_all()
    assert failed_components(client) == []
    store.remove()
    probes.probe_all()
    assert failed_components(client) == [health.component_of(default)]
    assert serving(default).absent and serving(default).reason.startswith("not served here: ")


def test_another_version_that_nobody_serves_is_shown_and_reddens_nothing(
    broker: str, client: Client, store: Store, pair: tuple[ModelVersion, ModelVersion]
) -> None:
    _, other = pair
    store.remove("99.0.0")
    probes.probe_all()
    probes.probe_standby()
    assert failed_components(client) == []
    assert serving(other).absent and not serving(other).answers


def test_one_versions_success_proves_nothing_of_another(
    broker: str, store: Store, pair: tuple[ModelVersion, ModelVersion]
) -> None:
    default, other = pair
    begun = timezone.now()
    store.remove("99.0.0")
    probes.probe_all()
    assert proofs.proven_since(health.component_of(default), begun)
    assert not proofs.proven_since(health.component_of(other), begun)


def test_what_stands_by_is_known_to_answer_for_longer_than_the_default(
    pair: tuple[ModelVersion, ModelVersion],
) -> None:
    default, other = pair
    for version in pair:
        proofs.succeeded(health.component_of(version), 42)
    ComponentProbe.objects.filter(pk=health.component_of(default)).update(required=True)
    ComponentProbe.objects.update(succeeded_at=timezone.now() - timedelta(seconds=90))
    assert not serving(default).answers and serving(default).reason == "the latest answer is 90 s old"
    assert serving(other).answers and serving(other).latency_ms == 42
    ComponentProbe.objects.update(succeeded_at=timezone.now() - timedelta(seconds=181))
    assert not serving(other).answers


def test_a_version_that_was_never_asked_is_neither(store: Store) -> None:
    (version,) = services.register_from_store(SYSTEM).versions
    found = serving(version)
    assert (found.tried, found.answers, found.absent) == (False, False, False)


def test_a_manifest_of_another_time_fails_its_own_probe_only(
    broker: str, pair: tuple[ModelVersion, ModelVersion]
) -> None:
    """It once ended the loop that asks for all of them."""
    default, other = pair
    ModelVersion.objects.filter(pk=other.pk).update(manifest={"of": "another time"})
    probes.probe_standby()
    assert "no longer one of the contract" in serving(other).reason
    probes.probe_all()
    assert serving(default).answers


def test_how_versions_are_served_is_for_administrators(pair: tuple[ModelVersion, ModelVersion]) -> None:
    assert serving_of(factories.actor(Role.ADMINISTRATOR), pair).keys() == {v.pk for v in pair}
    with pytest.raises(NotPermitted):
        serving_of(factories.actor(Role.RADIOLOGIST), pair)


def test_a_first_proof_counts_for_the_pages_at_once(
    pair: tuple[ModelVersion, ModelVersion], client: Any
) -> None:
    default, other = pair
    assert serving(default).answers and not serving(other).tried
