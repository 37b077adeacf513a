"""Whoever writes a case locks it first: every pair of the services that do, at once, in two threads on PostgreSQL.

Whatever the order turns out to be, nothing happens after the signature, the signature holds exactly what stood, no
decision is lost and nobody waits for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from cad_platform.accounts.models import Role
from cad_platform.analysis import again
from cad_platform.analysis import services as analysis
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.core.actor import Actor
from cad_platform.core.errors import PlatformError
from cad_platform.reading import services as reading
from cad_platform.reading.case_state import current_findings, decision_of
from cad_platform.reading.models import FindingDecision
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting import services as reporting
from cad_platform.reporting import signing
from cad_platform.reporting.models import Report
from cad_platform.reporting.record import hash_matches
from cad_platform.studies import services as studies
from cad_platform.studies.models import Instance, Study
from inference.contract import AnalysisResult
from inference.runtime.store import read_manifest
from tests import factories
from tests.reporting.test_content import COMPLETE_MG
from tests.reporting.test_standing import as_reading_was_told, as_reports_say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

COMPLETE_US = {name: value for name, value in COMPLETE_MG.items() if name != "density"}
#: Seconds by which the second thread starts later. Making the PDF takes some tenths: the others must meet it.
DELAYS = (0.0,)
DELAYS_BESIDE_SIGNING = (0.0, 0.15, 0.3)


@dataclass
class Case:
    """A case in the middle of its day: two marks of a model, another model at work, a third one failed, and a complete
    draft."""

    study: Study
    image: Instance
    marks: list[Finding]
    claim: analysis.Claim
    failed: AnalysisJob
    draft: Report
    reader: Actor
    colleague: Actor
    administrator: Actor


@pytest.fixture
def people(db: None) -> dict[str, Actor]:
    site = factories.site()
    return {
        "reader": factories.actor(Role.RADIOLOGIST, site),
        "colleague": factories.actor(Role.RADIOLOGIST, site),
        "administrator": factories.actor(Role.ADMINISTRATOR),
    }


def a_case(people: dict[str, Actor]) -> Case:
    study = factories.study(people["reader"].user.site, "US")
    image = factories.instance(study)
    second = factories.model_version("second-opinion", "US")
    read = AnalysisJob.objects.create(
        study=study,
        model_version=second,
        content_hash=study.content_hash,
        state="succeeded",
        result=factories.succeeded_job(factories.study(study.site, "MG")).result,
        score=0.8,
    )
    marks = [factories.finding(image, read) for _ in range(2)]
    failed = AnalysisJob.objects.create(
        study=study,
        model_version=factories.model_version("third-opinion", "US"),
        content_hash=study.content_hash,
        state="failed",
        reason="the file is damaged",
    )
    waiting = AnalysisJob.objects.create(
        study=study, model_version=_served(), content_hash=study.content_hash
    )
    claim = analysis.claim(waiting.pk, "worker-1")
    assert claim is not None
    draft = reporting.open_draft(people["reader"], study)
    draft = reporting.save_draft(people["reader"], draft.pk, COMPLETE_US, draft.revision).report
    return Case(study, image, marks, claim, failed, draft, **people)


def _served() -> ModelVersion:
    manifest = read_manifest("ultrasound", settings.MODEL_STORE)
    return ModelVersion.objects.get_or_create(
        name=manifest.name,
        version=manifest.version,
        defaults={
            "modality": "US",
            "manifest": manifest.model_dump(mode="json"),
            "weights_sha256": manifest.weights.sha256,
            "is_default": True,
            "state": ModelVersion.State.APPROVED,
            "came_with_installation": True,
        },
    )[0]


def _arrive(case: Case) -> bool:
    result = AnalysisResult.model_validate(
        factories.succeeded_job(factories.study(case.study.site, "MG")).result
        | {
            "images": [
                {
                    "image_id": case.image.sop_instance_uid,
                    "probabilities": {"malignant": 0.9},
                    "findings": [{"label": "mass", "score": 0.9, "box": [1, 2, 50, 60]}],
                    "flags": [],
                }
            ]
        }
    )
    return analysis.finish(case.claim, result, [])


def _say(case: Case, mark: int, verdict: str, **fields: Any) -> FindingDecision:
    return reading.decide(case.colleague, case.marks[mark], verdict, **fields)


SERVICES: dict[str, Callable[[Case], Any]] = {
    "accept": lambda case: _say(case, 0, "accepted"),
    "reject": lambda case: _say(case, 0, "rejected", reason="skin fold"),
    "edit": lambda case: _say(case, 1, "edited", reason="larger", box=[90, 190, 230, 300]),
    "add": lambda case: reading.add_finding(case.colleague, case.study, case.image, [5, 5, 80, 80], "mass"),
    "open draft": lambda case: reporting.open_draft(case.colleague, case.study),
    "save draft": lambda case: reporting.save_draft(
        case.colleague, case.draft.pk, COMPLETE_US | {"impression": "Other words."}, case.draft.revision
    ),
    "discard draft": lambda case: reporting.discard_draft(case.colleague, case.draft.pk),
    "be present": lambda case: reporting.update_presence(case.colleague, case.draft.pk),
    "leave": lambda case: reporting.leave_draft(case.reader, case.draft.pk),
    "sign": lambda case: signing.sign(
        case.reader, case.draft.pk, password=factories.PASSWORD, revision=case.draft.revision
    ),
    "begin addendum": lambda case: reporting.open_addendum(case.colleague, case.study),
    "withdraw": lambda case: studies.withdraw(case.colleague, case.study, "wrong patient"),
    "a result arrives": _arrive,
    "a model declines": lambda case: analysis.conclude(
        case.claim, "not_applicable", "not analysed: a phantom"
    ),
    "a worker gives back": lambda case: analysis.give_back(case.claim, "the server was away", away=True),
    "try again": lambda case: again.retry(case.administrator, case.failed),
    "analyse again": lambda case: again.reanalyse(case.colleague, case.study),
}


@dataclass
class Outcome:
    """What a service gave: its value, or the refusal that it raised."""

    value: Any = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.error is None


def at_once(first: str, second: str, case: Case, delay: float) -> tuple[Outcome, Outcome]:
    outcomes = Outcome(), Outcome()
    start = threading.Barrier(2)

    def run(name: str, outcome: Outcome, pause: float) -> None:
        try:
            start.wait(10)
            time.sleep(pause)
            outcome.value = SERVICES[name](case)
        except BaseException as error:
            outcome.error = error
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=(first, outcomes[0], 0.0), daemon=True),
        threading.Thread(target=run, args=(second, outcomes[1], delay), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), f"{first} and {second} wait for each other"
    return outcomes


def check(case: Case, done: dict[str, Outcome]) -> None:
    for name, outcome in done.items():
        assert outcome.done or isinstance(outcome.error, PlatformError), (name, repr(outcome.error))
    study = Study.objects.get(pk=case.study.pk)
    made = [o.value for o in done.values() if isinstance(o.value, FindingDecision)]
    kept = set(FindingDecision.objects.filter(finding__study=study).values_list("pk", flat=True))
    assert {decision.pk for decision in made} == kept, "no decision is lost, and none was made by nobody"
    assert as_reading_was_told(study) == as_reports_say(study)
    if study.withdrawn_at is not None:
        assert all(decision.decided_at < study.withdrawn_at for decision in made)
    report = Report.objects.select_related("study", "amends").filter(pk=case.draft.pk).first()
    if report is None or report.state != Report.State.SIGNED:
        assert not any(name == "sign" and outcome.done for name, outcome in done.items())
        return
    _check_signed(case, report, done)


def _check_signed(case: Case, report: Report, done: dict[str, Outcome]) -> None:
    assert hash_matches(report, report.signature)
    for rival in ("save draft", "discard draft"):
        assert rival not in done or not done[rival].done, f"{rival} after the signature"
    summary = report.ai_summary
    if Report.objects.filter(study=case.study, kind="addendum").exists():
        return
    # Nobody may have decided since, so what stands now is what was signed, but for results that came later.
    signed = {finding["id"]: finding["decision"] for finding in summary["findings"]}
    for finding in current_findings(case.study):
        job = finding.job
        if job is not None and job.finished_at and job.finished_at > report.signature.signed_at:
            assert str(finding.pk) not in signed
            continue
        decision = decision_of(finding)
        recorded = signed[str(finding.pk)]
        assert (recorded and recorded["decided_at"]) == (decision and decision.decided_at.isoformat())
    for job_record in summary["jobs"]:
        job = AnalysisJob.objects.get(pk=job_record["id"])
        later = job.finished_at is not None and job.finished_at > report.signature.signed_at
        waits = job.state in {"requested", "running"}
        assert job.state == job_record["state"] or later or waits


#: One of each kind; the pairs of the others are the long sweep.
ALWAYS = {"accept", "try again"}


@pytest.mark.parametrize(
    "first", [pytest.param(name, marks=[] if name in ALWAYS else pytest.mark.long) for name in SERVICES]
)
def test_each_pair_of_case_services_keeps_the_case_whole(first: str, people: dict[str, Actor]) -> None:
    names = list(SERVICES)
    for second in names[names.index(first) :]:
        for delay in DELAYS_BESIDE_SIGNING if "sign" in {first, second} else DELAYS:
            case = a_case(people)
            # The slower of the two begins.
            pair = (second, first) if second == "sign" else (first, second)
            outcomes = at_once(*pair, case, delay)
            key = (pair[0], pair[1] if pair[0] != pair[1] else f"{pair[1]} too")
            try:
                check(case, dict(zip(key, outcomes, strict=True)))
            except AssertionError as error:
                raise AssertionError(f"{pair}, {delay} s apart: {error}") from error


#: What needs a signed report to do anything.
AFTER_SIGNING = {"begin addendum"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_does_its_work_on_such_a_case_alone(name: str, people: dict[str, Actor]) -> None:
    case = a_case(people)
    if name in AFTER_SIGNING:
        SERVICES["sign"](case)
    assert SERVICES[name](case) is not False
