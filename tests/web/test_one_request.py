"""What is one request that came twice, and what is another: by its key, its words and who sends it."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core import request_keys
from cad_platform.core.models import DoneRequest
from cad_platform.studies.models import SideConfirmation
from tests import factories as make
from tests.web.hospital import Hospital, clients
from tests.web.test_forms_sent_twice import KEYED, Form

pytestmark = pytest.mark.django_db


@pytest.fixture
def hospital(settings: Any) -> Hospital:
    settings.WEBHOOK_ALLOWED_HOSTS = ["pacs.example"]
    return Hospital()


class TestOneRequest:
    """What is the same request, and what is another."""

    @pytest.fixture
    def form(self, hospital: Hospital) -> Form:
        return KEYED["image-side"](hospital)

    def said(self) -> int:
        return SideConfirmation.objects.count()

    def test_a_script_is_told_the_page_that_followed(self, hospital: Hospital, form: Form) -> None:
        client, fields = clients(hospital, "image"), {**form[1], "request_key": str(uuid4())}
        answers = [client.post(form[0], fields, headers={"Accept": "application/json"}) for _ in range(2)]
        assert [answer.json() for answer in answers] == [
            {"location": reverse("case", args=[hospital.study.study_instance_uid])}
        ] * 2

    def test_other_words_another_key_and_another_person_are_another_request(
        self, hospital: Hospital, form: Form
    ) -> None:
        client, key = clients(hospital, "image"), str(uuid4())
        client.post(form[0], {**form[1], "request_key": key, "csrfmiddlewaretoken": "a"})
        client.post(form[0], {**form[1], "request_key": key, "csrfmiddlewaretoken": "b", "page_user": ""})
        assert self.said() == 1
        client.post(form[0], {**form[1], "reason": "seen twice", "request_key": key})
        client.post(form[0], {**form[1], "request_key": str(uuid4())})
        client.post(form[0], form[1])
        colleague = Client()
        colleague.force_login(make.user(Role.RADIOLOGIST, hospital.site))
        colleague.post(form[0], {**form[1], "request_key": key})
        assert self.said() == 5

    def test_refused_it_may_come_again(self, hospital: Hospital, form: Form) -> None:
        client, key = clients(hospital, "image"), str(uuid4())
        assert client.post(form[0], {"side": "R", "reason": "", "request_key": key}).status_code == 422
        assert not DoneRequest.objects.exists()
        assert client.post(form[0], {**form[1], "request_key": "7"}).status_code == 422
        assert self.said() == 0
        # A form that is shown again with what is wrong, likewise.
        administrator = clients(hospital, "site")
        address, fields, _action = KEYED["site"](hospital)
        wrong = {**fields, "time_zone": "Nowhere/City", "request_key": key}
        assert administrator.post(address, wrong).status_code == 422
        assert not DoneRequest.objects.exists()

    def test_nobody_learns_by_a_key_what_another_may_do(self, hospital: Hospital, form: Form) -> None:
        fields = {**form[1], "request_key": str(uuid4())}
        clients(hospital, "image").post(form[0], fields)
        stranger = Client()
        stranger.force_login(make.user(Role.RADIOLOGIST))
        assert stranger.post(form[0], fields).status_code == 404
        assert Client().post(form[0], fields)["Location"].startswith("/accounts/login/")

    def test_old_ones_are_forgotten(self, hospital: Hospital, form: Form) -> None:
        clients(hospital, "image").post(form[0], {**form[1], "request_key": str(uuid4())})
        assert request_keys.forget_done() == 0
        DoneRequest.objects.update(done_at=timezone.now() - timedelta(days=3))
        assert request_keys.forget_done() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["image-side", "study-withdraw", "webhooks", "tokens"])
def test_at_the_same_moment_it_is_done_once(hospital: Hospital, name: str) -> None:
    address, fields, action = KEYED[name](hospital)
    fields = {**fields, "request_key": str(uuid4())}
    start, answers = threading.Barrier(3), []

    def send(client: Client) -> None:
        start.wait()
        answers.append(client.post(address, fields))
        connection.close()

    threads = [threading.Thread(target=send, args=[clients(hospital, name)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 3 and all(answer.status_code in (200, 302) for answer in answers)
    assert AuditEvent.objects.filter(action=action).count() == 1
