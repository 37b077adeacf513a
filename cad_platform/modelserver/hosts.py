"""The hosts of a fleet in a process's memory: how each is asked, and how it has lately answered for each version."""

from __future__ import annotations

import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import certifi
import httpx

from cad_platform.modelserver.breaker import Circuit, CircuitBreaker
from cad_platform.modelserver.pace import Pace
from cad_platform.modelserver.tokens import TokenSource
from inference.contract import ModelManifest

if TYPE_CHECKING:
    from inference.runtime.presence import Presence

#: A host that said that it does not have a version is asked after the others for so long.
_ABSENT_SECONDS = 10.0
#: The known case is compared again after so long, of a host that answers it wrongly after the shorter time. A network
#: that has not computed for the longer time is made to, also where no case is known.
COMPARE_SECONDS, COMPARE_WRONG_SECONDS = 300.0, 30.0
#: Less than the pause between two rounds of probes.
_AT_WORK_SECONDS = 5.0


class Version(NamedTuple):
    """One version of one model."""

    name: str
    version: str

    @classmethod
    def of(cls, manifest: ModelManifest) -> Version:
        return cls(manifest.name, manifest.version)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Said(Enum):
    """What came of asking a host for a version. `FOR_CERTAIN`: one such failure is enough to leave it alone."""

    ANSWERED = auto()
    ABSENT = auto()
    FAILED = auto()
    FAILED_FOR_CERTAIN = auto()
    #: A worker of it is there, and was given nothing to compute.
    THERE = auto()
    #: It said to the known case what its network said, or something else.
    RIGHT = auto()
    WRONG = auto()


@dataclass
class Served:
    """How a host answers for one version, as this process knows."""

    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    #: On the monotonic clock; never before the process began.
    answered_at: float = float("-inf")
    absent_at: float = float("-inf")
    #: Its answer to the known case: none, where it was not compared since it came (back). A wrong one gets no work.
    is_right: bool | None = None
    compared_at: float = float("-inf")
    #: When its network last computed, for this process or another.
    computed_at: float = float("-inf")
    #: Its workers by process number, as they told of themselves.
    workers: dict[int, Presence] = field(default_factory=dict)
    #: Its workers cannot tell that they are there: they are asked for a forward pass.
    is_dumb: bool = False

    @property
    def is_wrong(self) -> bool:
        return self.is_right is False

    @property
    def is_due(self) -> bool:
        """Whether the known case is to be compared (again) in this round."""
        every = COMPARE_WRONG_SECONDS if self.is_wrong else COMPARE_SECONDS
        return self.is_right is None or time.monotonic() - self.compared_at >= every

    @property
    def is_at_work(self) -> bool:
        """Whether it has just computed for somebody, which proves more than any question."""
        return not self.is_resting and time.monotonic() - self.computed_at < _AT_WORK_SECONDS

    @property
    def need_only_be_there(self) -> bool:
        """Whether it is enough in this round that a worker is there."""
        lately = time.monotonic() - self.computed_at < COMPARE_SECONDS
        return lately and not (self.is_resting or self.is_wrong or self.is_dumb)

    @property
    def is_resting(self) -> bool:
        return self.breaker.state is not Circuit.CLOSED

    @property
    def is_absent(self) -> bool:
        return time.monotonic() - self.absent_at < _ABSENT_SECONDS

    def learn(self, is_right: bool | None) -> None:
        """What another process found by the known case."""
        if self.is_right is not is_right:
            self.is_right, self.compared_at = is_right, time.monotonic()

    def computed(self, ago: float) -> None:
        """Another process saw it work, so many seconds ago."""
        if not self.is_resting:
            self.computed_at = max(self.computed_at, time.monotonic() - ago)

    def take(self, said: Said) -> None:
        """Keep what the host said."""
        if said in {Said.ANSWERED, Said.THERE, Said.RIGHT, Said.WRONG}:
            self.answered_at, self.absent_at = time.monotonic(), float("-inf")
            self.breaker.succeeded()
            if said is not Said.THERE:
                self.computed_at = time.monotonic()
            if said in {Said.RIGHT, Said.WRONG}:
                self.is_right, self.compared_at = said is Said.RIGHT, time.monotonic()
        elif said is Said.ABSENT:
            # A healthy host that does not have this version.
            self.absent_at = time.monotonic()
            self.breaker.succeeded()
            self._forget()
        else:
            self.breaker.failed(for_certain=said is Said.FAILED_FOR_CERTAIN)
            if self.is_resting:
                self._forget()

    def _forget(self) -> None:
        """What comes back may be another network: it computes, and is compared, before it gets work."""
        self.computed_at, self.is_dumb = float("-inf"), False
        self.workers.clear()
        if self.is_right:
            self.is_right = None


@dataclass(eq=False)
class Host:
    """One model server.

    Attributes
    ----------
    name
        What people call it.
    url, management_url, metrics_url
        Its inference address and, where they can be reached, its management address and that of its counters.
    tokens
        Where its own bearer tokens come from.
    ca_file
        Certificates of authorities that count for it, beside the system's.
    server_name
        Whom its certificate must name where the address is a number.
    speaks_open_inference
        It is asked by KServe's protocol, not TorchServe's.
    is_draining
        It is given no new work.
    key
        Of its row; 0 for a fleet that stands in no table.
    calls
        Of this process, that run now.
    """

    name: str
    url: str
    management_url: str = ""
    metrics_url: str = ""
    tokens: TokenSource = field(default_factory=TokenSource)
    ca_file: str = ""
    server_name: str = ""
    speaks_open_inference: bool = False
    is_draining: bool = False
    key: int = 0
    calls: int = 0
    versions: defaultdict[Version, Served] = field(default_factory=lambda: defaultdict(Served))

    @property
    def client(self) -> httpx.Client:
        return _client(self.ca_file, self.server_name)

    def headers(self, kind: str = "inference") -> dict[str, str]:
        """Whom a request is for and who asks. No authorization at all where there is no token: an empty one is
        malformed."""
        token = self.tokens.token(kind)
        return ({"Host": self.server_name} if self.server_name else {}) | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )

    @property
    def extensions(self) -> dict[str, str]:
        """Of a request, for httpx."""
        return {"sni_hostname": self.server_name} if self.server_name else {}


class Fleet:
    """Hosts that stay as they are.

    Parameters
    ----------
    hosts
        All of them.
    """

    def __init__(self, hosts: Sequence[Host] = ()) -> None:
        self._hosts = tuple(hosts)
        self._paces: defaultdict[Version, Pace] = defaultdict(Pace)
        self._lock = threading.Lock()

    def hosts(self) -> tuple[Host, ...]:
        """Those of this moment."""
        return self._hosts

    def pace(self, version: Version) -> Pace:
        with self._lock:
            return self._paces[version]

    def note(self, host: Host, version: Version, said: Said, reason: str = "") -> None:
        """Keep what came of a call. Called in the call's own thread, after the answer is on its way."""


@lru_cache(maxsize=32)
def _client(ca_file: str, server_name: str) -> httpx.Client:
    """One for all hosts that the same authorities vouch for, and whose certificates name the same server: a connection
    that was made in one name must not serve another. Not to be called before a process forks.

    A proxy in the environment must not see pixels; that would also leave out `SSL_CERT_FILE`, which counts here.
    """
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())
    if ca_file:
        trusted.load_verify_locations(ca_file)
    return httpx.Client(
        verify=trusted,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=60),
    )
