"""TorchServe over HTTP: small tensors out, the network's raw outputs back, from whichever host of the fleet answers.

A call goes to the least busy host whose version is not resting. One that fails is followed by the next at once; one
that is late (`pace.Pace.hedge_after`) gets a rival, once, and the first answer counts. So a hung host costs a caller
the patience of a hedge; the call that hangs goes on in its own thread until its time is up, and then that version rests
on that host for everybody. What stays away longer is the caller's business (`analysis` gives the job back and claims it
again later). A host without the version (`calls.NotLoaded`) is not asked again in this call, the others are, and where
all say so the version is not served here, at once.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cad_platform.modelserver import administration
from cad_platform.modelserver.calls import HostAway, NotLoaded, predict
from cad_platform.modelserver.hosts import Fleet, Host, Said, Version
from cad_platform.modelserver.port import Deadline, VersionNotServed, WorkerStatus
from inference.contract import (
    AnalysisError,
    AnalysisRequest,
    AnalysisResult,
    ModelManifest,
    ModelServerUnavailable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.runtime.forward import ForwardOutput, Save
    from inference.runtime.resumable import Keeping

TRIES = 4
#: Full jitter: before try n wait a random share of `min(cap, base · 2ⁿ)` seconds.
BACKOFF_BASE, BACKOFF_CAP = 0.1, 2.0
#: A lease that was lost is noticed so soon.
_LOOK_SECONDS = 1.0


@dataclass
class _Call:
    """One forward pass on its way to one host or several."""

    version: Version
    body: bytes
    deadline: Deadline
    reason: str = "every host that may have it is resting after failures"
    tried: Counter[Host] = field(default_factory=Counter)
    absent: set[Host] = field(default_factory=set)
    running: set[Host] = field(default_factory=set)
    hedged: bool = False
    outcomes: queue.SimpleQueue[tuple[Host, bytes | Exception]] = field(default_factory=queue.SimpleQueue)


class TorchServeModelServer:
    """The adapter over a fleet of TorchServe hosts.

    Parameters
    ----------
    fleet
        The hosts of this moment, and who remembers how they answered.
    concurrency
        Calls at a time from this process to one host; others wait here, not in the server's queue.
    call_seconds
        The longest that one forward pass may take.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        concurrency: int = 4,
        call_seconds: float = 60.0,
    ) -> None:
        self.fleet = fleet
        self._call_seconds = call_seconds
        self._concurrency = concurrency
        self._free = threading.Condition()

    def analyse(
        self,
        request: AnalysisRequest,
        manifest: ModelManifest,
        save: Save,
        deadline: Deadline,
        keeping: Keeping | None = None,
    ) -> AnalysisResult:
        """See `port.ModelServer`."""
        from inference.runtime.analyse import analyse
        from inference.runtime.resumable import resumable

        def forward(tensor: NDArray[Any], /) -> ForwardOutput:
            return self.forward(manifest, tensor, deadline)

        return analyse(request, manifest, resumable(forward, manifest, keeping), save)

    def prove(self, manifest: ModelManifest, deadline: Deadline) -> None:
        """See `port.ModelServer`. Every host is asked, one that rests too: that is how it comes back."""
        from inference.runtime.analyse import probe_tensor

        body = _encoded(probe_tensor(manifest))
        call = _Call(Version.of(manifest), body, deadline)
        deadline.remaining()
        for host in self.fleet.hosts():
            if not host.is_draining:
                with self._free:
                    host.calls += 1
                self._start(call, host)
        call.hedged = True  # all are asked already
        answer = self._answer(call)
        if answer is None:
            # Full, or just starting: once more with patience.
            answer = self._request(Version.of(manifest), body, deadline)
        _decoded(answer)

    def workers(self, manifest: ModelManifest) -> WorkerStatus | None:
        """Over all hosts whose management address answers."""
        found = [administration.workers(host, Version.of(manifest)) for host in self.fleet.hosts()]
        answered = [status for status in found if status is not None]
        if not answered:
            return None
        return WorkerStatus(
            sum(status.ready for status in answered), sum(status.workers for status in answered)
        )

    def forward(self, manifest: ModelManifest, tensor: NDArray[Any], deadline: Deadline) -> ForwardOutput:
        """One forward pass.

        Raises
        ------
        inference.contract.AnalysisError
            As `port.ModelServer.analyse`.
        """
        return _decoded(self._request(Version.of(manifest), _encoded(tensor), deadline))

    def _request(self, version: Version, body: bytes, deadline: Deadline) -> bytes:
        """Ask until a host answers, none is left that may have the version, the tries are used up or the deadline
        passes."""
        call = _Call(version, body, deadline)
        attempt = 0
        while True:
            hosts = self.fleet.hosts()
            known_absent = len(call.absent)
            host = self._reserve(call, hosts)
            if host is not None:
                self._start(call, host)
                answer = self._answer(call)
                if answer is not None:
                    return answer
                if hosts and call.absent.issuperset(hosts):
                    raise VersionNotServed(f"no model server has {version}")
                if len(call.absent) > known_absent:
                    continue
            elif not hosts:
                call.reason = "no model server is known"
            elif all(one.is_draining for one in hosts):
                call.reason = "every model server is being drained"
            attempt += 1
            if attempt >= max(TRIES, len(hosts)):
                others = f"; the hosts that answer do not have {version}" if call.absent else ""
                raise ModelServerUnavailable(f"the model server does not answer: {call.reason}{others}")
            if any(not call.tried[one] for one in self._admitting(call, hosts)):
                continue  # the next host, at once
            pause = random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2**attempt))  # noqa: S311
            time.sleep(min(pause, deadline.remaining()))

    def _answer(self, call: _Call) -> bytes | None:
        """The first answer of the hosts that were asked; None when none of them gave one."""
        hedge_at = time.monotonic() + self.fleet.pace(call.version).hedge_after()
        while call.running:
            patience = min(_LOOK_SECONDS, call.deadline.remaining())
            if not call.hedged:
                patience = max(0.0, min(patience, hedge_at - time.monotonic()))
            try:
                host, outcome = call.outcomes.get(timeout=patience)
            except queue.Empty:
                if not call.hedged and time.monotonic() >= hedge_at:
                    call.hedged = True
                    rival = self._reserve(call, self.fleet.hosts(), wait=False)
                    if rival is not None:
                        self._start(call, rival)
                continue
            call.running.discard(host)
            if isinstance(outcome, bytes):
                return outcome
            if isinstance(outcome, NotLoaded):
                call.absent.add(host)
            elif isinstance(outcome, HostAway):
                call.reason = str(outcome)
            else:
                raise outcome
        return None

    def _start(self, call: _Call, host: Host) -> None:
        """Ask a host that was reserved, in a thread of its own, which lets it go."""
        try:
            seconds = min(self.fleet.pace(call.version).limit(self._call_seconds), call.deadline.remaining())
            call.tried[host] += 1
            call.running.add(host)
            threading.Thread(
                target=self._ask, args=(call, host, seconds), name=f"forward {host.name}", daemon=True
            ).start()
        except BaseException:
            # A task's time limit is raised wherever it happens to be.
            host.versions[call.version].breaker.released()
            self._release(host)
            raise

    def _ask(self, call: _Call, host: Host, seconds: float) -> None:
        served = host.versions[call.version]
        begun = time.monotonic()
        reason = ""
        outcome: bytes | Exception
        try:
            outcome = predict(host, call.version, call.body, seconds)
            self.fleet.pace(call.version).took(time.monotonic() - begun)
            said = Said.ANSWERED
        except NotLoaded as error:
            outcome, said = error, Said.ABSENT
        except HostAway as error:
            outcome, reason = error, str(error)
            # Who answered somebody since is busy, not hung; and a deadline may have left the call too little time.
            hung = error.late and served.answered_at < begun and seconds >= self._limit(call.version)
            said = Said.FAILED_FOR_CERTAIN if error.certain or hung else Said.FAILED
        except AnalysisError as error:
            outcome, said = error, Said.ANSWERED
        except Exception as error:
            outcome, said, reason = error, Said.FAILED, type(error).__name__
        served.take(said)
        self._release(host)
        call.outcomes.put((host, outcome))
        self.fleet.note(host, call.version, said, reason)

    def _limit(self, version: Version) -> float:
        return self.fleet.pace(version).limit(self._call_seconds)

    def _reserve(self, call: _Call, hosts: Sequence[Host], *, wait: bool = True) -> Host | None:
        """Of the hosts that admit a call and may have the version one that does not rest, then the one that this call
        has tried least, then the least busy; None when all of them rest."""
        candidates = self._candidates(call, hosts)
        with self._free:
            while True:
                for host in sorted(candidates, key=lambda host: _preference(call, host)):
                    if host.calls < self._concurrency and host.versions[call.version].breaker.allows_call():
                        host.calls += 1
                        return host
                if not wait or not any(host.calls >= self._concurrency for host in candidates):
                    return None
                self._free.wait(min(_LOOK_SECONDS, call.deadline.remaining()))

    def _candidates(self, call: _Call, hosts: Sequence[Host]) -> list[Host]:
        return [
            host
            for host in hosts
            if not host.is_draining and host not in call.absent and host not in call.running
        ]

    def _admitting(self, call: _Call, hosts: Sequence[Host]) -> list[Host]:
        return [host for host in self._candidates(call, hosts) if not host.versions[call.version].is_resting]

    def _release(self, host: Host) -> None:
        with self._free:
            host.calls -= 1
            self._free.notify()


def _preference(call: _Call, host: Host) -> tuple[object, ...]:
    served = host.versions[call.version]
    return (
        served.is_resting,
        call.tried[host],
        served.is_absent,
        host.calls,
        random.random(),  # noqa: S311
    )


def _encoded(tensor: NDArray[Any]) -> bytes:
    from inference.runtime import wire
    from inference.runtime.handler import INPUT

    return wire.encode({INPUT: tensor})


def _decoded(answer: bytes) -> ForwardOutput:
    from inference.runtime import wire
    from inference.runtime.forward import ForwardOutput
    from inference.runtime.handler import MODEL_MS

    try:
        tensors, values = wire.decode(answer)
        return ForwardOutput(tensors, values[MODEL_MS])
    except (wire.WireError, KeyError) as error:
        raise AnalysisError("the model server's answer cannot be read") from error
