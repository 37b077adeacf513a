"""The worklist's projection: what it says is what the derivation says, whoever changed what, and at once."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core.actor import Actor
from cad_platform.patients.models import Patient
from cad_platform.reading import projection, report_standing
from cad_platform.reading.models import WorklistAi, WorklistChange, WorklistEntry
from cad_platform.reading.states import ReadingState, reading_state_of, with_reading_state
from cad_platform.reading.tasks import keep_worklist
from cad_platform.reading.worklist import (
    COUNT_LIMIT,
    PAGE_SIZE,
    WorklistFilters,
    WorklistOrder,
    page_asked_for,
    worklist,
)
from cad_platform.reading.worklist_triggers import WATCHED, statements
from cad_platform.registry.models import ModelRoute, ModelVersion
from cad_platform.studies.models import Study
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


def at(reader: Actor) -> Any:
    return reader.user.site


def agrees(site: Any) -> bool:
    return list(projection.verify(site.pk)) == []


def job(study: Study, state: str, **fields: Any) -> AnalysisJob:
    return AnalysisJob.objects.create(
        study=study,
        model_version=make.model_version(
            version=fields.pop("version", "1.0.0"), is_default=fields.pop("is_default", True)
        ),
        content_hash=study.content_hash,
        state=state,
        **fields,
    )


# --- whoever writes what ----------------------------------------------------------------------------------


def _earlier_version_stands_in(study: Study) -> None:
    make.model_version()
    job(study, "failed", reason="damaged", version="0.9.0", is_default=False)


def _another_version(study: Study) -> None:
    _earlier_version_stands_in(study)
    ModelVersion.objects.filter(version="1.0.0").update(is_default=False)
    ModelVersion.objects.filter(version="0.9.0").update(is_default=True)


def _site_gets_its_own(study: Study) -> None:
    _earlier_version_stands_in(study)
    own = ModelVersion.objects.get(version="0.9.0")
    ModelRoute.objects.create(version=own, name=own.name, kind="default", site=study.site)


def _canary_ends(study: Study) -> None:
    done = make.succeeded_job(study, by=make.model_version(version="0.9.0", is_default=False))
    job(study, "requested")
    canary = ModelRoute.objects.create(
        version=done.model_version, name=done.model_version.name, kind="canary", percent=99
    )
    worklist(make.actor(Role.RADIOLOGIST, study.site), WorklistFilters(state="all"))
    canary.delete()


def _ended(study: Study) -> None:
    running = job(study, "running")
    done = make.succeeded_job(make.study(study.site, "US")).result
    AnalysisJob.objects.filter(pk=running.pk).update(state="succeeded", score=0.4, result=done)


def _signed(study: Study) -> None:
    report_standing.draft_begun(study)
    report_standing.report_signed(study, timezone.now(), {})


def _changed_after(study: Study) -> None:
    _signed(study)
    Study.objects.filter(pk=study.pk).update(changed_at=timezone.now() + timedelta(seconds=5))


def _raw(study: Study) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE studies_study SET priority = 'stat' WHERE id = %s", [study.pk])


WRITERS: dict[str, tuple[Callable[[Study], object], str]] = {
    "nobody": (lambda study: None, ReadingState.ANALYSING),
    "a job is asked for": (lambda study: job(study, "requested"), ReadingState.ANALYSING),
    "a job ends": (_ended, ReadingState.READY),
    "a job fails": (lambda study: job(study, "failed", reason="away"), ReadingState.READY),
    "an earlier version stands in": (_earlier_version_stands_in, ReadingState.READY),
    "another version comes into use": (_another_version, ReadingState.READY),
    "the site gets a default of its own": (_site_gets_its_own, ReadingState.READY),
    "a canary ends": (_canary_ends, ReadingState.ANALYSING),
    "a draft": (report_standing.draft_begun, ReadingState.DRAFT),
    "a draft discarded": (
        lambda study: (report_standing.draft_begun(study), report_standing.draft_discarded(study)),
        ReadingState.ANALYSING,
    ),
    "a signature": (_signed, ReadingState.SIGNED),
    "images after it": (_changed_after, ReadingState.CHANGED),
    "withdrawn": (
        lambda study: Study.objects.filter(pk=study.pk).update(
            withdrawn_at=timezone.now(), withdrawn_reason="x"
        ),
        ReadingState.WITHDRAWN,
    ),
    "quarantined": (
        lambda study: Study.objects.filter(pk=study.pk).update(state="quarantined"),
        ReadingState.QUARANTINED,
    ),
    "still arriving": (
        lambda study: Study.objects.filter(pk=study.pk).update(state="receiving"),
        ReadingState.RECEIVING,
    ),
    "other content": (
        lambda study: (
            make.succeeded_job(study),
            Study.objects.filter(pk=study.pk).update(content_hash="e" * 64),
        ),
        ReadingState.ANALYSING,
    ),
    "another modality": (
        lambda study: Study.objects.filter(pk=study.pk).update(modality="US"),
        ReadingState.ANALYSING,
    ),
    "plain SQL": (_raw, ReadingState.ANALYSING),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_list_shows_what_was_just_written(reader: Actor, writer: str) -> None:
    study = make.study(at(reader))
    everything = WorklistFilters(state="all", search=study.accession_number)
    worklist(reader, everything)
    write, expected = WRITERS[writer]
    write(study)
    (listed,) = worklist(reader, everything).studies
    derived = with_reading_state(Study.objects.filter(pk=study.pk)).get()
    for column in ("reading_state", "ai_score", "awaits_job"):
        assert getattr(listed, column) == getattr(derived, column)
    assert listed.reading_state == expected == reading_state_of(study)  # type: ignore[attr-defined]
    assert agrees(at(reader))
    assert list(WorklistEntry.objects.values_list("is_unread", flat=True).filter(study=study)) == [
        expected not in {ReadingState.SIGNED, ReadingState.WITHDRAWN, ReadingState.QUARANTINED}
    ]


def test_every_table_that_the_derivation_reads_has_its_trigger() -> None:
    with CaptureQueriesContext(
        connection
    ) as asked:  # not the one query alone: what it is made of may be read before
        list(with_reading_state(Study.objects.all()))
    read = set(re.findall(r'(?:FROM|JOIN) "(\w+)"', " ".join(query["sql"] for query in asked)))
    assert {"studies_study", "analysis_analysisjob", "registry_modelversion", "registry_modelroute"} <= read
    assert read <= {each.table for each in WATCHED}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'worklist\\_%'")
        there = [row[0] for row in cursor.fetchall()]
    assert sorted(there) == sorted([each.table for each in WATCHED for _ in statements(each)])


def test_what_rolled_back_was_never_noted(reader: Actor) -> None:
    study = make.study(at(reader))
    projection.bring_up_to_date(at(reader).pk)
    with transaction.atomic():
        _signed(study)
        transaction.set_rollback(True)
    assert not WorklistChange.objects.exists()


def test_a_lease_that_is_renewed_changes_no_list(reader: Actor) -> None:
    running = job(make.study(at(reader)), "running")
    before = projection.revision(at(reader).pk)
    AnalysisJob.objects.filter(pk=running.pk).update(
        lease_expires_at=timezone.now(), queued_at=timezone.now()
    )
    assert projection.revision(at(reader).pk) == before


@pytest.mark.parametrize("what", ["name", "site"])
def test_what_a_row_shows_of_others_changes_the_revision(reader: Actor, what: str) -> None:
    study = make.study(at(reader))
    before = projection.revision(at(reader).pk)
    if what == "name":
        Patient.objects.filter(pk=study.patient_id).update(name="Other^Name")
    else:
        type(at(reader)).objects.filter(pk=at(reader).pk).update(default_issuer="HN")
    assert projection.revision(at(reader).pk) != before


def test_another_site_changes_nothing_here(reader: Actor) -> None:
    before = projection.revision(at(reader).pk)
    make.study(make.site())
    assert projection.revision(at(reader).pk) == before


def test_settled_cases_follow_another_version_in_the_background(
    reader: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "BATCH", 2)
    studies = [make.study(at(reader)) for _ in range(5)]
    for study in studies:
        make.succeeded_job(study, 0.9)
        job(
            study,
            "succeeded",
            version="0.9.0",
            is_default=False,
            score=0.1,
            result=make.succeeded_job(make.study(make.site(), "US")).result,
        )
        _signed(study)
    assert agrees(at(reader))
    ModelVersion.objects.filter(name="mammography", version="1.0.0").update(is_default=False)
    ModelVersion.objects.filter(name="mammography", version="0.9.0").update(is_default=True)
    worklist(reader, WorklistFilters())
    scores = WorklistAi.objects.filter(site=at(reader)).values_list("ai_score", flat=True)
    assert list(scores.all()).count(0.1) == 2, "a page waits for one batch"
    while keep_worklist():
        pass
    assert set(scores.all()) == {0.1} and agrees(at(reader))


def test_the_command_finds_and_mends_what_was_altered(reader: Actor) -> None:
    study = make.study(at(reader))
    projection.bring_up_to_date(at(reader).pk)
    call_command("worklist", "verify", stdout=StringIO())
    WorklistAi.objects.filter(study=study).update(ai_score=0.99)
    WorklistEntry.objects.filter(study=study).delete()
    said = StringIO()
    with pytest.raises(CommandError, match="rebuild"):
        call_command("worklist", "verify", stdout=said)
    assert "ai_score is 0.99, should be None" in said.getvalue() and str(study.pk) in said.getvalue()
    call_command("worklist", "rebuild", stdout=said)
    call_command("worklist", "verify", stdout=said)


def test_the_ai_columns_can_be_kept_from_a_reader(reader: Actor) -> None:
    make.succeeded_job(make.study(at(reader)))
    said_by_models = {"ai_score", "has_open_job", "awaits_job"}
    assert not said_by_models & {field.name for field in WorklistEntry._meta.get_fields()}


# --- paging -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", WorklistOrder.values)
def test_pages_lead_through_the_whole_list_and_back(reader: Actor, order: str) -> None:
    now = timezone.now()
    for number in range(3 * PAGE_SIZE + 4):
        study = make.study(
            at(reader),
            priority=("routine", "urgent", "stat")[number % 3],
            received_at=now - timedelta(minutes=number // 2),
        )
        if number % 4:
            make.succeeded_job(study, (number % 5) / 10)
    pages = [worklist(reader, WorklistFilters(order=order))]
    while pages[-1].next_place:
        pages.append(worklist(reader, WorklistFilters(order=order, **page_asked_for(pages[-1].next_place))))
    keys = [[study.pk for study in page.studies] for page in pages]
    assert [len(page) for page in keys] == [PAGE_SIZE] * 3 + [4]
    assert [page.filters.page for page in pages] == [1, 2, 3, 4] and {page.total for page in pages} == {79}
    by_number = [worklist(reader, WorklistFilters(order=order, page=number)) for number in (1, 2, 3, 4)]
    assert keys == [[study.pk for study in page.studies] for page in by_number]
    at_the_end, back = pages[-1], []
    while at_the_end.previous_place:
        at_the_end = worklist(
            reader, WorklistFilters(order=order, **page_asked_for(at_the_end.previous_place))
        )
        back.append([study.pk for study in at_the_end.studies])
    assert back == keys[-2::-1]


def test_a_page_begins_where_it_began_whatever_arrives_before_it(reader: Actor) -> None:
    for _ in range(PAGE_SIZE + 2):
        make.study(at(reader))
    first = worklist(reader, WorklistFilters(order="waiting"))
    second = WorklistFilters(order="waiting", **page_asked_for(first.next_place))
    shown = [study.pk for study in worklist(reader, second).studies]
    make.study(at(reader), received_at=timezone.now() - timedelta(days=9))
    assert [study.pk for study in worklist(reader, second).studies] == shown


@pytest.mark.parametrize(
    "place", ["", "x", "0", "-1", "2.after.x", "2.beside.1", f"2.after.{uuid.UUID(int=7)}", "9" * 9]
)
def test_nonsense_for_a_page_opens_one(reader: Actor, place: str) -> None:
    make.study(at(reader))
    page = worklist(reader, WorklistFilters(**page_asked_for(place)))
    assert (page.filters.page, len(page.studies)) == (1, 1)


def test_many_are_not_counted(reader: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert COUNT_LIMIT % PAGE_SIZE == 0
    monkeypatch.setattr("cad_platform.reading.worklist.COUNT_LIMIT", 2 * PAGE_SIZE)
    for _ in range(3 * PAGE_SIZE):
        make.study(at(reader))
    client = Client(headers={"HX-Request": "true"})
    client.force_login(reader.user)
    answer = client.post(reverse("worklist"))
    assert b"More than 50 studies" in answer.content
    page = worklist(reader, WorklistFilters(page=9))
    assert (page.filters.page, page.is_more, bool(page.next_place)) == (2, True, True)
    page = worklist(reader, WorklistFilters(**page_asked_for(page.next_place)))
    assert (page.filters.page, len(page.studies), page.next_place) == (3, PAGE_SIZE, "")


# --- polls ------------------------------------------------------------------------------------------------


def test_a_poll_with_nothing_new_composes_nothing(reader: Actor, django_assert_max_num_queries: Any) -> None:
    client = Client(headers={"HX-Request": "true"})
    client.force_login(reader.user)
    make.succeeded_job(make.study(at(reader)))
    seen = client.post(reverse("worklist")).context["fingerprint"]
    with django_assert_max_num_queries(12) as asked:
        assert client.post(reverse("worklist"), {"seen": seen}).status_code == 204
    assert not any('FROM "studies_study"' in query["sql"] for query in asked.captured_queries)


def test_a_list_that_has_stood_for_a_minute_is_looked_at_again(
    reader: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says for how long a study waits."""
    client = Client(headers={"HX-Request": "true"})
    client.force_login(reader.user)
    study = make.study(at(reader), received_at=timezone.now() - timedelta(days=3))
    shown = client.post(reverse("worklist")).context["fingerprint"]
    old = f"{shown[:64]}{int(shown[64:], 16) - 61:x}"
    same = client.post(reverse("worklist"), {"seen": old})
    assert (same.status_code, same["HX-Reswap"]) == (200, "none")
    assert b'hx-swap-oob="true"' in same.content and study.study_instance_uid.encode() not in same.content
    Study.objects.filter(pk=study.pk).update(received_at=timezone.now())
    other = client.post(reverse("worklist"), {"seen": old})
    assert "HX-Reswap" not in other and study.study_instance_uid.encode() in other.content


def test_a_poll_asks_for_the_page_that_is_shown(reader: Actor) -> None:
    client = Client(headers={"HX-Request": "true"})
    client.force_login(reader.user)
    for _ in range(PAGE_SIZE + 1):
        make.study(at(reader))
    first = client.post(reverse("worklist")).context
    second = client.post(reverse("worklist"), {"page": first["page"].next_place})
    asked = {"seen": second.context["fingerprint"], "page": second.context["page"].place}
    assert client.post(reverse("worklist"), asked).status_code == 204
    beyond = client.post(reverse("worklist"), {"page": "77"}).context
    asked = {"seen": beyond["fingerprint"], "page": beyond["page"].place}
    assert client.post(reverse("worklist"), asked).status_code == 204


# --- several at once --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_readers_and_writers_at_once_leave_it_right() -> None:
    reader = make.actor(Role.RADIOLOGIST, make.site())
    studies = [make.study(at(reader)) for _ in range(6)]
    version = make.model_version()
    failures: list[BaseException] = []

    def in_thread(action: Callable[[int], object]) -> threading.Thread:
        def run() -> None:
            try:
                for number in range(12):
                    action(number)
            except BaseException as error:
                failures.append(error)
            finally:
                connection.close()

        return threading.Thread(target=run)

    def analyse(number: int) -> None:
        with transaction.atomic():
            for study in studies[:: 1 if number % 2 else -1]:
                AnalysisJob.objects.update_or_create(
                    study=study,
                    model_version=version,
                    content_hash=study.content_hash,
                    defaults={"state": "failed" if number % 2 else "requested", "reason": "away"},
                )

    def report(number: int) -> None:
        with transaction.atomic():
            locked = Study.objects.select_for_update(no_key=True).get(pk=studies[number % 6].pk)
            (report_standing.draft_begun if number % 2 else report_standing.draft_discarded)(locked)

    def read(number: int) -> None:
        worklist(reader, WorklistFilters(state="all"))

    threads = [in_thread(action) for action in (analyse, report, read, read, lambda _: projection.go_on())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert agrees(at(reader))
