"""`bin/manage webhooks …`: where sites are told of what happens, what was sent there, and sending it again."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.delivery import selectors, services
from cad_platform.delivery.models import Delivery, Event, Webhook

_ACTOR = Actor.system("webhooks")
_EVENTS = ", ".join(Event.values)


class Command(BaseCommand):
    help = "Lists, adds, pauses, resumes and removes webhooks, shows what was sent to one and sends it again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        steps.add_parser("list", help="every webhook, what waits and what was given up")
        add = steps.add_parser("add", help="tell a site's events to an address; prints its secret this once")
        add.add_argument("site", help="the site's code")
        add.add_argument("url", help="https://…, or mailto:… for alerts")
        add.add_argument("events", nargs="+", choices=Event.values, metavar="event", help=_EVENTS)
        shown = self._of_webhook(steps, "show", "what was and is to be sent to one, every try")
        shown.add_argument("--most", type=int, default=50, help="at most so many events (50)")
        self._of_webhook(steps, "pause", "stop sending: what happens meanwhile waits")
        self._of_webhook(steps, "resume", "send what waited, and go on")
        self._of_webhook(steps, "remove", "tell it nothing any more, also not what waits")
        again = self._of_webhook(steps, "send-again", "send all that were given up, or one event")
        again.add_argument("--delivery", type=uuid.UUID, help="only this one, whatever became of it")

    def _of_webhook(self, steps: Any, step: str, words: str) -> ArgumentParser:
        parser: ArgumentParser = steps.add_parser(step, help=words)
        parser.add_argument("id", type=uuid.UUID)
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(getattr(self, f"_{options['step'].replace('-', '_')}")(options))
        except PlatformError as error:
            reasons = [f"- {each.field}: {each.reason}" for each in getattr(error, "errors", ())]
            raise CommandError("\n".join([error.detail, *reasons])) from error

    def _list(self, options: Any) -> str:
        return "\n".join(map(_told, selectors.webhooks(_ACTOR))) or "There is none."

    def _add(self, options: Any) -> str:
        site = selectors.sites(_ACTOR).filter(code=options["site"]).first()
        if site is None:
            raise CommandError(f"There is no site {options['site']}.")
        made, secret = services.add_webhook(_ACTOR, site=site, url=options["url"], events=options["events"])
        return f"{made.pk} is added. Its secret, which is not shown again: {secret}"

    def _show(self, options: Any) -> str:
        webhook = selectors.webhook(_ACTOR, options["id"])
        found = selectors.deliveries(_ACTOR, webhook)[: options["most"]]
        return "\n".join([_told(webhook), *(line for each in found for line in _sent(each))])

    def _pause(self, options: Any) -> str:
        return f"{services.set_paused(_ACTOR, options['id'], paused=True).pk} is paused: what happens waits"

    def _resume(self, options: Any) -> str:
        return (
            f"{services.set_paused(_ACTOR, options['id'], paused=False).pk} is resumed: what waited is sent"
        )

    def _remove(self, options: Any) -> str:
        services.remove(_ACTOR, options["id"])
        return f"{options['id']} is removed: what waited is not sent"

    def _send_again(self, options: Any) -> str:
        return f"{services.send_again(_ACTOR, options['id'], options['delivery'])} events are sent again"


def _told(webhook: Webhook) -> str:
    counts = f"{webhook.waiting} waiting, {webhook.dead} given up"  # type: ignore[attr-defined]
    last = webhook.last_delivered_at  # type: ignore[attr-defined]
    return (
        f"{webhook.pk}  {webhook.site.code}  {webhook.url}  {', '.join(webhook.topics)}  "
        f"{'paused' if webhook.paused_at else 'active'}  {counts}, last delivered "
        f"{f'{last:%Y-%m-%d %H:%M}' if last else 'never'}"
    )


def _sent(delivery: Delivery) -> list[str]:
    lines = [f"{delivery.pk}  {delivery.event}  {delivery.occurred_at:%Y-%m-%d %H:%M:%S}  {delivery.state}"]
    lines += [
        f"  {each.at:%Y-%m-%d %H:%M:%S}  {each.status or '-'}  {each.error or 'taken'}"
        for each in delivery.tries.all()
    ]
    return lines
