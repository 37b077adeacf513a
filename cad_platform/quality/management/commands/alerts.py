"""`bin/manage alerts …`: what is beyond a threshold and who took it on, and the rules that say from which value on."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.accounts.at_the_shell import person
from cad_platform.accounts.models import User
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.quality import selectors, services
from cad_platform.quality.models import Alert, AlertRule, Measure

_ACTOR = Actor.system("alerts")
#: In the place of an owner's name: nobody in particular.
_EVERYBODY = "everybody"


class Command(BaseCommand):
    help = "Lists alerts, takes one on with a note, and lists and changes the rules that raise them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        shown = steps.add_parser("list", help="the alerts that go on")
        shown.add_argument("--ended", action="store_true", help="those that ended instead")
        shown.add_argument("--most", type=int, default=50, help="at most so many (50)")
        taken = steps.add_parser(
            "acknowledge", help="take an alert on, in a person's name, or change its note"
        )
        taken.add_argument("id", type=uuid.UUID)
        taken.add_argument("--user", required=True, help="who takes it on; asks for the password")
        taken.add_argument("--note", default="", help="what came of it; names no patient")
        steps.add_parser("rules", help="every rule, its threshold and who is in charge")
        rule = steps.add_parser("set", help="change a rule; what is left out stays")
        rule.add_argument("measure", choices=Measure.values)
        rule.add_argument("--threshold", type=float)
        rule.add_argument("--owner", help=f"an administrator's name, or {_EVERYBODY}")
        rule.add_argument("--watched", choices=["yes", "no"])

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(getattr(self, f"_{options['step']}")(options))
        except PlatformError as error:
            reasons = [f"- {each.field}: {each.reason}" for each in getattr(error, "errors", ())]
            raise CommandError("\n".join([error.detail, *reasons])) from error

    def _list(self, options: Any) -> str:
        found = selectors.alerts(_ACTOR, standing=not options["ended"])[: options["most"]]
        return "\n".join(map(_alert, found)) or "There is none."

    def _acknowledge(self, options: Any) -> str:
        actor = person(options["user"])
        return _alert(selectors.alert(actor, services.acknowledge(actor, options["id"], options["note"]).pk))

    def _rules(self, options: Any) -> str:
        return "\n".join(map(_rule, selectors.rules(_ACTOR)))

    def _set(self, options: Any) -> str:
        rule = selectors.rules(_ACTOR).filter(measure=options["measure"]).first()
        if rule is None:
            raise CommandError("There is no such rule.")
        threshold, watched = options["threshold"], options["watched"]
        made = services.change_rule(
            _ACTOR, rule.measure,
            threshold=rule.threshold if threshold is None else threshold,
            owner=rule.owner if options["owner"] is None else _owner(options["owner"]),
            is_on=rule.is_on if watched is None else watched == "yes",
        )  # fmt: skip
        return _rule(made)


def _owner(name: str) -> User | None:
    return selectors.owner_named(_ACTOR, None if name == _EVERYBODY else name)


def _alert(alert: Alert) -> str:
    site = alert.site.code if alert.site else "every site"
    place = f"{site}, {alert.device}" if alert.device else site
    until = f" until {alert.ended_at:%Y-%m-%d %H:%M}" if alert.ended_at else ""
    taken = f"taken on by {alert.acknowledged_by.printed_name}" if alert.acknowledged_by else "not taken on"
    note = f": {alert.note}" if alert.note else ""
    return (
        f"{alert.pk}  {alert.rule.measure}  {alert.model_version} at {place}  {alert.value:g} (from "
        f"{alert.threshold:g})  since {alert.raised_at:%Y-%m-%d %H:%M}{until}  {taken}{note}"
    )


def _rule(rule: AlertRule) -> str:
    owner = rule.owner.username if rule.owner else _EVERYBODY
    return f"{rule.measure}  from {rule.threshold:g}  {owner}  {'watched' if rule.is_on else 'not watched'}"
