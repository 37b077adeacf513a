"""TorchServe over HTTP (and servers of the Open Inference Protocol beside it): small tensors out, the network's raw
outputs back, from whichever host of the fleet answers.

A call goes to the least busy host whose version is not resting. One that fails is followed by the next at once; one
that is late (`pace.Pace.hedge_after`) gets a rival, once, and the first answer counts. So a hung host costs a caller
the patience of a hedge; the call that hangs goes on in its own thread until its time is up, and then that version rests
on that host for everybody. What stays away longer is the caller's business (`analysis` gives the job back and claims it
again later). A host without the version (`calls.NotLoaded`) is not asked again in this call, the others are, and where
all say so the version is not served here, at once.

Before a host gets work for a version it has answered the version's known case (`known_case`), whoever has it asked: a
row tells the others. One that answers it wrongly gets none, also where it is the only one.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cad_platform.modelserver import administration
from cad_platform.modelserver.asking import predict
from cad_platform.modelserver.calls import HostAway, NotLoaded, TooLarge
from cad_platform.modelserver.hosts import Fleet, Host, Said, Version
from cad_platform.modelserver.known_case import AnswersWrongly, KnownCases, compare
from cad_platform.modelserver.messages import decoded, encoded
from cad_platform.modelserver.pace import LONGEST_SECONDS
from cad_platform.modelserver.port import Deadline, OnlyWrongAnswers, VersionNotServed, WorkerStatus
from inference.contract import (
    AnalysisError,
    AnalysisRequest,
    AnalysisResult,
    ModelManifest,
    ModelServerUnavailable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.runtime.answer import RecordedAnswer
    from inference.runtime.forward import ForwardOutput, Save
    from inference.runtime.resumable import Keeping

logger = logging.getLogger(__name__)

#: Stands for the answer of a worker that is there and was given nothing to compute.
_THERE = b"there"
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
    case: RecordedAnswer | None = None
    #: A round of probes: the known case in its turn, else that the host answers at all.
    is_round: bool = False
    #: A round in which it is enough for some hosts that a worker is there.
    is_light: bool = False
    reason: str = "every host that may have it is resting after failures"
    tried: Counter[Host] = field(default_factory=Counter)
    absent: set[Host] = field(default_factory=set)
    too_small: set[Host] = field(default_factory=set)
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
    cases
        What each version is compared by; None compares nothing.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        concurrency: int = 4,
        call_seconds: float = LONGEST_SECONDS,
        cases: KnownCases | None = None,
    ) -> None:
        self.fleet = fleet
        self._call_seconds = call_seconds
        self._cases = cases
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

    def prove(self, manifest: ModelManifest, deadline: Deadline, *, lightly: bool = False) -> bool:
        """See `port.ModelServer`. Every host is asked, one that rests or answered wrongly too: that is how it comes
        back. The known case is compared where it is due; between, a host need only answer. `lightly`, one that has just
        worked for somebody is not asked, and another need only say that a worker is there."""
        from inference.runtime.analyse import probe_tensor

        call = self._call(manifest, probe_tensor(manifest), deadline)
        call.is_round, call.is_light = True, lightly
        deadline.remaining()
        is_proven = False
        for host in self.fleet.hosts():
            served = host.versions[call.version]
            is_due = served.is_due and call.case is not None
            if host.is_draining:
                continue
            if lightly and served.is_at_work and not is_due and not served.is_wrong:
                is_proven = True
            elif served.is_due or not served.is_wrong:
                with self._free:
                    host.calls += 1
                self._start(call, host)
        call.hedged = True  # all are asked already
        if is_proven:
            return False  # what comes of the others is kept all the same
        answer = self._answer(call)
        if answer is None:
            # Full, or just starting: once more with patience.
            call = self._call(manifest, probe_tensor(manifest), deadline)
            answer = self._request(call)
        if answer == _THERE:
            return False
        decoded(answer)
        return True

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
        return decoded(self._request(self._call(manifest, tensor, deadline)))

    def _call(self, manifest: ModelManifest, tensor: NDArray[Any], deadline: Deadline) -> _Call:
        case = None if self._cases is None else self._cases.of(manifest)
        return _Call(Version.of(manifest), encoded(tensor), deadline, case)

    def _request(self, call: _Call) -> bytes:
        """Ask until a host answers, none is left that may have the version, the tries are used up or the deadline
        passes."""
        attempt = 0
        while True:
            hosts = self.fleet.hosts()
            known_absent = len(call.absent) + len(call.too_small)
            host = self._reserve(call, hosts)
            if host is not None:
                self._start(call, host)
                answer = self._answer(call)
                if answer is not None:
                    return answer
                if len(call.absent) + len(call.too_small) > known_absent:
                    self._raise_if_none_may(call, hosts)
                    continue
            elif not hosts:
                call.reason = "no model server is known"
            elif all(one.is_draining for one in hosts):
                call.reason = "every model server is being drained"
            self._raise_if_none_may(call, hosts)
            attempt += 1
            if attempt >= max(TRIES, len(hosts)):
                others = f"; the hosts that answer do not have {call.version}" if call.absent else ""
                raise ModelServerUnavailable(f"the model server does not answer: {call.reason}{others}")
            if any(not call.tried[one] for one in self._admitting(call, hosts)):
                continue  # the next host, at once
            pause = random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2**attempt))  # noqa: S311
            time.sleep(min(pause, call.deadline.remaining()))

    def _raise_if_none_may(self, call: _Call, hosts: Sequence[Host]) -> None:
        """Nothing is gained by asking again where every host said that it does not have the version, takes no input of
        this size, or answers wrongly."""
        if not hosts:
            return
        if call.absent.issuperset(hosts):
            raise VersionNotServed(f"no model server has {call.version}")
        having = [host for host in hosts if host not in call.absent]
        if call.too_small.issuperset(having):
            raise AnalysisError("the input is larger than any model server takes")
        if all(host.versions[call.version].is_wrong for host in having):
            raise OnlyWrongAnswers(call.version)

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
            elif isinstance(outcome, TooLarge):
                call.too_small.add(host)
            elif isinstance(outcome, AnswersWrongly):
                call.reason = "its answer to the known case is wrong"
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
            # With this thread's context: what is asked stands under the span of who asks.
            ask = partial(copy_context().run, self._ask, call, host, seconds)
            threading.Thread(target=ask, name=f"forward {host.name}", daemon=True).start()
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
            said = Said.ANSWERED
            answer = None
            if call.case is not None and (served.is_due if call.is_round else served.is_right is None):
                answer = compare(host, call.version, call.case, seconds)
                said = Said.RIGHT
                served.take(said)
            elif call.is_light and served.need_only_be_there:
                answer, said = self._there(host, call.version, seconds), Said.THERE
            if answer is None or not call.is_round:
                begun, said = time.monotonic(), Said.ANSWERED if said is Said.THERE else said
                answer = predict(host, call.version, call.body, seconds)
                self.fleet.pace(call.version).took(time.monotonic() - begun)
            outcome = answer
        except AnswersWrongly as error:
            outcome, said, reason = error, Said.WRONG, f"answers its known case wrongly: {error}"
        except TooLarge as error:
            outcome, said = error, Said.ANSWERED
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

    def _there(self, host: Host, version: Version, seconds: float) -> bytes | None:
        """Have a worker say that it is there, and keep what it tells; None where this host's cannot say so."""
        from inference.runtime import presence, wire

        served = host.versions[version]
        if not host.speaks_open_inference:
            try:
                told = presence.read(predict(host, version, presence.question(), seconds))
            except (AnalysisError, wire.WireError):
                logger.info("workers of %s on %s are asked by forward passes", version, host.name)
            else:
                served.workers[told.pid] = told
                return _THERE
        served.is_dumb = True
        return None

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
            if not host.is_draining
            and not host.versions[call.version].is_wrong
            and host not in call.absent
            and host not in call.too_small
            and host not in call.running
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
        call.case is not None and served.is_right is None,
        host.calls,
        random.random(),  # noqa: S311
    )
