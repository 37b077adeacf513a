"""What an operator and the first start do with the models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from itertools import groupby
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.modelserver.configured import get_model_server
from cad_platform.registry import services
from cad_platform.registry.management.commands.register_models import SOME_REFUSED
from cad_platform.registry.routing import routed_versions
from inference.runtime import wire
from inference.runtime.handler import INPUT, MODEL_MS
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from tests.modelserver.conftest import ScriptedServer, refusal, serve  # noqa: F401
from tests.registry.conftest import Store

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")
Serve = Callable[..., ScriptedServer]
AWAY = refusal(503, "ServiceUnavailableException")
#: A proof is given up after so many: every host once, then a call's four.
TRIES = 5


def run(*arguments: Any, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def defaults() -> list[str]:
    return [str(version) for version in routed_versions()]


@pytest.fixture
def served_by(settings: Any, serve: Serve, store: Store) -> Iterator[Callable[..., ScriptedServer]]:  # noqa: F811
    """A TorchServe that answers by the script, then by the network, in place of the networks in this process."""
    network = OnnxForward(store.folder() / WEIGHTS)

    def answer(body: bytes) -> bytes:
        output = network(wire.decode(body)[0][INPUT])
        return wire.encode(output.outputs, {MODEL_MS: output.model_ms})

    def start(*script: Any) -> ScriptedServer:
        server = serve(*script)
        server.network = answer
        settings.MODEL_SERVER, settings.TORCHSERVE_URLS = "torchserve", [server.url]
        get_model_server.cache_clear()
        return server

    yield start
    get_model_server.cache_clear()


def test_register_models_says_what_is_new_and_makes_nothing_the_default(store: Store) -> None:
    assert run("register_models") == f"ultrasound {store.version} (US, new)\n"
    assert run("register_models") == f"ultrasound {store.version} (US)\n"
    assert defaults() == []


def test_register_models_names_what_it_refuses_and_registers_the_others(store: Store) -> None:
    (store.add("99.0.0") / "model.onnx").write_bytes(b"tampered")
    out = StringIO()
    refusal_of_it = r"Not registered:\n- the weights of ultrasound 99\.0\.0 are not"
    with pytest.raises(CommandError, match=refusal_of_it) as caught:
        call_command("register_models", stdout=out)
    assert caught.value.returncode == SOME_REFUSED
    assert out.getvalue() == f"ultrasound {store.version} (US, new)\n"


def test_choose_defaults_is_for_the_first_start(store: Store) -> None:
    store.add("99.0.0")
    run("register_models")
    assert run("choose_defaults", wait=0) == "ultrasound 99.0.0 is the default now\n"
    assert AuditEvent.objects.latest("pk").actor_label == "system:choose_defaults"
    assert run("choose_defaults", wait=0) == "Every registered model has a default already.\n"


def test_choose_defaults_says_which_model_has_none(store: Store) -> None:
    run("register_models")
    store.remove()
    with pytest.raises(CommandError, match=f"- ultrasound .*{store.version}: not served here"):
        run("choose_defaults", wait=300)  # nothing is away: no reason to wait


def test_a_server_that_starts_is_waited_for_and_no_older_version_taken_meanwhile(
    store: Store, served_by: Serve
) -> None:
    store.add("99.0.0")
    run("register_models")
    server = served_by(*[AWAY] * TRIES)
    assert run("choose_defaults", wait=60) == "ultrasound 99.0.0 is the default now\n"
    # The newest, in vain; the older one, not taken; the newest again.
    asked = [path.rsplit("/", 1)[1] for path in server.paths[TRIES - 1 :]]
    assert [version for version, _ in groupby(asked)] == ["99.0.0", store.version, "99.0.0"]


def test_when_the_wait_is_over_what_answers_is_taken(store: Store, served_by: Serve) -> None:
    store.add("99.0.0")
    run("register_models")
    served_by(*[AWAY] * TRIES)
    assert run("choose_defaults", wait=0) == f"ultrasound {store.version} is the default now\n"


def test_make_default_switches_and_says_from_what(store: Store) -> None:
    store.add("99.0.0")
    run("register_models")
    assert run("make_default", "ultrasound", "99.0.0") == "ultrasound 99.0.0 is the default\n"
    back = run("make_default", "ultrasound", store.version, reason="too many findings")
    assert back == f"ultrasound {store.version} is the default, before it 99.0.0\n"
    assert AuditEvent.objects.latest("pk").detail["reason"] == "too many findings"


def test_make_default_refuses_what_nobody_serves_and_what_nobody_knows(store: Store) -> None:
    run("register_models")
    store.remove()
    with pytest.raises(CommandError, match="no model server has it"):
        run("make_default", "ultrasound", store.version)
    with pytest.raises(CommandError, match="no such model"):
        run("make_default", "ultrasound", "0.0.1")
    assert defaults() == []


def test_a_server_that_is_away_makes_nothing_the_default(store: Store, served_by: Serve) -> None:
    (version,) = services.register_from_store(SYSTEM).versions
    served_by(*[AWAY] * 50)
    with pytest.raises(
        CommandError, match=r"answers for it now \(the model server does not answer: status 503"
    ):
        run("make_default", version.name, version.version)
