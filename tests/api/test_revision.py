"""If-None-Match on a study: 304 exactly as long as the answer is the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.accounts.rules import PERMISSIONS
from cad_platform.analysis.models import AnalysisJob
from cad_platform.api.composed import Composed, ComposedAnswers
from cad_platform.audit.models import AuditEvent
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting import revision
from cad_platform.studies.models import Study
from cad_platform.studies.services import withdraw
from tests import factories
from tests.posted_files import Hospital, dicom

pytestmark = pytest.mark.django_db


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


@pytest.fixture
def study(hospital: Hospital) -> Study:
    hospital.post(None, {"cc.dcm": dicom()})
    study = Study.objects.get()
    job = factories.succeeded_job(study)
    factories.finding(study.series.get().instances.get(), job=job)
    return study


def ask(hospital: Hospital, study: Study, tag: str = "") -> Any:
    headers = {"If-None-Match": tag} if tag else {}
    return hospital.client.get(f"/api/v1/studies/{study.study_instance_uid}", headers=headers)


def test_what_has_not_changed_is_not_sent_again(hospital: Hospital, study: Study) -> None:
    first = ask(hospital, study)
    tag = first["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    again = ask(hospital, study, tag)
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert again["Cache-Control"] == "no-store"


@pytest.mark.parametrize("lost", ["study.view", "report.view"])
@pytest.mark.parametrize("with_tag", [True, False], ids=["asked again", "kept answer"])
def test_who_may_not_read_all_of_it_gets_no_answer_that_is_kept(
    hospital: Hospital, study: Study, monkeypatch: pytest.MonkeyPatch, lost: str, *, with_tag: bool
) -> None:
    tag = ask(hospital, study)["ETag"]
    monkeypatch.setitem(PERMISSIONS, lost, lambda actor, target: False)
    answer = ask(hospital, study, tag if with_tag else "")
    assert answer.status_code == 403
    assert lost in answer.json()["detail"]


@pytest.mark.parametrize("header", ["W/{tag}", '"other", {tag}', "*", "  {tag} "])
def test_every_way_of_asking(hospital: Hospital, study: Study, header: str) -> None:
    tag = ask(hospital, study)["ETag"]
    assert ask(hospital, study, header.format(tag=tag)).status_code == 304
    assert ask(hospital, study, '"other"').status_code == 200


def _decide(study: Study) -> None:
    finding = study.findings.get()
    factories.decision(finding, factories.user(Role.RADIOLOGIST, study.site))


def _rename(study: Study) -> None:
    assert study.patient
    study.patient.name = "Other^Name"
    study.patient.save(update_fields=["name"])


def _end(study: Study) -> None:
    job = study.jobs.get()
    job.state, job.reason, job.finished_at = AnalysisJob.State.FAILED, "It broke.", timezone.now()
    job.result = job.score = None
    job.save()


def _another_default(study: Study) -> None:
    ModelVersion.objects.update(is_default=False)


def _withdraw(study: Study) -> None:
    withdraw(factories.actor(Role.RADIOLOGIST, study.site), study, "Wrong patient.")


def _side(study: Study) -> None:
    instance = study.series.get().instances.get()
    instance.laterality = "R"
    instance.save(update_fields=["laterality"])


@pytest.mark.parametrize("change", [_decide, _rename, _end, _another_default, _withdraw, _side])
def test_whatever_changes_is_told(hospital: Hospital, study: Study, change: Callable[[Study], None]) -> None:
    first = ask(hospital, study)
    change(study)
    second = ask(hospital, study, first["ETag"])
    assert second.status_code == 200 and second["ETag"] != first["ETag"]


def test_a_worker_that_holds_on_to_a_job_changes_nothing(hospital: Hospital, study: Study) -> None:
    tag = ask(hospital, study)["ETag"]
    AnalysisJob.objects.update(lease_expires_at=timezone.now())
    assert ask(hospital, study, tag).status_code == 304


def test_an_unchanged_study_is_recorded_once_as_shown(hospital: Hospital, study: Study) -> None:
    tag = ask(hospital, study)["ETag"]
    ask(hospital, study, tag)
    assert AuditEvent.objects.filter(action="study.view").count() == 1


def test_another_site_gets_no_304(hospital: Hospital, study: Study) -> None:
    tag = ask(hospital, study)["ETag"]
    assert ask(Hospital(), study, tag).status_code == 404
    assert ask(Hospital(), study, "*").status_code == 404


def test_every_table_that_the_answer_reads_is_watched(hospital: Hospital, study: Study) -> None:
    with CaptureQueriesContext(connection) as queries:
        ask(hospital, study)
    composing = [query["sql"] for query in queries if "xmin" not in query["sql"]]
    read = {table for sql in composing for table in re.findall(r'(?:FROM|JOIN) "(\w+)"', sql)}
    watched = {model._meta.db_table for model in revision.WATCHED} | {"analysis_analysisjob"}
    #: Who asks, and the record that they did.
    about_asking = {"accounts_apitoken", "audit_auditevent", "audit_chainhead", "api_idempotentanswer"}
    assert read - watched - about_asking - revision.WRITTEN_ONCE == set()


def test_asking_whether_anything_changed_is_one_query_beside_the_study(
    hospital: Hospital, study: Study
) -> None:
    tag = ask(hospital, study)["ETag"]
    with CaptureQueriesContext(connection) as queries:
        assert ask(hospital, study, tag).status_code == 304
    assert [sql["sql"][:40] for sql in queries if "xmin" in sql["sql"]] and len(queries) <= 5


def test_an_answer_is_composed_once_for_each_revision(hospital: Hospital, study: Study) -> None:
    first = ask(hospital, study)
    with CaptureQueriesContext(connection) as asked:
        again = ask(hospital, study)
    assert (again.status_code, again.content, again["ETag"]) == (200, first.content, first["ETag"])
    assert "no-store" in again["Cache-Control"] and again["Content-Type"] == "application/json"
    assert not [query for query in asked.captured_queries if "analysis_finding" in query["sql"][:200]]
    # It is shown all the same, and each time it is shown is recorded.
    first_seen, seen = AuditEvent.objects.filter(action="study.view").order_by("at")
    assert seen.detail == first_seen.detail and seen.detail["findings"] == 1
    _rename(study)
    changed = ask(hospital, study)
    assert changed["ETag"] != first["ETag"] and changed.json()["patient"]["name"] == "Other^Name"


def test_kept_answers_have_a_bound() -> None:
    answers = ComposedAnswers(most_bytes=25)
    made: list[str] = []

    def get(tag: str, size: int = 10) -> bytes:
        def compose() -> Composed:
            made.append(tag)
            return Composed(tag.encode() * size, {}, 0)

        return answers.get(tag, compose).body

    for tag in "aabacb":
        assert get(tag) == tag.encode() * 10
    assert made == ["a", "b", "c", "b"], "b was the one that nobody had asked for the longest"
    get("d", 26)
    get("c")
    assert made[-1] == "d", "what does not fit puts nothing else out"
