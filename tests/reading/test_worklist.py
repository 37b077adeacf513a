"""The worklist: what state a study is in for its readers, in which order, for whom, and at what cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotPermitted
from cad_platform.reading import report_standing
from cad_platform.reading.presenters import worklist_rows
from cad_platform.reading.states import ReadingState
from cad_platform.reading.tasks import keep_worklist
from cad_platform.reading.worklist import WorklistFilters, WorklistOrder, worklist
from cad_platform.studies.models import Study
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


def at(reader: Actor) -> Any:
    return reader.user.site


def uids(reader: Actor, **filters: Any) -> list[str]:
    page = worklist(reader, WorklistFilters(**filters))
    return [study.study_instance_uid for study in page.studies]


def state(reader: Actor, study: Study) -> str:
    (row,) = worklist(reader, WorklistFilters(state="all", search=study.accession_number)).studies
    return str(row.reading_state)  # type: ignore[attr-defined]


def job(study: Study, job_state: str, **fields: Any) -> AnalysisJob:
    return AnalysisJob.objects.create(
        study=study,
        model_version=make.model_version(),
        content_hash=study.content_hash,
        state=job_state,
        **fields,
    )


def test_a_complete_study_without_a_job_is_about_to_be_analysed(reader: Actor) -> None:
    assert state(reader, make.study(at(reader))) == ReadingState.ANALYSING


def test_a_running_job_keeps_a_study_in_analysis(reader: Actor) -> None:
    study = make.study(at(reader))
    job(study, "running")
    assert state(reader, study) == ReadingState.ANALYSING


@pytest.mark.parametrize("ended", ["failed", "not_applicable", "cancelled"])
def test_a_study_is_ready_when_its_jobs_have_ended_without_a_result_too(reader: Actor, ended: str) -> None:
    study = make.study(at(reader))
    job(study, ended, reason="the model server was away")
    assert state(reader, study) == ReadingState.READY


def test_a_job_of_earlier_content_does_not_count(reader: Actor) -> None:
    study = make.study(at(reader))
    make.succeeded_job(study, 0.9)
    Study.objects.filter(pk=study.pk).update(content_hash="e" * 64)
    assert state(reader, study) == ReadingState.ANALYSING
    (row,) = worklist_rows(worklist(reader, WorklistFilters()), timezone.now())
    assert [cell.kind for cell in row.ai] == ["busy"]


def test_a_report_moves_the_study_on(reader: Actor) -> None:
    study = make.study(at(reader))
    make.succeeded_job(study)
    report_standing.draft_begun(study)
    assert state(reader, study) == ReadingState.DRAFT
    report_standing.report_signed(study, timezone.now(), {})
    assert state(reader, study) == ReadingState.SIGNED
    assert uids(reader) == []


def test_withdrawn_and_quarantined_studies_leave_the_list_and_can_be_found(reader: Actor) -> None:
    withdrawn = make.study(
        at(reader), withdrawn_at=timezone.now(), withdrawn_by=reader.user, withdrawn_reason="wrong patient"
    )
    quarantined = make.study(at(reader), state=Study.State.QUARANTINED)
    assert uids(reader) == []
    assert uids(reader, state="withdrawn") == [withdrawn.study_instance_uid]
    assert uids(reader, state="quarantined") == [quarantined.study_instance_uid]


def test_another_site_sees_nothing(reader: Actor) -> None:
    make.study(at(reader))
    assert uids(make.actor(Role.RADIOLOGIST, make.site()), state="all") == []


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER])
def test_every_clinician_reads_the_list(role: str) -> None:
    site = make.site()
    make.study(site)
    assert len(uids(make.actor(role, site))) == 1


def test_administrators_see_no_patients() -> None:
    with pytest.raises(NotPermitted):
        worklist(make.actor(Role.ADMINISTRATOR), WorklistFilters())


def test_the_suggested_order_is_priority_then_score_then_waiting(reader: Actor) -> None:
    long_ago = timezone.now() - timedelta(days=2)
    low = make.study(at(reader))
    make.succeeded_job(low, 0.1)
    high = make.study(at(reader))
    make.succeeded_job(high, 0.9)
    oldest_unscored = make.study(at(reader), received_at=long_ago)
    unscored = make.study(at(reader))
    stat = make.study(at(reader), priority="stat")
    urgent = make.study(at(reader), priority="urgent")
    expected = [stat, urgent, high, low, oldest_unscored, unscored]
    assert uids(reader) == [study.study_instance_uid for study in expected]
    assert uids(reader, order=WorklistOrder.WAITING)[0] == oldest_unscored.study_instance_uid
    assert uids(reader, order=WorklistOrder.SCORE)[:2] == [high.study_instance_uid, low.study_instance_uid]
    assert uids(reader, order=WorklistOrder.NEWEST)[-1] == oldest_unscored.study_instance_uid


def test_filters_narrow_the_list(reader: Actor) -> None:
    mammogram = make.study(at(reader), "MG", priority="urgent")
    ultrasound = make.study(at(reader), "US")
    assert uids(reader, modality="US") == [ultrasound.study_instance_uid]
    assert uids(reader, priority="urgent") == [mammogram.study_instance_uid]


def test_a_search_needs_every_word_in_name_id_or_accession_number(reader: Actor) -> None:
    patient = make.patient(at(reader), name="Lindqvist^Sara", patient_id="HN-77")
    found = make.study(at(reader), patient=patient, accession_number="A-1")
    make.study(at(reader), patient=make.patient(at(reader), name="Lindqvist^Maja"))
    assert uids(reader, search="lindqvist sara") == [found.study_instance_uid]
    assert uids(reader, search="hn-77") == [found.study_instance_uid]
    assert uids(reader, search="A-1 lindqvist") == [found.study_instance_uid]
    assert uids(reader, search="100%") == []
    assert uids(reader, search="Lindqvist , Sara") == [found.study_instance_uid], "as it is displayed"


def test_nonsense_in_a_bookmark_opens_the_plain_list(reader: Actor) -> None:
    make.study(at(reader))
    page = worklist(
        reader, WorklistFilters(state="'", modality="XX", priority="?", order="-id", search="\0", page=-4)
    )
    assert page.filters == WorklistFilters()
    assert page.total == 1


def test_a_page_beyond_the_end_shows_the_last(reader: Actor) -> None:
    for _ in range(27):
        make.study(at(reader))
    page = worklist(reader, WorklistFilters(page=9))
    assert (page.filters.page, page.pages, page.total, len(page.studies)) == (2, 2, 27, 2)


def test_the_number_of_queries_does_not_grow_with_the_rows(reader: Actor) -> None:
    def queries() -> int:
        keep_worklist()  # in a fixed number of queries as well, but for whom it finds nothing
        with CaptureQueriesContext(connection) as captured:
            worklist_rows(worklist(reader, WorklistFilters()), timezone.now())
        return len(captured)

    make.succeeded_job(make.study(at(reader)))
    few = queries()
    for _ in range(20):
        make.succeeded_job(make.study(at(reader)))
    assert queries() == few <= 8


def test_failed_and_not_analysed_never_read_as_no_finding(reader: Actor) -> None:
    failed = make.study(at(reader))
    job(failed, "failed", reason="The model server did not answer.")
    not_analysed = make.study(at(reader))
    job(not_analysed, "not_applicable", reason="MLO views are missing.")
    rows = {row.uid: row for row in worklist_rows(worklist(reader, WorklistFilters()), timezone.now())}
    (cell,) = rows[failed.study_instance_uid].ai
    assert (cell.kind, cell.words, cell.detail) == (
        "failed",
        "Analysis failed",
        "The model server did not answer.",
    )
    (cell,) = rows[not_analysed.study_instance_uid].ai
    assert (cell.kind, cell.words, cell.detail) == ("none", "Not analysed", "MLO views are missing.")
    assert all(cell.score is None for row in rows.values() for cell in row.ai)


def test_flags_of_the_result_stand_in_the_row(reader: Actor) -> None:
    make.succeeded_job(make.study(at(reader)))
    (row,) = worklist_rows(worklist(reader, WorklistFilters()), timezone.now())
    assert [flag.code for flag in row.ai[0].flags] == ["uncertain"]


def test_a_signed_study_no_longer_waits(reader: Actor) -> None:
    study = make.study(at(reader))
    report_standing.report_signed(study, timezone.now(), {})
    (row,) = worklist_rows(worklist(reader, WorklistFilters(state="signed")), timezone.now())
    assert row.waiting is None
