"""Images over HTTP: to whoever may see them, nothing to anybody else, and a record of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Site, User
from cad_platform.analysis.models import Artefact
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.studies import opening, storage
from cad_platform.studies.models import Instance
from tests import factories
from tests.api.stored_images import address, body, png, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("private_cache")]

FORMS = ["image-metadata", "image-pixels", "image-thumbnail", "image-rendered", "image-file"]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.RADIOLOGIST, 200),
        (Role.PATHOLOGIST, 200),
        (Role.SONOGRAPHER, 200),
        (Role.INTEGRATOR, 200),
        (Role.ADMINISTRATOR, 403),
    ],
)
def test_clinicians_see_images_and_administrators_do_not(
    clinic: Site, film: Instance, name: str, role: str, status: int
) -> None:
    assert signed_in(factories.user(role, clinic)).get(address(name, film)).status_code == status


@pytest.mark.parametrize("name", [*FORMS, "image-dzi"])
def test_another_sites_image_does_not_exist(film: Instance, slide: Instance, name: str) -> None:
    stranger = signed_in(factories.user(Role.RADIOLOGIST))
    response = stranger.get(address(name, slide if name == "image-dzi" else film))
    assert response.status_code == 404
    assert "film" not in json.dumps(response.json())


@pytest.mark.parametrize("name", FORMS)
def test_nobody_sees_an_image_without_signing_in(film: Instance, name: str) -> None:
    assert Client().get(address(name, film)).status_code == 401


def bearer(user: User, *scopes: str) -> dict[str, str]:
    _, plaintext = tokens.issue(
        Actor.system("test"), user, name="t", scopes=scopes, expires_at=timezone.now() + timedelta(days=1)
    )
    return {"Authorization": f"Bearer {plaintext}"}


def test_a_token_needs_the_scope_to_read(clinic: Site, film: Instance) -> None:
    integrator = factories.user(Role.INTEGRATOR, clinic)
    pixel_address = address("image-pixels", film)
    assert Client().get(pixel_address, headers=bearer(integrator, "studies:read")).status_code == 200
    assert Client().get(pixel_address, headers=bearer(integrator, "studies:write")).status_code == 403


def test_a_heat_map_is_as_private_as_its_image(
    browser: Client, clinic: Site, film: Instance, tmp_path: Path
) -> None:
    with transaction.atomic():
        file = storage.store_bytes(png(np.full((30, 40), 9, np.uint8)), "image/png")
    job = factories.succeeded_job(film.series.study)
    artefact = Artefact.objects.create(job=job, instance=film, kind="heatmap", file=file)
    path = reverse("artefact", args=[artefact.pk])
    response = browser.get(path)
    assert (response.status_code, response["Content-Type"]) == (200, "image/png")
    assert body(response)[:4] == b"\x89PNG"
    assert signed_in(factories.user(Role.RADIOLOGIST)).get(path).status_code == 404
    assert signed_in(factories.user(Role.ADMINISTRATOR)).get(path).status_code == 403
    assert Client().get(path).status_code == 401


# --- who is recorded -----------------------------------------------------------------------------------


def views(instance: Instance, action: str = "image.view") -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action, object_id=str(instance.pk)))


def test_looking_at_an_image_is_recorded_once_however_many_parts_are_loaded(
    browser: Client, radiologist: User, film: Instance
) -> None:
    for name in ("image-thumbnail", "image-metadata", "image-pixels", "image-pixels", "image-rendered"):
        browser.get(address(name, film))
    (event,) = views(film)
    assert event.actor == radiologist
    assert event.detail == {"study": str(film.series.study_id)}


def test_each_person_is_recorded(browser: Client, clinic: Site, film: Instance) -> None:
    browser.get(address("image-pixels", film))
    signed_in(factories.user(Role.SONOGRAPHER, clinic)).get(address("image-pixels", film))
    assert len(views(film)) == 2


def test_a_person_who_looks_again_later_is_recorded_again(
    browser: Client, film: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.get(address("image-pixels", film))
    monkeypatch.setattr(opening._recent_views, "seconds", 0.0)
    browser.get(address("image-pixels", film))
    assert len(views(film)) == 2


def test_even_an_unchanged_answer_is_a_view(browser: Client, clinic: Site, film: Instance) -> None:
    tag = browser.get(address("image-pixels", film))["ETag"]
    other = signed_in(factories.user(Role.SONOGRAPHER, clinic))
    assert other.get(address("image-pixels", film), headers={"If-None-Match": tag}).status_code == 304
    assert len(views(film)) == 2


def test_every_download_of_the_original_is_recorded(browser: Client, film: Instance) -> None:
    browser.get(address("image-file", film))
    browser.get(address("image-file", film))
    assert len(views(film, "image.download")) == 2


def test_a_refusal_shows_no_view(film: Instance) -> None:
    signed_in(factories.user(Role.RADIOLOGIST)).get(address("image-pixels", film))
    assert views(film) == []
