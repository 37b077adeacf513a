"""How a reader left images and stage: kept by reader and image, given back with the case, and nobody else's."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cad_platform.accounts.models import Role, User
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, PlatformError
from cad_platform.reading import view_keeping
from cad_platform.reading.models import Annotation, ReadingView
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.services import withdraw
from tests import factories as make

pytestmark = pytest.mark.django_db
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
IMAGE = {"window": {"center": 400.5, "width": 80, "function": "LINEAR"}, "zoom": 2.5, "centre": [200, 300.5]}
STAGE = {"together": False, "shown": ["a"], "active": "a", "tool": "length", "linked": True}


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def image(reader: Actor) -> Instance:
    return make.instance(make.study(reader.user.site))


@pytest.fixture
def study(image: Instance) -> Study:
    return image.series.study


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user, BACKEND)
    return client


def described(client: Client, study: Study) -> dict[str, Any]:
    html = client.get(reverse("case", args=[study.study_instance_uid])).content.decode()
    return dict(json.loads(html.split('id="case-json" type="application/json">')[1].split("</script>")[0]))


def addresses(image: Instance) -> list[tuple[str, dict[str, str]]]:
    """Every endpoint with what it takes."""
    uid = image.series.study.study_instance_uid
    drawn = {"image": str(image.pk), "kind": "length", "points": [[1, 1], [5, 5]], "revision": 1}
    return [
        (reverse("stage-view", args=[uid]), {"state": json.dumps(STAGE)}),
        (reverse("image-view", args=[uid, image.pk]), {"state": json.dumps(IMAGE)}),
        (reverse("annotation", args=[uid, uuid.uuid4()]), {"state": json.dumps(drawn)}),
        (reverse("annotation-report", args=[uid, uuid.uuid4()]), {"in_report": "1"}),
    ]


def test_a_case_opens_as_its_reader_left_it_and_as_no_one_else_did(
    reader: Actor, study: Study, image: Instance
) -> None:
    client = client_of(reader.user)
    for address, fields in addresses(image)[:2]:
        assert client.post(address, fields).json() == {"kept": True}
    kept = described(client, study)["kept"]
    assert kept["stage"]["tool"] == "length"
    assert kept["stage"]["together"] is False
    assert kept["images"][str(image.pk)]["zoom"] == 2.5
    assert kept["images"][str(image.pk)]["centre"] == [200, 300.5]
    colleague = make.user(Role.RADIOLOGIST, reader.user.site)
    assert described(client_of(colleague), study)["kept"] == {"stage": None, "images": {}}


def test_a_length_is_kept_listed_and_told_to_the_viewers(
    reader: Actor, study: Study, image: Instance
) -> None:
    client = client_of(reader.user)
    address, fields = addresses(image)[2]
    assert client.post(address, fields).json()["revision"] == 1
    html = client.get(reverse("case", args=[study.study_instance_uid])).content.decode()
    told = json.loads(html.split('id="annotations-json" type="application/json">')[1].split("</script>")[0])
    assert [(each["image"], each["points"]) for each in told] == [(str(image.pk), [[1, 1], [5, 5]])]
    assert 'data-do="remove"' in html and 'data-do="report"' in html


def test_the_newest_view_counts_and_is_one_row(reader: Actor, study: Study, image: Instance) -> None:
    for zoom in (2, 3, 4):
        view_keeping.keep_image(reader, study, image, json.dumps({"zoom": zoom, "centre": [1, 1]}))
    assert ReadingView.objects.count() == 1
    found = view_keeping.views_of(reader, study)
    assert found is not None and found.images[str(image.pk)].zoom == 4


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[]",
        "no json",
        '{"zoom": 0}',
        '{"zoom": 1e999}',
        '{"window": {"center": NaN, "width": 5, "function": "LINEAR"}}',
        '{"window": {"center": 1, "width": -5, "function": "LINEAR"}}',
        '{"frame": -1}',
        '{"note": "for later"}',
        json.dumps({"table": "t" * 101}),
        json.dumps(IMAGE) + " " * 9000,
    ],
)
def test_only_a_view_is_kept(reader: Actor, study: Study, image: Instance, state: str) -> None:
    with pytest.raises(Invalid):
        view_keeping.keep_image(reader, study, image, state)


def test_a_view_that_makes_no_sense_any_more_is_left_out(
    reader: Actor, study: Study, image: Instance
) -> None:
    view_keeping.keep_image(reader, study, image, json.dumps(IMAGE))
    ReadingView.objects.update(state={"magnification": 3})
    assert view_keeping.views_of(reader, study) == view_keeping.KeptViews(stage=None, images={})


def test_a_withdrawn_study_keeps_none_and_an_image_is_its_own_study_s(
    reader: Actor, study: Study, image: Instance
) -> None:
    other = make.instance(make.study(reader.user.site))
    with pytest.raises(Invalid):
        view_keeping.keep_image(reader, study, other, json.dumps(IMAGE))
    withdraw(reader, study, "wrong patient")
    study.refresh_from_db()
    with pytest.raises(Conflict):
        view_keeping.keep_stage(reader, study, json.dumps(STAGE))


def test_every_endpoint_asks_who_it_is(reader: Actor, image: Instance) -> None:
    at = reader.user.site
    for address, fields in addresses(image):
        assert client_of(make.user(Role.RADIOLOGIST, make.site())).post(address, fields).status_code == 404
        assert client_of(make.user(Role.INTEGRATOR, at)).post(address, fields).status_code == 403
        assert client_of(make.user(Role.ADMINISTRATOR)).post(address, fields).status_code in (403, 404)
        assert Client().post(address, fields).status_code == 302
        assert client_of(reader.user).get(address).status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(reader.user, BACKEND)
        assert strict.post(address, fields).status_code == 403
    assert not ReadingView.objects.exists() and not Annotation.objects.exists()


def test_a_view_is_no_event_of_the_audit_log(reader: Actor, study: Study, image: Instance) -> None:
    view_keeping.keep_image(reader, study, image, json.dumps(IMAGE))
    assert not AuditEvent.objects.exists()


def test_many_measurements_cost_no_more_queries_than_one(
    reader: Actor, study: Study, image: Instance
) -> None:
    client = client_of(reader.user)
    address = reverse("case", args=[study.study_instance_uid])

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert client.get(address).status_code == 200
        return len(asked)

    client.post(*addresses(image)[2])
    client.get(address)
    with_one = queries()
    for each in (image, make.instance(study), make.instance(study, "R")):
        for _ in range(4):
            client.post(*addresses(each)[2])
        client.post(*addresses(each)[1])
    client.get(address)
    assert queries() <= with_one


@pytest.mark.django_db(transaction=True)
def test_two_windows_at_once_leave_one_view(reader: Actor, study: Study, image: Instance) -> None:
    problems: list[Exception] = []
    together = threading.Barrier(6)

    def keep(zoom: int) -> None:
        try:
            together.wait()
            view_keeping.keep_image(reader, study, image, json.dumps({"zoom": zoom, "centre": [1, 1]}))
            view_keeping.keep_stage(reader, study, json.dumps(STAGE))
        except (PlatformError, threading.BrokenBarrierError) as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=keep, args=(zoom,)) for zoom in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert ReadingView.objects.count() == 2
