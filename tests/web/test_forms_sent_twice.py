"""Every form of the pages that changes something may be sent twice, since an answer got lost or a button was pressed
twice: it is done once. A view that takes a POST stands in one of the tables here, or the first test fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse
from django.utils import timezone

from cad_platform.accounts.models import Scope, User
from cad_platform.analysis import again
from cad_platform.analysis.models import AnalysisJob
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.delivery.models import Event, Webhook
from cad_platform.records import erasing, merging, retention
from cad_platform.reporting import services as reports
from cad_platform.studies.models import SideConfirmation, Study, StudyCorrection
from tests import factories
from tests.quality.test_reader_studies import van_dyke
from tests.quality.test_signed_readings import practice
from tests.reporting.test_services import signed_report
from tests.web.hospital import Hospital, clients

pytestmark = pytest.mark.django_db

#: A form: where it goes, its fields, what it writes into the audit log.
Form = tuple[str, dict[str, Any], str]


def signed(h: Hospital) -> Study:
    signed_report(Actor.of_user(h.reader), h.study)
    return h.study


def _replay(h: Hospital) -> Form:
    webhook = h.webhook()
    return reverse("webhook-replay", args=[webhook.pk]), {
        "delivery": str(h.taken_delivery(webhook).pk)
    }, "webhook.replay"  # fmt: skip


def _practice(h: Hospital) -> int:
    version = factories.model_version("ultrasound", "US", "3.0.0")
    practice(h.site, version)
    return version.pk


def _dataset(h: Hospital) -> Form:
    h.learnable()
    return reverse("datasets"), {"modality": h.study.modality}, "dataset.make"


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
    "site-access": lambda h: (reverse("site-access", args=[h.site.pk]), {}, "site.deactivate"),
    "webhook-access": lambda h: (
        reverse("webhook-access", args=[h.webhook().pk]),
        {"access": "pause"},
        "webhook.pause",
    ),
    "webhook-remove": lambda h: (
        reverse("webhook-remove", args=[h.webhook().pk]),
        {},
        "webhook.remove",
    ),
    "webhook-replay": _replay,
    "consents": lambda h: (
        reverse("consents"),
        {"patient_id": h.study.patient.patient_id, "state": "no", "source": "form"},  # type: ignore[union-attr]
        "consent.record",
    ),
    "datasets": _dataset,
    "dataset-train": lambda h: (
        reverse("dataset-train", args=[h.dataset().pk]),
        {"recipe": "byra2021_deep_representation_scaling"},
        "training.ask",
    ),
    "dataset-training": lambda h: (
        reverse("dataset-training", args=[h.training().pk]),
        {"change": "cancel"},
        "training.cancel",
    ),
    "alert": lambda h: (reverse("alert", args=[h.alert().pk]), {"note": "Seen"}, "alert.acknowledge"),
    "alert-rule": lambda h: (
        reverse("alert-rule", args=["drift"]),
        {"threshold": "0.3", "is_on": "yes"},
        "alert.change_rule",
    ),
    "acceptances": lambda h: (
        reverse("acceptances"),
        {"version": h.job.model_version_id, "site": h.site.pk, "source": "platform"}
        if h.known_cases()
        else {},
        "acceptance.ask",
    ),
    "reader-studies": lambda h: (
        reverse("reader-studies"),
        {
            "name": "Cine MRI",
            "table": SimpleUploadedFile("readings.csv", van_dyke().encode()),
            "design": "crossed",
        },
        "reader_study.make",
    ),
    "reader-study-signed": lambda h: (
        reverse("reader-study-signed"),
        {"name": "Practice", "version": _practice(h), "site": h.site.pk, "answer": "shown"},
        "reader_study.make",
    ),
    "acceptance": lambda h: (
        reverse("acceptance", args=[h.measured().pk]),
        {"note": "Seen"},
        "acceptance.sign",
    ),
    "acceptance-thresholds": lambda h: (
        reverse("acceptance-thresholds", args=[h.proposing().pk, "propose"]),
        {},
        "thresholds.propose",
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
    "acceptance-pick": lambda h: (
        reverse("acceptance-pick"),
        {"version": h.job.model_version_id, "site": h.site.pk, "step": "all"} if h.known_cases() else {},
        "acceptance.ask",
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
