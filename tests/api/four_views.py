"""A mammography exam of four views, and what tests ask of a hospital that posts it."""

from __future__ import annotations

from typing import Any

from django.test import Client

from cad_platform.core.models import OutboxEvent
from tests import factories
from tests.posted_files import Hospital, dicom

VIEWS = [("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO")]


def views() -> dict[str, bytes]:
    return {
        f"{side}{view}.dcm": dicom(place, ImageLaterality=side, ViewPosition=view)
        for place, (side, view) in enumerate(VIEWS)
    }


def statuses(answer: Any) -> list[str]:
    return [each["status"] for each in answer.json()["files"]]


def completed() -> int:
    return OutboxEvent.objects.filter(topic="study.complete").count()


def browser(role: str, hospital: Hospital) -> Client:
    client = Client()
    client.force_login(factories.user(role, hospital.site))
    return client
