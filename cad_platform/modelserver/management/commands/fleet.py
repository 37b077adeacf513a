"""`manage.py fleet`: the model servers as they are now; add, drain, resume and remove one."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.modelserver import selectors, services
from cad_platform.modelserver.models import HostedVersion


class Command(BaseCommand):
    help = "Shows the model servers; adds, drains, resumes or removes one. Nothing restarts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        steps.add_parser("list", help="every host, its state and its versions")
        add = steps.add_parser("add", help="take a host into the fleet")
        add.add_argument("url", help="its inference address")
        add.add_argument("--name", default="", help="what it is called (its address)")
        add.add_argument("--management-url", default="", help="its management address")
        add.add_argument("--key-file", default="", help="its token file or TorchServe's own key file")
        add.add_argument("--ca-file", default="", help="certificates of the hospital's own authority")
        add.add_argument(
            "--server-name", default="", help="whom its certificate names, for an address of numbers"
        )
        for step, words in (
            ("drain", "give a host no new work"),
            ("resume", "give it work again"),
            ("remove", "take a host that was added out of the fleet"),
        ):
            steps.add_parser(step, help=words).add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = Actor.system("fleet")
        try:
            if options["step"] == "list":
                self._list(actor)
            elif options["step"] == "add":
                names = ("name", "management_url", "key_file", "ca_file", "server_name")
                host = services.add_host(actor, options["url"], **{name: options[name] for name in names})
                self.stdout.write(f"{host.name} is part of the fleet")
            else:
                host = selectors.host_named(actor, options["name"])
                {"drain": services.drain, "resume": services.resume, "remove": services.remove_host}[
                    options["step"]
                ](actor, host)
                done = {"drain": "is given no new work", "resume": "is given work", "remove": "is taken out"}
                self.stdout.write(f"{options['name']} {done[options['step']]}")
        except PlatformError as error:
            raise CommandError(error.detail) from error

    def _list(self, actor: Actor) -> None:
        for found in selectors.fleet_of(actor):
            why = f" ({found.reason})" if found.reason else ""
            device = f"  {found.host.device}" if found.host.device else ""
            self.stdout.write(f"{found.host.name}  {found.state.value}{why}{device}")
            for version in found.versions:
                self.stdout.write(f"  {_line(version)}")


def _line(found: HostedVersion) -> str:
    if found.is_loaded is False:
        return f"{found}  not loaded"
    words = [str(found), "resting" if found.is_resting else "answers", f"{found.calls} calls"]
    if found.failures:
        words.append(f"{found.failures} failures")
    if found.p99_ms is not None:
        words.append(f"p99 {found.p99_ms:.0f} ms")
    if found.workers is not None:
        words.append(f"{found.ready_workers} of {found.workers} workers ready")
    return "  ".join(words)
