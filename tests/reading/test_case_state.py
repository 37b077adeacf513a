"""One definition of the result that counts, and everybody asks it: worklist, page, API, report."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import again
from cad_platform.analysis import services as analysis
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core.actor import Actor
from cad_platform.reading import case_state, services
from cad_platform.reading.case_presenter import case_page
from cad_platform.reading.presenters import worklist_rows
from cad_platform.reading.selectors import case
from cad_platform.reading.states import ReadingState
from cad_platform.reading.worklist import WorklistFilters, WorklistOrder, worklist
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting.ai_summary import summary_of
from cad_platform.studies.models import Study
from tests import factories as make

pytestmark = pytest.mark.django_db
PLATFORM = Path(__file__).resolve().parents[2] / "cad_platform"


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def study(reader: Actor) -> Study:
    return make.study(reader.user.site)


@pytest.fixture
def versions() -> tuple[ModelVersion, ModelVersion]:
    """An old version and the one in use."""
    old = make.model_version(version="0.9.0", is_default=False)
    return old, make.model_version(version="1.0.0")


def job(study: Study, version: ModelVersion, score: float | None = None, **fields: Any) -> AnalysisJob:
    result = make.succeeded_job(make.study(make.site(), "US")).result
    done = {"state": "succeeded", "score": score, "result": result, "finished_at": timezone.now()}
    made = AnalysisJob.objects.create(
        study=study,
        model_version=version,
        content_hash=study.content_hash,
        **({} if score is None else done) | fields,
    )
    return AnalysisJob.objects.get(pk=made.pk)


def shown(reader: Actor, study: Study) -> dict[str, Any]:
    """The score by which the worklist sorts, and those that it, the page, the API's state and the report show."""
    listing = worklist(reader, WorklistFilters(state="all", search=study.accession_number))
    (listed,) = listing.studies
    (row,) = worklist_rows(listing, timezone.now())
    page = case_page(case(reader, study.study_instance_uid))
    return {
        "order": listed.ai_score,  # type: ignore[attr-defined]
        "cell": [cell.score and cell.score.percent for cell in row.ai],
        "page": [view.cell.score and view.cell.score.percent for view in page.analyses],
        "report": [one["version"] for one in summary_of(study)["jobs"]],
        "findings": [finding.number for finding in page.findings],
        "in report": [finding["number"] for finding in summary_of(study)["findings"]],
    }


def test_the_worklist_sorts_by_what_it_shows(reader: Actor, versions: Any) -> None:
    old, new = versions
    risky, calm = make.study(reader.user.site), make.study(reader.user.site)
    job(risky, new, 0.5)
    job(calm, old, 0.95)
    job(calm, new, 0.2)
    page = worklist(reader, WorklistFilters(order=WorklistOrder.SCORE))
    assert [study.pk for study in page.studies] == [risky.pk, calm.pk]
    found = shown(reader, calm)
    assert (found["order"], found["cell"], found["page"], found["report"]) == (0.2, [20], [20], ["1.0.0"])


@pytest.mark.parametrize("old_first", [True, False])
def test_a_retry_never_makes_an_older_version_count(
    reader: Actor, study: Study, versions: Any, old_first: bool
) -> None:
    old, new = versions
    now = timezone.now()
    earlier, later = (now - timedelta(hours=2), now - timedelta(hours=1))
    failed = job(study, old, state="failed", reason="damaged", requested_at=earlier if old_first else later)
    done = job(study, new, 0.2, requested_at=later if old_first else earlier)
    make.finding(make.instance(study), done)
    before = shown(reader, study)
    ModelVersion.objects.filter(pk=new.pk).update(is_default=False)
    ModelVersion.objects.filter(pk=old.pk).update(is_default=True)
    again.retry(make.actor(Role.ADMINISTRATOR), failed)
    ModelVersion.objects.filter(pk=old.pk).update(is_default=False)
    ModelVersion.objects.filter(pk=new.pk).update(is_default=True)
    assert shown(reader, study) == before
    assert (before["cell"], before["findings"], before["in report"]) == ([20], [1], [1])


def test_a_retry_moves_no_time_by_which_results_are_ordered(study: Study, versions: Any) -> None:
    failed = job(study, versions[1], state="failed", reason="damaged")
    tried = again.retry(make.actor(Role.ADMINISTRATOR), failed)
    assert tried.requested_at == failed.requested_at and tried.waiting_since > failed.requested_at


def test_a_version_that_was_not_asked_yet_leaves_the_earlier_result_standing(
    reader: Actor, study: Study, versions: Any
) -> None:
    old, _ = versions
    make.finding(make.instance(study), job(study, old, 0.95))
    found = shown(reader, study)
    assert (found["order"], found["cell"], found["report"]) == (0.95, [95], ["0.9.0"])
    assert found["findings"] == found["in report"] == [1]
    (view,) = case_page(case(reader, study.study_instance_uid)).analyses
    assert view.cell.stands_in == "0.9.0", "and the page says that it is not the one in use"


@pytest.mark.parametrize("state", ["requested", "running", "failed", "not_applicable"])
def test_once_asked_the_version_in_use_counts_whatever_came_of_it(
    reader: Actor, study: Study, versions: Any, state: str
) -> None:
    old, new = versions
    make.finding(make.instance(study), job(study, old, 0.95))
    job(study, new, state=state, reason="" if state in {"requested", "running"} else "why")
    found = shown(reader, study)
    assert (found["order"], found["cell"], found["findings"], found["report"]) == (
        None,
        [None],
        [],
        ["1.0.0"],
    )
    (listed,) = worklist(reader, WorklistFilters(state="all")).studies
    waits = state in {"requested", "running"}
    expected = ReadingState.ANALYSING if waits else ReadingState.READY
    assert listed.reading_state == expected  # type: ignore[attr-defined]
    assert case_state.analysed([study]) == (set() if waits else {study.pk})
    page = case_page(case(reader, study.study_instance_uid))
    assert [earlier.percent for earlier in page.earlier] == [95], "and stays to be seen"


def test_a_cancelled_job_of_the_version_in_use_hides_no_result(
    reader: Actor, study: Study, versions: Any
) -> None:
    old, new = versions
    job(study, new, state="cancelled", reason="mammography 0.9.0 is used now")
    job(study, old, 0.6)
    assert shown(reader, study)["cell"] == [60]


def test_a_result_of_earlier_content_counts_nowhere(reader: Actor, study: Study, versions: Any) -> None:
    done = job(study, versions[1], 0.9)
    make.finding(make.instance(study), done)
    Study.objects.filter(pk=study.pk).update(content_hash="e" * 64)
    study.refresh_from_db()
    found = shown(reader, study)
    assert (found["order"], found["cell"], found["report"], found["findings"]) == (None, [None], [], [])
    assert case_state.analysed([study]) == set()


def test_each_model_has_its_own_result_that_counts(reader: Actor, study: Study, versions: Any) -> None:
    job(study, versions[0], 0.99)
    job(study, versions[1], 0.3)
    job(study, make.model_version("second-opinion"), 0.7)
    found = shown(reader, study)
    assert (found["order"], found["cell"], found["page"]) == (0.7, [30, 70], [30, 70])


def test_what_a_reader_took_over_outlives_the_result_that_it_came_from(
    reader: Actor, study: Study, versions: Any
) -> None:
    old, new = versions
    image = make.instance(study)
    first = job(study, old, 0.9)
    accepted, edited, rejected, _undecided = (make.finding(image, first) for _ in range(4))
    make.decision(accepted, reader.user)
    make.decision(edited, reader.user, "edited", reason="larger", label="asymmetry")
    make.decision(rejected, reader.user, "rejected", reason="skin fold")
    fresh = make.finding(image, job(study, new, 0.4))
    kept = [accepted.number, edited.number, fresh.number]
    assert shown(reader, study)["findings"] == shown(reader, study)["in report"] == kept
    sources = [finding.source for finding in case_page(case(reader, study.study_instance_uid)).findings]
    assert sources == ["mammography 0.9.0, an earlier result"] * 2 + ["mammography"]


def test_the_api_tells_which_jobs_count_and_lists_their_findings_alone(
    reader: Actor, study: Study, versions: Any
) -> None:
    old, new = versions
    image = make.instance(study)
    make.finding(image, job(study, old, 0.95))
    make.finding(image, job(study, new, 0.2))
    client = Client()
    client.force_login(reader.user)
    answer = client.get(reverse("api-study", args=[study.study_instance_uid])).json()
    assert {one["version"]: one["current"] for one in answer["jobs"]} == {"0.9.0": False, "1.0.0": True}
    assert [finding["model_version"] for finding in answer["findings"]] == ["1.0.0"]
    assert answer["state"] == "analysed"


def test_a_result_that_came_after_the_signature_says_so(reader: Actor, study: Study, versions: Any) -> None:
    from cad_platform.reporting import services as reporting
    from cad_platform.reporting import signing
    from tests.reporting.test_content import COMPLETE_MG

    waiting = job(study, versions[1])
    draft = reporting.open_draft(reader, study)
    draft = reporting.save_draft(reader, draft.pk, COMPLETE_MG, draft.revision).report
    signing.sign(reader, draft.pk, password=make.PASSWORD, revision=draft.revision)
    claim = analysis.claim(waiting.pk, "worker-1")
    assert claim is not None and analysis.conclude(claim, "failed", "the file is damaged")
    (view,) = case_page(case(reader, study.study_instance_uid)).analyses
    assert view.after_signature


# --- one owner -------------------------------------------------------------------------------------------


def _compares_content(source: str) -> bool:
    """Whether a source asks for the jobs of a study's present content in its own words."""
    return any(
        isinstance(node, ast.keyword)
        and node.arg == "content_hash"
        and "content_hash" in ast.unparse(node.value)
        for node in ast.walk(ast.parse(source))
    )


def test_nobody_else_says_which_result_counts() -> None:
    """Who makes jobs, or has another version look beside them, must know those of the present content; who shows any
    asks `case_state`."""
    makers = {
        *("analysis/again.py", "analysis/requesting.py", "analysis/sweeper.py", "studies/services.py"),
        *("analysis/shadow.py", "analysis/comparing.py"),
    }
    found = {
        str(path.relative_to(PLATFORM))
        for path in PLATFORM.rglob("*.py")
        if "migrations" not in path.parts and _compares_content(path.read_text())
    }
    assert found - makers - _KNOWN == {"reading/case_state.py"}


#: The hash of a report's record has the same name.
_KNOWN = {"reporting/signing.py", "reporting/selectors.py", "reporting/views.py"}


def test_a_second_definition_would_be_seen() -> None:
    assert _compares_content("AnalysisJob.objects.filter(study=study, content_hash=study.content_hash)")


@pytest.mark.parametrize("path", sorted(PLATFORM.glob("*/selectors.py")), ids=lambda path: path.parent.name)
def test_selectors_record_nothing(path: Path) -> None:
    imported = [
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cad_platform.audit")
        for alias in node.names
    ]
    assert "record" not in imported and "services" not in imported


# --- what was shown --------------------------------------------------------------------------------------


def test_the_worklists_record_names_the_list_that_was_shown(reader: Actor) -> None:
    from cad_platform.audit.models import AuditEvent

    first = make.study(reader.user.site)
    page = worklist(reader, WorklistFilters())
    make.study(reader.user.site)  # arrives between the list and its record
    services.show_worklist(reader, page)
    event = AuditEvent.objects.get(action="study.list")
    assert event.detail["studies"] == [str(first.pk)] and event.detail["rows"] == 1


def test_a_poll_of_the_worklist_asks_once_and_records_what_changed(reader: Actor) -> None:
    from cad_platform.audit.models import AuditEvent

    client = Client(headers={"HX-Request": "true"})
    client.force_login(reader.user)
    make.study(reader.user.site)
    page = client.post(reverse("worklist"), {"seen": "something else"})
    assert page.status_code == 200
    seen = page.context["fingerprint"]
    assert client.post(reverse("worklist"), {"seen": seen}).status_code == 204
    assert AuditEvent.objects.filter(action="study.list").count() == 1
    make.study(reader.user.site)
    assert client.post(reverse("worklist"), {"seen": seen}).status_code == 200
    latest = AuditEvent.objects.filter(action="study.list").latest("pk")
    assert len(latest.detail["studies"]) == 2


def test_a_result_that_arrives_while_the_case_is_open_is_recorded_once(
    reader: Actor, study: Study, versions: Any
) -> None:
    from cad_platform.audit.models import AuditEvent

    waiting = job(study, versions[1])
    mark = make.finding(make.instance(study), author=reader.user)
    client = Client(headers={"HX-Request": "true"})
    client.force_login(reader.user)
    live = reverse("case-live", args=[study.study_instance_uid])

    def recorded() -> list[dict[str, str]]:
        events = AuditEvent.objects.filter(action="study.results").order_by("pk")
        return [event.detail["jobs"] for event in events]

    client.get(reverse("case", args=[study.study_instance_uid]))
    client.get(live, {"seen": "of another language"})
    assert recorded() == [], "nothing had arrived"
    result = make.succeeded_job(make.study(make.site(), "US")).result
    AnalysisJob.objects.filter(pk=waiting.pk).update(
        state="succeeded", score=0.4, result=result, finished_at=timezone.now()
    )
    for _ in range(2):
        assert client.get(live, {"seen": "before"}).status_code == 200
    services.decide(reader, mark, "rejected", reason="skin fold")
    client.get(live, {"seen": "before the decision"})
    assert recorded() == [{str(waiting.pk): "succeeded"}]
