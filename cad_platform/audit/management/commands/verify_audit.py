"""`manage.py verify_audit`: recompute the audit chain and name what does not hold."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cad_platform.audit import chain, roots
from cad_platform.core.numbers import LONG_DIGITS, whole_number


def _anchor(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    sequence = whole_number(number, digits=LONG_DIGITS)
    if sequence is None or len(digest) != 64:
        raise ArgumentTypeError("an anchor looks like 1234:<64 hex digits>, as this command prints it")
    return sequence, digest


class Command(BaseCommand):
    help = "Recomputes the audit chain. Exit code 1 when a row was altered, is missing or is not sealed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--anchor",
            type=_anchor,
            metavar="SEQUENCE:HASH",
            help="a link noted earlier; shows that the end of the log was not cut off",
        )
        parser.add_argument(
            "--unsealed-limit",
            type=int,
            default=int(chain.UNSEALED_LIMIT.total_seconds()),
            metavar="SECONDS",
            help="how long an event may be without a link (default %(default)s)",
        )
        parser.add_argument(
            "--full",
            action="store_true",
            help="recompute the closed months as well, whose roots are believed otherwise, as the platform does each "
            "day; a million events take minutes",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = timedelta(seconds=options["unsealed_limit"])
        if options["full"]:
            found = chain.verify(anchor=options["anchor"], unsealed_limit=limit)
            roots.check_roots(found)
        else:
            found = roots.verify_open(anchor=options["anchor"], unsealed_limit=limit)
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "intact": found.intact,
                        "events": found.events,
                        "unsealed": found.unsealed,
                        "anchor": f"{found.head_sequence}:{found.head_hash}",
                        "problem_count": found.problem_count,
                        "problems": [vars(problem) for problem in found.problems],
                    }
                )
            )
        else:
            for problem in found.problems:
                self.stderr.write(f"{problem.kind}: {problem.message}")
            if found.problem_count > len(found.problems):
                self.stderr.write(f"… and {found.problem_count - len(found.problems)} more")
            self.stdout.write(
                f"{found.events} events sealed, {found.unsealed} waiting; "
                f"anchor {found.head_sequence}:{found.head_hash}"
            )
        if not found.intact:
            raise CommandError(
                f"The audit log does not hold: {found.problem_count} problem(s).", returncode=1
            )
        if not options["json"]:
            self.stdout.write("The chain is intact.")
