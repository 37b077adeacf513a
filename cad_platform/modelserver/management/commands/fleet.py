"""`manage.py fleet`: the model servers as they are now; add, drain, resume and remove one; which versions it has."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.modelserver import loading, selectors, services
from cad_platform.modelserver.hosts import Version
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.states import Drained

_LOOK_SECONDS = 2.0
#: Step → what it does, what it says when it is done.
_OF_HOSTS: dict[str, tuple[Callable[[Actor, ModelHost], None], str, str]] = {
    "drain": (services.drain, "give a host no new work", "is given no new work"),
    "resume": (services.resume, "give it work again", "is given work"),
    "remove": (services.remove_host, "take a host that was added out of the fleet", "is taken out"),
}
_OF_VERSIONS: dict[str, tuple[Callable[[Actor, ModelHost, Version], None], str, str]] = {
    "default": (
        loading.make_default,
        "whom the host asks where no version is named",
        "is the host's default",
    ),
    "restart": (
        loading.restart_workers,
        "stop its workers and start as many anew",
        "starts its workers again",
    ),
    "unregister": (loading.unregister, "have the host forget it", "is forgotten there"),
}


class Command(BaseCommand):
    help = "Shows the model servers; adds, drains, resumes or removes one, and says what it loads. Nothing restarts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        steps.add_parser("list", help="every host, its state and its versions")
        add = steps.add_parser("add", help="take a host into the fleet")
        add.add_argument("url", help="its inference address")
        add.add_argument("--name", default="", help="what it is called (its address)")
        add.add_argument("--management-url", default="", help="its management address")
        add.add_argument(
            "--protocol",
            choices=ModelHost.Protocol.values,
            default=ModelHost.Protocol.TORCHSERVE.value,
            help="how it is asked",
        )
        add.add_argument("--metrics-url", default="", help="the address of its counters")
        add.add_argument("--key-file", default="", help="its token file or TorchServe's own key file")
        add.add_argument("--ca-file", default="", help="certificates of the hospital's own authority")
        add.add_argument(
            "--server-name", default="", help="whom its certificate names, for an address of numbers"
        )
        for step, (_, words, _) in _OF_HOSTS.items():
            of_host = steps.add_parser(step, help=words)
            of_host.add_argument("name")
            if step == "drain":
                of_host.add_argument(
                    "--wait",
                    type=float,
                    metavar="SECONDS",
                    help="until nothing is in flight there; else it fails",
                )
        for step, words in (
            *((step, words) for step, (_, words, _) in _OF_VERSIONS.items()),
            ("register", "have the host load a version from its own model store"),
            ("scale", "the number of its workers"),
        ):
            of_version = steps.add_parser(step, help=words)
            for argument in ("name", "model", "version"):
                of_version.add_argument(argument)
            if step == "register":
                of_version.add_argument("--workers", type=int, default=1)
            if step == "scale":
                of_version.add_argument("--min", type=int, required=True, dest="minimum")
                of_version.add_argument("--max", type=int, required=True, dest="maximum")

    def handle(self, *args: Any, **options: Any) -> None:
        actor, step = Actor.system("fleet"), options["step"]
        try:
            if step == "list":
                self._list(actor)
            elif step == "add":
                names = (
                    "protocol",
                    "name",
                    "management_url",
                    "metrics_url",
                    "key_file",
                    "ca_file",
                    "server_name",
                )
                host = services.add_host(actor, options["url"], **{name: options[name] for name in names})
                self.stdout.write(f"{host.name} is part of the fleet")
            elif step in _OF_HOSTS:
                host = selectors.host_named(actor, options["name"])
                do, _, done = _OF_HOSTS[step]
                do(actor, host)
                self.stdout.write(f"{options['name']} {done}")
                if step == "drain" and options["wait"] is not None:
                    self._wait_until_drained(actor, host, options["wait"])
            else:
                self._of_version(actor, step, options)
        except PlatformError as error:
            raise CommandError(error.detail) from error

    def _of_version(self, actor: Actor, step: str, options: dict[str, Any]) -> None:
        host = selectors.host_named(actor, options["name"])
        version = Version(options["model"], options["version"])
        if step == "register":
            loading.register(actor, host, version, options["workers"])
            done = "is being loaded"
        elif step == "scale":
            loading.scale(actor, host, version, options["minimum"], options["maximum"])
            done = "is being scaled"
        else:
            do, _, done = _OF_VERSIONS[step]
            do(actor, host, version)
        self.stdout.write(f"{version} on {host.name} {done}")

    def _wait_until_drained(self, actor: Actor, host: ModelHost, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            found = next((each for each in selectors.fleet_of(actor) if each.host.pk == host.pk), None)
            if found is None or found.drained is None:
                raise CommandError(f"{host.name} does not drain any more")
            if found.drained.is_done:
                self.stdout.write(f"{host.name}: {_drained(found.drained)}")
                return
            if time.monotonic() >= end:
                raise CommandError(f"{host.name}: {_drained(found.drained)}")
            time.sleep(min(_LOOK_SECONDS, max(0.0, end - time.monotonic())))

    def _list(self, actor: Actor) -> None:
        for found in selectors.fleet_of(actor):
            host = found.host
            words = [host.name, found.state.value + (f" ({found.reason})" if found.reason else "")]
            if host.device:
                words.append(host.device)
            if host.memory_used_mb is not None:
                total = "" if host.memory_total_mb is None else f" of {host.memory_total_mb}"
                words.append(f"{host.memory_used_mb}{total} MB used")
            if found.drained is not None:
                words.append(_drained(found.drained))
            self.stdout.write("  ".join(words))
            for version in host.versions.all():
                self.stdout.write(f"  {_line(version)}")


def _drained(found: Drained) -> str:
    since = "" if found.since is None else f" since {found.since:%H:%M:%S} UTC"
    if found.by_counters:
        return f"nothing in flight{since}, by its counters" if found.is_done else "something may be in flight"
    return (
        "nothing of the platform in flight; its counters cannot be read"
        if found.is_done
        else "calls may be in flight"
    )


def _line(found: HostedVersion) -> str:
    if found.is_loaded is False:
        return f"{found}  not loaded"
    answers = (
        "wrong answers, no work" if found.is_right is False else "resting" if found.is_resting else "answers"
    )
    words = [str(found), answers, f"{found.calls} calls"]
    if found.failures:
        words.append(f"{found.failures} failures")
    if found.p99_ms is not None:
        words.append(f"p99 {found.p99_ms:.0f} ms")
    if found.workers is not None:
        words.append(f"{found.ready_workers} of {found.workers} workers ready")
    if found.pending:
        words.append(f"{found.pending} waiting")
    if found.is_default:
        words.append("the host's default")
    return "  ".join(words)
