"""Every form of the pages that changes something may be sent twice, since an answer got lost or a button was pressed
twice: it is done once. A view that takes a POST stands in one of the tables here, or the first test fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse
from django.utils import timezone

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Scope, Site, User
from cad_platform.analysis import again
from cad_platform.analysis.models import AnalysisJob
from cad_platform.audit.models import AuditEvent
from cad_platform.core import request_keys
from cad_platform.core.actor import Actor
from cad_platform.core.models import DoneRequest
from cad_platform.delivery import services as delivery
from cad_platform.delivery.models import Delivery, Event, Webhook
from cad_platform.modelserver import services as modelserver
from cad_platform.modelserver.models import ModelHost
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.quality import watching
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import Alert, AlertRule
from cad_platform.reading.models import Annotation
from cad_platform.records import erasing, merging, retention
from cad_platform.reporting import services as reports
from cad_platform.studies.models import SideConfirmation, Study, StudyCorrection
from cad_platform.studies.services import withdraw
from tests import factories as make
from tests.reporting.test_services import signed_report

pytestmark = pytest.mark.django_db

#: A form: where it goes, its fields, what it writes into the audit log.
Form = tuple[str, dict[str, Any], str]


class Hospital:
    """A site with a study, a reader and an administrator."""

    def __init__(self) -> None:
        self.site: Site = make.site()
        self.study: Study = make.study(self.site)
        self.image = make.instance(self.study)
        self.job = make.succeeded_job(self.study)
        self.reader: User = make.user(Role.RADIOLOGIST, self.site)
        self.administrator: User = make.user(Role.ADMINISTRATOR)

    @property
    def admin(self) -> Actor:
        return Actor.of_user(self.administrator)

    def colleague(self) -> Actor:
        return make.actor(Role.RADIOLOGIST, self.site)

    def other_patient(self) -> Patient:
        return make.patient(self.site, patient_id="OTHER")

    def due_patient(self) -> Patient:
        retention.change_policy(self.admin, self.site.pk, 1)
        Study.objects.filter(pk=self.study.pk).update(study_date=date(1990, 1, 1))
        Patient.objects.update(created_at=timezone.now() - timedelta(days=9999))
        assert self.study.patient is not None
        return self.study.patient

    def withdrawn(self) -> Study:
        return withdraw(Actor.of_user(self.reader), self.study, "wrong patient")

    def review(self) -> DemographicsReview:
        return DemographicsReview.objects.create(
            patient=self.study.patient,
            study_instance_uid=self.study.study_instance_uid,
            reported={"sex": "O"},
        )

    def webhook(self) -> Webhook:
        return delivery.add_webhook(
            self.admin, site=self.site, url="https://pacs.example/hook", events=[Event.STUDY_ANALYSED]
        )[0]

    def alert(self) -> Alert:
        rule = AlertRule.objects.get(measure="drift")
        watching.settle(rule, self.site.pk, self.job.model_version_id, Measured(1.0, True), timezone.now())
        return Alert.objects.get()

    def taken_delivery(self, webhook: Webhook) -> Delivery:
        delivery.announce(self.study, Event.STUDY_ANALYSED, "one")
        Delivery.objects.update(state=Delivery.State.DELIVERED)
        return Delivery.objects.get(webhook=webhook)

    def model_host(self) -> ModelHost:
        return modelserver.add_host(self.admin, "http://gpu-1:8080", name="gpu-1")

    def drained_host(self) -> ModelHost:
        host = self.model_host()
        modelserver.drain(self.admin, host)
        return host

    def token(self) -> Any:
        token, _plaintext = tokens.issue(
            self.admin,
            self.reader,
            name="gateway",
            scopes=[Scope.STUDIES_READ],
            expires_at=timezone.now() + timedelta(days=9),
        )
        return token

    def length(self) -> Annotation:
        return Annotation.objects.create(
            id=uuid4(),
            study=self.study,
            instance=self.image,
            author=self.reader,
            kind="length",
            points=[[10, 10], [40, 50]],
            revision=1,
        )

    def open_job(self) -> AnalysisJob:
        job = self.failed_job()
        AnalysisJob.objects.filter(pk=job.pk).update(state="requested", reason="")
        return job

    def failed_job(self) -> AnalysisJob:
        AnalysisJob.objects.filter(pk=self.job.pk).update(
            state="failed", reason="away", result=None, score=None
        )
        return self.job


def signed(h: Hospital) -> Study:
    signed_report(Actor.of_user(h.reader), h.study)
    return h.study


def _replay(h: Hospital) -> Form:
    webhook = h.webhook()
    return reverse("webhook-replay", args=[webhook.pk]), {
        "delivery": str(h.taken_delivery(webhook).pk)
    }, "webhook.replay"  # fmt: skip


def _person(h: Hospital, **fields: str) -> dict[str, Any]:
    return {"first_name": "Anna", "last_name": "Aho", "role": "radiologist", "site": h.site.pk, **fields}


#: Done once by `request_keys.done_once`: the second sending is led to where the first was.
KEYED: dict[str, Callable[[Hospital], Form]] = {
    "fleet": lambda h: (reverse("fleet"), {"url": "http://gpu-2:8080", "name": "gpu-2"}, "host.add"),
    "fleet-drain": lambda h: (reverse("fleet-drain", args=[h.model_host().pk]), {}, "host.drain"),
    "fleet-resume": lambda h: (reverse("fleet-resume", args=[h.drained_host().pk]), {}, "host.resume"),
    "fleet-remove": lambda h: (reverse("fleet-remove", args=[h.model_host().pk]), {}, "host.remove"),
    "image-side": lambda h: (
        reverse("image-side", args=[h.study.study_instance_uid, h.image.pk]),
        {"side": "R", "reason": "marker in the picture"},
        "image.confirm_side",
    ),
    "study-withdraw": lambda h: (
        reverse("study-withdraw", args=[h.study.study_instance_uid]),
        {"reason": "wrong patient"},
        "study.withdraw",
    ),
    "study-bring-back": lambda h: (
        reverse("study-bring-back", args=[h.withdrawn().study_instance_uid]),
        {"reason": "right after all"},
        "study.bring_back",
    ),
    "decide-review": lambda h: (
        reverse("decide-review", args=[h.review().pk]),
        {"decision": "take_over"},
        "review.decide",
    ),
    "webhooks": lambda h: (
        reverse("webhooks"),
        {"site": h.site.pk, "url": "https://pacs.example/hook", "events": [Event.STUDY_ANALYSED]},
        "webhook.create",
    ),
    "webhook-access": lambda h: (
        reverse("webhook-access", args=[h.webhook().pk]),
        {"access": "pause"},
        "webhook.pause",
    ),
    "webhook-replay": _replay,
    "alert": lambda h: (reverse("alert", args=[h.alert().pk]), {"note": "Seen"}, "alert.acknowledge"),
    "alert-rule": lambda h: (
        reverse("alert-rule", args=["drift"]),
        {"threshold": "0.3", "is_on": "yes"},
        "alert.change_rule",
    ),
    "tokens": lambda h: (
        reverse("tokens"),
        {
            "name": "gateway",
            "user": h.reader.pk,
            "scopes": [Scope.STUDIES_READ],
            "expires_on": (timezone.localdate() + timedelta(days=9)).isoformat(),
        },
        "token.issue",
    ),
    "revoke-token": lambda h: (reverse("revoke-token", args=[h.token().pk]), {}, "token.revoke"),
    "new-user": lambda h: (reverse("new-user"), _person(h, username="a.aho"), "user.create"),
    "new-site": lambda h: (reverse("new-site"), {"name": "North Clinic", "code": "north"}, "site.create"),
    "user": lambda h: (reverse("user", args=[h.reader.pk]), _person(h), "user.update"),
    "user-password": lambda h: (reverse("user-password", args=[h.reader.pk]), {}, "user.set_password"),
    "user-access": lambda h: (
        reverse("user-access", args=[h.reader.pk]),
        {"access": "deactivate"},
        "user.deactivate",
    ),
    "site": lambda h: (
        reverse("site", args=[h.site.pk]),
        {"name": "Riverside", "false_marks_per_exam": "1.0", "idle_lock_minutes": "15"},
        "site.update",
    ),
    "person-roles": lambda h: (
        reverse("person-roles", args=[h.reader.pk]),
        {"role": "pathologist", "site": h.site.pk, "reason": "New post.", "access": "give"},
        "user.change_role",
    ),
    "patient-compare": lambda h: (
        reverse("patient-compare"),
        {"kept_id": h.study.patient_id, "gone_id": h.other_patient().pk, "reason": "The same."},
        "patient.merge",
    ),
    "patient-merge": lambda h: (
        reverse(
            "patient-merge",
            args=[merging.merge(h.colleague(), h.study.patient_id, h.other_patient().pk, "same").pk],
        ),
        {"reason": "Two people."},
        "patient.unmerge",
    ),
    "retention-policies": lambda h: (
        reverse("retention-policies"),
        {"site": h.site.pk, "years": "10"},
        "retention.change_policy",
    ),
    "erasure-of-due": lambda h: (
        reverse("erasure-of-due"),
        {"patient": h.due_patient().pk},
        "erasure.ask",
    ),
    "erasures": lambda h: (
        reverse("erasures"),
        {"patient_id": h.other_patient().patient_id, "on_behalf": "patient", "reason": "Asked."},
        "erasure.ask",
    ),
    "erasure": lambda h: (
        reverse(
            "erasure",
            args=[erasing.ask(h.colleague(), h.other_patient(), on_behalf="patient", reason="x").pk],
        ),
        {"decision": "erase"},
        "erasure.decide",
    ),
    "holds": lambda h: (
        reverse("holds"),
        {"patient_id": h.other_patient().patient_id, "reason": "A trial."},
        "hold.place",
    ),
    "hold-lift": lambda h: (
        reverse("hold-lift", args=[retention.place_hold(h.colleague(), h.other_patient(), "A trial.").pk]),
        {"reason": "Over."},
        "hold.lift",
    ),
    "job-cancel": lambda h: (reverse("job-cancel", args=[h.open_job().pk]), {}, "job.cancel_asked"),
    "jobs-many": lambda h: (
        reverse("jobs-many", args=["retry"]),
        {"state": "failed"} if h.failed_job() else {},
        "job.bulk_retry",
    ),
    "job-retry": lambda h: (reverse("job-retry", args=[h.failed_job().pk]), {}, "job.retry"),
    "job-analyse-again": lambda h: (
        reverse("job-analyse-again", args=[h.failed_job().pk]),
        {},
        "study.reanalyse",
    ),
    "reanalyses": lambda h: (
        reverse("reanalyses"),
        {"shown": "none"} if h.failed_job() else {},
        "study.reanalyse_set",
    ),
    "reanalysis-stop": lambda h: (
        reverse(
            "reanalysis-stop",
            args=[again.reanalyse_set(h.admin, Study.objects.filter(pk=h.failed_job().study_id), {}).pk],
        ),
        {},
        "study.stop_reanalysis",
    ),
}

#: By themselves the same twice: what stands already is answered as it stands.
NATURAL: dict[str, Callable[[Hospital], Form]] = {
    "report-start": lambda h: (
        reverse("report-start", args=[h.study.study_instance_uid]),
        {},
        "report.open",
    ),
    "report-discard": lambda h: (
        reverse(
            "report-discard",
            args=[h.study.study_instance_uid, reports.open_draft(Actor.of_user(h.reader), h.study).pk],
        ),
        {},
        "report.discard",
    ),
    "report-addendum": lambda h: (
        reverse("report-addendum", args=[signed(h).study_instance_uid]),
        {},
        "report.open",
    ),
    "study-reanalyse": lambda h: (
        reverse("study-reanalyse", args=[h.failed_job().study.study_instance_uid]),
        {},
        "study.reanalyse",
    ),
    "annotation-report": lambda h: (
        reverse("annotation-report", args=[h.study.study_instance_uid, h.length().pk]),
        {"in_report": "1"},
        "annotation.report",
    ),
    "session-lock": lambda h: (reverse("session-lock"), {}, "user.lock"),
    "keyboard": lambda h: (reverse("keyboard"), {}, "user.keyboard"),
}

#: Sent by scripts with keys or revisions of their own: tests/reading/test_sent_twice.py and test_annotations.py,
#: tests/reporting/test_saved_twice.py and test_signed_twice.py.
OF_SCRIPTS = {"finding-decide", "finding-add", "annotation", "report-save", "report-sign"}
#: Another sending changes nothing more, which only a model server can show: tests/registry/test_services.py.
SAME_AGAIN = {
    *("model-make-default", "models-register"),
    #: tests/registry/test_lifecycle.py, test_importing.py
    *(
        "model-verify",
        "model-approve",
        "model-retire",
        "model-route-add",
        "model-route-end",
        "model-roll-back",
    ),
    *("model-upload", "model-upload-begin", "model-upload-piece", "model-upload-finish", "model-agreement"),
    "known-from-pathology",
    #: tests/modelserver/test_loading.py
    *("fleet-load", "fleet-scale", "fleet-default", "fleet-restart", "fleet-unload"),
}
#: Ways in and out, that somebody is there, and what is shown: nothing of the record.
DOORS = {
    *("account_login", "account_logout", "account_reauthenticate", "account_change_password", "own-password"),
    *("session-unlock", "session-hand-over", "session-activity", "report-presence", "patient-merges"),
    *("set_language", "worklist", "stage-view", "image-view"),
}
#: What looks at the method by itself, or does not: doors, and the address that leads to one's first page.
ANY_METHOD = {"account_login", "account_signup", "set_language", "home"}


def _pages(resolver: URLResolver) -> Iterator[URLPattern]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            if str(each.pattern) != "api/":
                yield from _pages(each)
        else:
            yield each


def test_every_address_that_takes_a_post_is_in_a_table(hospital: Hospital) -> None:
    """By what each answers to a method that it does not know, so that no way of writing a view hides one."""
    client = clients(hospital, "user")
    examples = {"str": "1.2", "int": 1, "uuid": uuid4(), "slug": "plot"}
    found, unsaid = set(), set()
    for page in _pages(get_resolver()):
        arguments = {
            name: next(value for kind, value in examples.items() if kind in type(converter).__name__.lower())
            for name, converter in page.pattern.converters.items()
        }
        answer = client.patch(reverse(page.name or "", kwargs=arguments))
        if answer.status_code != 405:
            unsaid.add(page.name)
        elif "POST" in answer["Allow"]:
            found.add(page.name)
    assert unsaid == ANY_METHOD
    assert {*found, *unsaid} == {*KEYED, *NATURAL, *OF_SCRIPTS, *SAME_AGAIN, *DOORS, *ANY_METHOD}


@pytest.fixture
def hospital(settings: Any) -> Hospital:
    settings.WEBHOOK_ALLOWED_HOSTS = ["pacs.example"]
    return Hospital()


def clients(hospital: Hospital, name: str) -> Client:
    ours = name.startswith(
        (
            "image",
            "study",
            "decide",
            "report",
            "session",
            "keyboard",
            "annotation",
            "patient",
            "erasure",
            "hold",
        )
    )
    client = Client()
    client.force_login(hospital.reader if ours else hospital.administrator)
    return client


@pytest.mark.parametrize("name", [*KEYED, *NATURAL])
def test_a_form_that_is_sent_twice_is_done_once(hospital: Hospital, name: str) -> None:
    address, fields, action = {**KEYED, **NATURAL}[name](hospital)
    client, fields = clients(hospital, name), {**fields, "request_key": str(uuid4())}
    before = AuditEvent.objects.filter(action=action).count()
    rows = dict.fromkeys((SideConfirmation, StudyCorrection, Webhook, AnalysisJob, User), 0)

    def counted() -> dict[type[Model], int]:
        return {model: model._default_manager.count() for model in rows}

    first = client.post(address, fields)
    assert first.status_code in (200, 302), first.content.decode()
    made = counted()
    second = client.post(address, fields)
    if name in KEYED:
        assert second.status_code == 302
        assert second["Location"] == first.get("Location", address)
        assert getattr(resolve(address).func, "is_done_once", False)
    assert AuditEvent.objects.filter(action=action).count() == before + 1
    assert counted() == made


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
