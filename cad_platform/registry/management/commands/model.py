"""`bin/manage model …`: a version's life by the command line. What needs two people names two people: the command runs
as whoever has the shell, and approves in a person's name only with that person's password."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.accounts.at_the_shell import person
from cad_platform.accounts.models import Site
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.registry import evidence, importing, lifecycle, routes, selectors, switching, verification
from cad_platform.registry.models import Approval, ModelRoute, ModelVersion, Verification
from cad_platform.registry.services import Refused

_ACTOR = Actor.system("model")


class Command(BaseCommand):
    help = "Imports, verifies, approves, routes and retires model versions; nothing restarts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        steps.add_parser("list", help="every version, its state and what it analyses")
        self._of_version(
            steps, "show", "where a version stands: examination, approvals, routes, what is missing"
        )
        steps.add_parser("import", help="a packed version (ZIP)").add_argument("file", type=Path)
        self._of_version(steps, "verify", "examine it now")
        approve = self._of_version(steps, "approve", "one person's yes, with that person's password")
        approve.add_argument("--user", required=True)
        approve.add_argument("--reason", required=True)
        approve.add_argument("--change-class", default="", choices=["", *Approval.ChangeClass.values])
        for field in lifecycle.PLAN_FIELDS:
            approve.add_argument(f"--{field}", default="")
        route = self._of_version(steps, "route", "have it analyse studies")
        route.add_argument("kind", choices=["default", "canary", "shadow", "end"])
        route.add_argument("--site", default="", help="a site's code; every site where left out")
        route.add_argument("--percent", type=int, help="of the patients, of a canary")
        route.add_argument("--reason", default="")
        self._of_version(steps, "retire", "take it out of service for good").add_argument(
            "--reason", required=True
        )
        back = steps.add_parser("rollback", help="the default before the present one")
        back.add_argument("name")
        back.add_argument("--reason", default="")

    def _of_version(self, steps: Any, step: str, words: str) -> ArgumentParser:
        parser: ArgumentParser = steps.add_parser(step, help=words)
        parser.add_argument("name")
        parser.add_argument("model_version", metavar="version")
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            said = getattr(self, f"_{options['step']}")(options)
        except (PlatformError, Refused) as error:
            detail = error.detail if isinstance(error, PlatformError) else str(error)
            reasons = [f"- {each.field}: {each.reason}" for each in getattr(error, "errors", ())]
            raise CommandError("\n".join([detail, *reasons])) from error
        self.stdout.write(said)

    def _list(self, options: Any) -> str:
        found = selectors.newest_first(selectors.versions(_ACTOR))
        by_version: dict[int, list[str]] = {}
        for each in routes.routes(_ACTOR):
            by_version.setdefault(each.version_id, []).append(f"{each.kind} {_extent(each)}")
        lines = []
        for version in found:
            use = [*(["default"] if version.is_default else []), *by_version.get(version.pk, [])]
            lines.append(f"{version}  {version.state}  {', '.join(use) or '-'}")
        return "\n".join(lines)

    def _show(self, options: Any) -> str:
        version = self._version(options)
        default = selectors.other_default(version)
        lines = [f"{version}  {version.state}{'  default' if version.is_default else ''}"]
        if version.came_with_installation:
            lines.append("came with the installation")
        seen = verification.latest(version)
        if seen is not None:
            lines += [f"examined {seen.requested_at:%Y-%m-%d %H:%M}: {seen.state}", *_checks(seen)]
        for yes in version.approvals.select_related("by"):
            plan = "; ".join(f"{field}: {getattr(yes, field)}" for field in lifecycle.PLAN_FIELDS)
            lines.append(
                f"approved by {yes.by.printed_name} ({yes.role}) {yes.at:%Y-%m-%d %H:%M}, {yes.change_class}: "
                f"{yes.reason}; {plan}"
            )
        for each in routes.routes(_ACTOR, version.name):
            if each.version_id == version.pk:
                lines.append(f"{each.kind} {_extent(each)} since {each.since:%Y-%m-%d %H:%M}")
        if default is not None and not version.came_with_installation:
            lines += [
                f"before it may replace {default}: {each}" for each in evidence.missing(version, default)
            ]
        return "\n".join(lines)

    def _import(self, options: Any) -> str:
        return f"{importing.import_packed(_ACTOR, options['file'])} is uploaded"

    def _verify(self, options: Any) -> str:
        version = self._version(options)
        asked = verification.request(_ACTOR, version)
        state = verification.run(asked.pk)
        asked.refresh_from_db()
        said = "\n".join(_checks(asked))
        if state != "passed":
            raise CommandError(f"{said}\n{version} is not verified")
        return f"{said}\n{version} is verified"

    def _approve(self, options: Any) -> str:
        actor = person(options["user"])
        plan = {field: options[field] for field in lifecycle.PLAN_FIELDS}
        version = lifecycle.approve(
            actor, self._version(options), reason=options["reason"],
            change_class=options["change_class"], **plan,
        )  # fmt: skip
        second = (
            "" if version.state == ModelVersion.State.APPROVED else "; another person has to approve it too"
        )
        return f"{version} is {version.state}{second}"

    def _route(self, options: Any) -> str:
        version, site = self._version(options), self._site(options["site"])
        if options["kind"] == "end":
            ended = [
                each
                for each in routes.routes(_ACTOR, version.name)
                if each.version_id == version.pk and each.site == site
            ]
            for each in ended:
                routes.end_route(_ACTOR, each, options["reason"])
            return f"{len(ended)} routes of {version} are ended"
        if options["kind"] == ModelRoute.Kind.DEFAULT and site is None:
            switch = switching.make_default(_ACTOR, version, options["reason"])
            return f"{switch.version} is the default" + (
                f", before it {switch.previous.version}" if switch.previous else ""
            )
        made = routes.set_route(
            _ACTOR, version, options["kind"], site=site, percent=options["percent"], reason=options["reason"]
        )
        return f"{version} is {made.kind}"

    def _retire(self, options: Any) -> str:
        return f"{lifecycle.retire(_ACTOR, self._version(options), options['reason'])} is retired"

    def _rollback(self, options: Any) -> str:
        switch = switching.roll_back(_ACTOR, self._default(options["name"]), options["reason"])
        return f"{switch.version} is the default again, before it {switch.previous.version if switch.previous else '-'}"

    def _version(self, options: Any) -> ModelVersion:
        return selectors.version_named(_ACTOR, options["name"], options["model_version"])

    def _default(self, name: str) -> ModelVersion:
        found = next((each for each in selectors.versions(_ACTOR).filter(name=name) if each.is_default), None)
        if found is None:
            raise CommandError(f"No version of {name} is the default.")
        return found

    def _site(self, code: str) -> Site | None:
        if not code:
            return None
        site = Site.objects.filter(code=code).first()
        if site is None:
            raise CommandError(f"There is no site {code}.")
        return site


def _checks(seen: Verification) -> list[str]:
    return [f"{'ok ' if each['passed'] else 'NOT'} {each['check']}: {each['said']}" for each in seen.checks]


def _extent(route: ModelRoute) -> str:
    share = f"{route.percent} % " if route.percent else ""
    return f"{share}at {route.site.code if route.site else 'every site'}"
