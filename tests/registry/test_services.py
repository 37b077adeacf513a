"""Known, served, default: three things, and the store makes only the first of them true."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from cad_platform.core.models import ComponentProbe, OutboxEvent
from cad_platform.registry import selectors, services, switching
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import ROUTED_TOPIC, is_routed_job, route, routed_versions
from inference.runtime.store import manifests
from tests import factories
from tests.registry.conftest import Store

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def defaults() -> list[str]:
    return [str(version) for version in routed_versions()]


def register(store: Store) -> dict[str, ModelVersion]:
    """By version number."""
    return {version.version: version for version in services.register_from_store(SYSTEM).versions}


def test_the_repositorys_models_become_known() -> None:
    outcome = services.register_from_store(SYSTEM)
    assert outcome.refused == ()
    known = {(version.name, version.version) for version in outcome.new}
    assert known == {(manifest.name, manifest.version) for manifest in manifests(settings.MODEL_STORE)}


def test_registering_makes_no_version_the_default(store: Store) -> None:
    register(store)
    assert defaults() == []
    assert actions() == ["model.register"]
    assert not OutboxEvent.objects.filter(topic=ROUTED_TOPIC).exists()


def test_a_new_version_in_the_store_leaves_the_default_as_it_is(store: Store) -> None:
    old = register(store)[store.version]
    switching.make_default(SYSTEM, old)
    store.add("99.0.0")
    outcome = services.register_from_store(SYSTEM)
    assert [version.version for version in outcome.new] == ["99.0.0"]
    assert defaults() == [str(old)]


def test_registering_again_changes_nothing(store: Store) -> None:
    first = services.register_from_store(SYSTEM)
    again = services.register_from_store(SYSTEM)
    assert again.versions == first.versions == first.new and again.new == ()
    assert actions() == ["model.register"]


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"tampered"), "not those of its manifest"),
        (lambda folder: (folder / "model.onnx").unlink(), "missing"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest of ultrasound/98.0.0"),
        (lambda folder: (folder / "metrics.json").write_text("{"), "damaged"),
        (lambda folder: (folder / "metrics.json").write_text("[1]"), "are none"),
        (lambda folder: (folder / "card.md").write_bytes(b"\xff\xfe\xfa"), "damaged"),
        (lambda folder: (folder / "card.md").write_text("# Better than it is"), "card.md is not the file"),
        (lambda folder: (folder / "metrics.json").write_text("{}"), "metrics.json is not the file"),
        (lambda folder: (folder / "custody.json").unlink(), "has no custody.json"),
        (lambda folder: (folder / "custody.json").write_text("{}"), "is no custody record"),
    ],
)
def test_a_version_that_cannot_be_used_keeps_no_other_from_being_registered(
    store: Store, harm: Callable[[Any], None], why: str
) -> None:
    harm(store.add("98.0.0"))
    store.add("99.0.0")
    outcome = services.register_from_store(SYSTEM)
    assert [version.version for version in outcome.versions] == [store.version, "99.0.0"]
    (refused,) = outcome.refused
    assert why in refused and "98.0.0" in refused


def test_other_weights_need_another_version(store: Store) -> None:
    register(store)
    store.exchange(b"quietly exchanged")
    outcome = services.register_from_store(SYSTEM)
    assert outcome.versions == () and "raise the version" in outcome.refused[0]


def test_a_model_of_studies_that_nobody_can_post_is_refused(store: Store) -> None:
    path = store.add("99.0.0") / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["input"]["modality"] = "XA"
    path.write_text(json.dumps(manifest))
    store.seal("99.0.0")
    registration = services.register_from_store(SYSTEM)
    assert [str(version) for version in registration.versions] == [f"ultrasound {store.version}"]
    assert registration.refused == ("ultrasound 99.0.0 reads studies of XA, which is no registered modality",)


def test_a_card_may_be_corrected(store: Store) -> None:
    register(store)
    (store.folder() / "card.md").write_text("# Corrected\n")
    store.seal()
    assert register(store)[store.version].card == "# Corrected\n"
    assert actions()[-1] == "model.describe"


def test_without_a_store_there_is_a_sentence(settings: Any, tmp_path: Any) -> None:
    settings.MODEL_STORE = tmp_path / "nowhere"
    with pytest.raises(Invalid, match="CAD_MODEL_STORE"):
        services.register_from_store(SYSTEM)


def test_a_version_that_nobody_serves_cannot_become_the_default(store: Store) -> None:
    """D3: it did, and every study after it waited for two days."""
    store.add("99.0.0")
    known = register(store)
    switching.make_default(SYSTEM, known[store.version])
    store.remove("99.0.0")
    with pytest.raises(
        Conflict, match=r"ultrasound 99\.0\.0 cannot become the default: no model server"
    ) as caught:
        switching.make_default(SYSTEM, known["99.0.0"])
    assert caught.value.code == "not_served"
    assert defaults() == [f"ultrasound {store.version}"]
    assert actions().count("model.make_default") == 1
    probe = ComponentProbe.objects.get(component="model:ultrasound/99.0.0")
    assert (probe.code, probe.required) == ("not_served", False)


def test_a_version_whose_network_does_not_run_cannot_either(store: Store) -> None:
    store.add("99.0.0", weights=b"no network")
    with pytest.raises(Conflict, match="gives no prediction") as caught:
        switching.make_default(SYSTEM, register(store)["99.0.0"])
    assert caught.value.code == "not_served"


def test_an_administrator_switches_back_and_says_why(store: Store) -> None:
    store.add("99.0.0")
    known = register(store)
    switching.make_default(SYSTEM, known["99.0.0"])
    administrator = factories.actor(Role.ADMINISTRATOR)
    switch = switching.make_default(administrator, known[store.version], " It marks every lymph node. ")
    assert (switch.version, switch.previous) == (known[store.version], known["99.0.0"])
    assert defaults() == [f"ultrasound {store.version}"]
    event = AuditEvent.objects.latest("pk")
    assert event.actor_label == administrator.label
    assert event.detail["previous"] == "99.0.0"
    assert event.detail["reason"] == "It marks every lymph node."


def test_a_switch_is_announced_with_it(store: Store) -> None:
    switching.make_default(SYSTEM, register(store)[store.version])
    (event,) = OutboxEvent.objects.filter(topic=ROUTED_TOPIC)
    assert event.payload == {"name": "ultrasound"}


def test_the_default_made_the_default_again_changes_nothing(store: Store) -> None:
    version = register(store)[store.version]
    switching.make_default(SYSTEM, version)
    before = actions()
    store.remove()  # and nobody is asked
    assert switching.make_default(SYSTEM, version).previous is None
    assert actions() == before
    assert OutboxEvent.objects.filter(topic=ROUTED_TOPIC).count() == 1


def test_a_reason_that_is_too_long_is_refused(store: Store) -> None:
    with pytest.raises(Invalid):
        switching.make_default(SYSTEM, register(store)[store.version], "x" * 2001)
    assert defaults() == []


@pytest.mark.parametrize("role", sorted(set(Role.values) - {Role.ADMINISTRATOR}))
def test_others_may_neither_register_nor_switch(store: Store, role: str) -> None:
    version = register(store)[store.version]
    for act in (
        lambda actor: services.register_from_store(actor),
        lambda actor: switching.make_default(actor, version),
        lambda actor: switching.choose_defaults(actor),
    ):
        with pytest.raises(NotPermitted):
            act(factories.actor(role))


@pytest.mark.django_db(transaction=True)
def test_two_administrators_at_once_leave_one_default(store: Store) -> None:
    for version in ("98.0.0", "99.0.0"):
        store.add(version)
    known = register(store)
    switching.make_default(SYSTEM, known[store.version])
    administrators = [factories.actor(Role.ADMINISTRATOR) for _ in range(2)]
    begun = threading.Barrier(2)

    def switch(actor: Actor, version: ModelVersion) -> None:
        try:
            for _ in range(5):
                begun.wait(30)
                switching.make_default(actor, version)
        finally:
            connection.close()

    pairs = zip(administrators, (known["98.0.0"], known["99.0.0"]), strict=True)
    threads = [threading.Thread(target=switch, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (left,) = routed_versions()
    switches = AuditEvent.objects.filter(action="model.make_default").order_by("pk")
    assert switches.latest("pk").detail["version"] == left.version
    # Each took the place of the one before: neither switched from what was no longer the default.
    told = [(event.detail["previous"], event.detail["version"]) for event in switches]
    assert [previous for previous, _ in told[1:]] == [version for _, version in told[:-1]]


def test_the_newest_version_that_is_served_is_chosen_first(store: Store) -> None:
    for version in ("9.9.0", "9.10.0", "9.11.0"):
        store.add(version)
    register(store)
    store.remove("9.11.0")
    outcome = switching.choose_defaults(SYSTEM)
    assert [str(version) for version in outcome.chosen] == defaults() == ["ultrasound 9.10.0"]
    assert outcome.without == {}


def test_what_was_exported_for_research_is_no_default_until_a_person_says_so(store: Store) -> None:
    version = register(store)[store.version]
    ModelVersion.objects.filter(pk=version.pk).update(manifest={**version.manifest, "research": True})
    assert switching.choose_defaults(SYSTEM) == switching.FirstChoice((), {}, may_come=False)
    assert defaults() == []
    switching.make_default(SYSTEM, ModelVersion.objects.get())
    assert defaults() == [f"ultrasound {store.version}"]


def test_what_is_chosen_already_stays(store: Store) -> None:
    switching.make_default(SYSTEM, register(store)[store.version])
    store.add("99.0.0")
    register(store)
    assert switching.choose_defaults(SYSTEM).chosen == ()
    assert defaults() == [f"ultrasound {store.version}"]


def test_where_nothing_is_served_nothing_is_chosen_and_it_says_why(store: Store) -> None:
    register(store)
    store.remove()
    outcome = switching.choose_defaults(SYSTEM)
    assert (outcome.chosen, outcome.may_come, defaults()) == ((), False, [])
    assert outcome.without["ultrasound"].startswith(f"ultrasound {store.version}: not served here")


def test_a_study_is_routed_to_the_defaults_of_its_modality() -> None:
    breast = factories.model_version("ultrasound", "US", "2.0.0")
    factories.model_version("ultrasound", "US", "3.0.0", is_default=False)
    other = factories.model_version("axilla", "US", "1.0.0")
    factories.model_version("mammography", "MG")
    study = factories.study(factories.site(), "US")
    assert route(study) == [other, breast] == list(routed_versions(["US"]))


def test_whether_a_jobs_version_is_routed_can_be_asked_of_the_database() -> None:
    version = factories.model_version("ultrasound", "US")
    job = factories.succeeded_job(factories.study(factories.site(), "US"))
    routed = AnalysisJob.objects.filter(is_routed_job())
    assert list(routed) == [job]
    ModelVersion.objects.filter(pk=version.pk).update(is_default=False)
    assert list(routed.all()) == []


def test_versions_stand_newest_first() -> None:
    for version in ("2.9.0", "2.10.0", "nightly", "2.10.0rc1"):
        factories.model_version("ultrasound", "US", version, is_default=False)
    factories.model_version("mammography")
    found = selectors.newest_first(selectors.versions(SYSTEM))
    assert [str(version) for version in found] == [
        "mammography 1.0.0", "ultrasound 2.10.0", "ultrasound 2.10.0rc1", "ultrasound 2.9.0", "ultrasound nightly",
    ]  # fmt: skip
