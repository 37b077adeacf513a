"""A host answers each version's known case before it gets work for it; one that answers wrongly gets none."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.proofs import ProbeFailed
from cad_platform.modelserver import fleet as fleet_module
from cad_platform.modelserver import hosts, rounds, selectors, services
from cad_platform.modelserver.fleet import StoredFleet
from cad_platform.modelserver.hosts import Fleet, Host, Version
from cad_platform.modelserver.known_case import KnownCases
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.port import Deadline, OnlyWrongAnswers
from cad_platform.modelserver.states import State
from cad_platform.modelserver.torchserve import TorchServeModelServer
from inference.contract import AnalysisError, ModelManifest, ModelServerUnavailable
from inference.runtime import wire
from inference.runtime.analyse import probe_tensor
from inference.runtime.answer import RecordedAnswer, RecordedOutput, RecordedShape, seeded_input, write_answer
from inference.runtime.store import read_manifest
from tests.modelserver.conftest import PREDICTION, Answer, ScriptedServer, refusal

Serve = Callable[..., ScriptedServer]
SYSTEM = Actor.system("test")


def said(*logits: float, name: str = "logits") -> Answer:
    return 200, wire.encode({name: np.array([logits], np.float32)}, {"model_ms": 1.0})


RIGHT = (200, PREDICTION)
#: What a host may say to the known case that its network did not say.
WRONG: dict[str, Answer] = {
    "another value": said(0.0, 0.0, 0.01),
    "no number": said(0.0, 0.0, float("nan")),
    "another shape": said(0.0, 0.0),
    "another output": said(0.0, 0.0, 0.0, name="logit"),
    "no message": (200, b"hello"),
    "a refusal": refusal(400, "BadRequestException"),
}


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return read_manifest("ultrasound")


@pytest.fixture
def store(tmp_path: Path, manifest: ModelManifest) -> Path:
    """A model store whose version said zeros to its known case, as the scripted servers do."""
    given = seeded_input((1, 1, 224, 224), 0)
    recorded = RecordedShape(
        input_shape=given.shape,
        input_sha256=hashlib.sha256(given.tobytes()).hexdigest(),
        outputs={"logits": RecordedOutput(shape=(1, 3), values=(0.0, 0.0, 0.0))},
    )
    folder = tmp_path / "store" / manifest.name / manifest.version
    folder.mkdir(parents=True)
    write_answer(folder, RecordedAnswer(said_by="a test", seed=0, tolerance=0.002, answers=(recorded,)))
    return tmp_path / "store"


def adapter(store: Path, *servers: ScriptedServer) -> TorchServeModelServer:
    fleet = Fleet([Host(server.url, server.url) for server in servers])
    fleet.pace(Version("ultrasound", read_manifest("ultrasound").version)).learn(0.03)
    return TorchServeModelServer(fleet, cases=KnownCases(store))


def predict(models: TorchServeModelServer, manifest: ModelManifest) -> None:
    models.forward(manifest, probe_tensor(manifest), Deadline(20))


def served(models: TorchServeModelServer, manifest: ModelManifest, number: int = 0) -> hosts.Served:
    return models.fleet.hosts()[number].versions[Version.of(manifest)]


def wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_host_is_compared_before_its_first_work_and_then_no_more(
    serve: Serve, store: Path, manifest: ModelManifest
) -> None:
    server = serve()
    models = adapter(store, server)
    predict(models, manifest)
    assert len(server.paths) == 2  # the known case, and the work
    predict(models, manifest)
    assert len(server.paths) == 3


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_a_host_that_answers_wrongly_gets_no_work_while_another_does_it(
    serve: Serve, store: Path, manifest: ModelManifest, answer: Answer
) -> None:
    wrong, right = serve(answer), serve()
    models = adapter(store, wrong, right)
    models.fleet.hosts()[1].calls += 1  # busier than the wrong one
    for _ in range(5):
        predict(models, manifest)
    assert len(wrong.paths) == 1
    assert served(models, manifest).is_wrong and served(models, manifest, 1).is_right


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_nor_where_it_is_the_only_one_and_the_job_waits(
    serve: Serve, store: Path, manifest: ModelManifest, answer: Answer
) -> None:
    only = serve(answer)
    models = adapter(store, only)
    for _ in range(5):
        with pytest.raises(
            OnlyWrongAnswers,
            match=rf"ultrasound {re.escape(manifest.version)} answers its known case wrongly",
        ) as given:
            predict(models, manifest)
        assert isinstance(given.value, ModelServerUnavailable) and given.value.retryable
    assert len(only.paths) == 1
    with pytest.raises(OnlyWrongAnswers):
        models.prove(manifest, Deadline(10))  # not due again so soon
    assert len(only.paths) == 1


def test_it_is_asked_again_in_a_while_and_gets_work_when_it_is_right(
    serve: Serve, store: Path, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = adapter(store, serve(WRONG["another value"]))
    with pytest.raises(OnlyWrongAnswers):
        predict(models, manifest)
    monkeypatch.setattr(hosts, "COMPARE_WRONG_SECONDS", 0.0)
    models.prove(manifest, Deadline(10))
    predict(models, manifest)


def test_rounds_compare_in_their_turn_and_ask_only_for_an_answer_between(
    serve: Serve, store: Path, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The grey input between may be answered with whatever the network says to it.
    server = serve(RIGHT, WRONG["another value"], WRONG["another value"])
    models = adapter(store, server)
    models.prove(manifest, Deadline(10))
    models.prove(manifest, Deadline(10))
    assert not served(models, manifest).is_wrong
    monkeypatch.setattr(hosts, "COMPARE_SECONDS", 0.0)
    with pytest.raises(OnlyWrongAnswers):
        models.prove(manifest, Deadline(10))


def test_a_host_that_comes_back_is_compared_before_it_gets_work(
    serve: Serve, store: Path, manifest: ModelManifest
) -> None:
    """It may have been started with another network."""
    again = serve(RIGHT, RIGHT, *[refusal(500, "InternalServerException")] * 5, WRONG["another value"])
    models = adapter(store, again)
    predict(models, manifest)
    for _ in range(2):
        with pytest.raises(ModelServerUnavailable):
            predict(models, manifest)
    assert served(models, manifest).is_resting and served(models, manifest).is_right is None
    with pytest.raises(OnlyWrongAnswers):
        models.prove(manifest, Deadline(10))


def test_one_version_that_answers_wrongly_says_nothing_of_another(
    serve: Serve, store: Path, manifest: ModelManifest
) -> None:
    models = adapter(store, serve(WRONG["another value"]))
    with pytest.raises(OnlyWrongAnswers):
        predict(models, manifest)
    # No case of this one lies in the store: that it answers must do.
    predict(models, manifest.model_copy(update={"version": "9.9.9"}))


def test_a_case_that_came_into_the_store_later_counts(
    serve: Serve, store: Path, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cad_platform.modelserver.known_case._LOOK_AGAIN_SECONDS", 0.0)
    file = store / manifest.name / manifest.version / "answer.json"
    text = file.read_text()
    file.unlink()
    models = adapter(store, serve(RIGHT, WRONG["another value"]))
    predict(models, manifest)
    file.write_text(text)
    with pytest.raises(OnlyWrongAnswers):
        predict(models, manifest)


def test_a_case_that_this_machine_cannot_repeat_condemns_nobody(
    serve: Serve, store: Path, manifest: ModelManifest
) -> None:
    file = store / manifest.name / manifest.version / "answer.json"
    case = RecordedAnswer.model_validate_json(file.read_text())
    recorded = case.answers[0].model_copy(update={"input_sha256": "0" * 64})
    write_answer(file.parent, case.model_copy(update={"answers": (recorded,)}))
    server = serve()
    predict(adapter(store, server), manifest)
    assert len(server.paths) == 1


def test_every_row_of_a_case_counts(serve: Serve, store: Path, manifest: ModelManifest) -> None:
    """Each is sent alone, so that a case takes no more memory than work does."""
    given = seeded_input((2, 1, 224, 224), 0)
    recorded = RecordedShape(
        input_shape=given.shape,
        input_sha256=hashlib.sha256(given.tobytes()).hexdigest(),
        outputs={"logits": RecordedOutput(shape=(2, 3), values=(0.0,) * 6)},
    )
    case = RecordedAnswer(said_by="a test", seed=0, tolerance=0.002, answers=(recorded,))
    write_answer(store / manifest.name / manifest.version, case)
    server = serve()
    predict(adapter(store, server), manifest)
    assert len(server.paths) == 3
    for second in WRONG.values():
        with pytest.raises(OnlyWrongAnswers):
            predict(adapter(store, serve(RIGHT, second)), manifest)


class TestSizes:
    """413: the host's own limit of a request."""

    def test_another_host_takes_what_one_refuses_for_its_size(
        self, serve: Serve, tmp_path: Path, manifest: ModelManifest
    ) -> None:
        small, large = serve(*[(413, b"")] * 50), serve()
        models = adapter(tmp_path, small, large)
        begun = time.monotonic()
        for _ in range(10):
            predict(models, manifest)
        assert time.monotonic() - begun < 3
        assert len(large.paths) == 10 and not served(models, manifest).is_resting

    def test_what_all_refuse_is_the_inputs_fault_and_not_tried_again(
        self, serve: Serve, tmp_path: Path, manifest: ModelManifest
    ) -> None:
        servers = [serve(*[(413, b"")] * 9), serve(*[(413, b"")] * 9)]
        models = adapter(tmp_path, *servers)
        with pytest.raises(AnalysisError, match="larger than any") as given:
            predict(models, manifest)
        assert not given.value.retryable
        assert [len(server.paths) for server in servers] == [1, 1]


@pytest.mark.django_db(transaction=True)
class TestRows:
    @pytest.fixture(autouse=True)
    def by_hosts(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.MODEL_SERVER = "torchserve"
        settings.TORCHSERVE_URLS = []
        monkeypatch.setattr(fleet_module, "REFRESH_SECONDS", 0.0)

    def test_what_one_process_finds_the_others_keep_to_and_it_is_said_and_audited_once(
        self, serve: Serve, store: Path, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong, well = serve(*[WRONG["another value"]] * 2), serve()
        services.add_host(SYSTEM, wrong.url, name="wrong")
        services.add_host(SYSTEM, well.url, name="well")
        one, other = (TorchServeModelServer(StoredFleet(), cases=KnownCases(store)) for _ in range(2))
        one.prove(manifest, Deadline(20))
        wait_until(lambda: set(HostedVersion.objects.values_list("is_right", flat=True)) == {True, False})
        for _ in range(10):
            predict(other, manifest)
        assert len(wrong.paths) == 1
        assert len(well.paths) == 11  # nobody compared it again

        (state,) = [state for state in selectors.fleet_states() if state.host.name == "wrong"]
        assert state.state is State.DOWN
        assert state.reason.startswith(
            f"ultrasound {manifest.version}: answers its known case wrongly: logits deviates by 0.01"
        )
        with pytest.raises(ProbeFailed, match="answers its known case wrongly"):
            rounds.check(state.host.pk)

        monkeypatch.setattr(hosts, "COMPARE_WRONG_SECONDS", 0.0)
        one.prove(manifest, Deadline(20))  # wrong again: not a second entry
        wait_until(lambda: len(wrong.paths) == 2)
        other.prove(manifest, Deadline(20))
        wait_until(lambda: not HostedVersion.objects.exclude(is_right=True).exists())
        actions = AuditEvent.objects.filter(action__startswith="host.answer").order_by("id")
        assert [event.action for event in actions] == ["host.answer_wrong", "host.answer_right"]
        assert actions[0].detail["version"] == manifest.version
        assert rounds.check(state.host.pk) is None

    def test_a_process_that_starts_knows_what_was_found_before(
        self, serve: Serve, store: Path, manifest: ModelManifest
    ) -> None:
        only = serve(WRONG["another value"])
        services.add_host(SYSTEM, only.url, name="only")
        for _ in range(2):
            models = TorchServeModelServer(StoredFleet(), cases=KnownCases(store))
            with pytest.raises(OnlyWrongAnswers):
                predict(models, manifest)
            wait_until(lambda: HostedVersion.objects.filter(is_right=False).exists())
        assert len(only.paths) == 1
        assert ModelHost.objects.get().versions.get().reason.startswith("answers its known case wrongly")
