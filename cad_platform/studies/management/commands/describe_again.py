"""`manage.py describe_again`: describe the images of earlier versions as this one does."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from cad_platform.core.actor import Actor
from cad_platform.studies.describing_again import describe_again


class Command(BaseCommand):
    help = (
        "Reads the files of images that an earlier version took in again, all at once: kind, view modifiers, sides and "
        "contradictions, orientation, scale, parts of slides. Housekeeping does the same in slices. A study "
        "in which anything that counts is different becomes a new version and is analysed again. Safe to repeat and to "
        "stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        studies = changed = unread = 0
        for outcome in describe_again(Actor.system("describe_again")):
            studies += 1
            changed += outcome.changed
            unread += outcome.unread
        self.stdout.write(f"{studies} studies described again, {changed} of them changed")
        if unread:
            self.stdout.write(f"{unread} images could not be read and stay as they are")
