"""Containers of one release, without containers: their files laid out, their own commands, production settings."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import yaml

from embedded.state import REPOSITORY
from tests.dockerfile import Image

NAME, PROXY, CLIENT = "cad.example", "127.0.0.2", "127.0.0.3"
_COMPOSE = REPOSITORY / "docker" / "compose.yaml"
_FILLED_IN = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


class Deployment:
    """Containers of one release, without containers: compose's environment, but for what lies elsewhere here."""

    def __init__(self, image: Image, state: Path, environment: dict[str, str] | None = None) -> None:
        self.image, self.state = image, state
        self.port, self.tls_port = free_port(), free_port(PROXY)
        self.python = str(image.path(".venv/bin/python"))
        self.settings = (compose_environment("web") if environment is None else environment) | {
            "CAD_SECRET_KEY": os.environ["CAD_SECRET_KEY"],
            "DATABASE_URL": os.environ["DATABASE_URL"],
            "CAD_BROKER_URL": os.environ["CAD_BROKER_URL"],
            "CAD_MODEL_SERVER": "inprocess",
            "CAD_STATE_DIR": str(state),
            "PATH": f"{image.path('.venv/bin')}:{os.defpath}",
        }
        self.stack = ExitStack()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def manage(self, *arguments: str, **more: str) -> str:
        done = self.image.run(
            self.python, "-W", "ignore", "manage.py", *arguments, check=False, **(self.settings | more)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, name: str, command: list[str], **more: str) -> subprocess.Popen[bytes]:
        log = self.stack.enter_context((self.state / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command,
            cwd=self.image.path("."),
            env=self.image.environment_here() | self.settings | more,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.stack.callback(end, process)
        self.processes[name] = process
        return process

    def browser(self) -> httpx.Client:
        """A caller from an address of its own, who believes the proxy's certificate."""
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        transport = httpx.HTTPTransport(verify=trusting, local_address=CLIENT)
        return self.stack.enter_context(
            httpx.Client(
                base_url=f"https://{PROXY}:{self.tls_port}",
                headers={"Host": NAME, "Referer": f"https://{NAME}/"},
                transport=transport,
                timeout=120,
                follow_redirects=False,
            )
        )


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def until(what: Any, seconds: float = 180) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if said := what():
                return said
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.3)


def compose_service(name: str) -> dict[str, Any]:
    """A service of `docker/compose.yaml`."""
    service: dict[str, Any] = yaml.safe_load(_COMPOSE.read_text())["services"][name]
    return service


def command_of(service: str) -> list[str]:
    """What compose starts, as it hands it over."""
    return [str(part).replace("$$", "$") for part in compose_service(service)["command"]]


def compose_environment(service: str) -> dict[str, str]:
    """What compose gives a service, filled in from an `.env` that says what must be said and the names of here."""
    said = {"CAD_ALLOWED_HOSTS": NAME, "CAD_TRUSTED_PROXIES": PROXY}

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        return said.get(name, default if kind == "-" else f"the {name} of .env")

    given = compose_service(service)["environment"]
    return {name: _FILLED_IN.sub(value, str(text)) for name, text in given.items()}


def start_web(deployment: Deployment, name: str = "web") -> subprocess.Popen[bytes]:
    """The web server by its image's own command, ready by its own probe."""
    command = [str(deployment.port) if part == "8000" else part for part in deployment.image.command]
    process = deployment.start(name, command)
    _cmd, *probe = compose_service("web")["healthcheck"]["test"]
    with_port = deployment.settings | {"CAD_PORT": str(deployment.port)}
    until(lambda: deployment.image.run(*probe, check=False, **with_port).returncode == 0)
    return process


def installed(deployment: Deployment) -> str:
    """A web server, and the first people by the installer; the one-time password."""
    deployment.manage("wait_for_migrations", "--seconds", "5")
    deployment.manage(
        *("install", "--site-code", "riverside", "--site-name", "Riverside", "--administrator", "root.admin"),
        *("--password-file", str(deployment.state / "password")),
    )
    start_web(deployment)
    return (deployment.state / "password").read_text().strip()
