"""Out of distribution means no verdict, wherever a result is shown; fainter marks are shown when asked for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role, Site
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding
from cad_platform.analysis.verdict import least_score, score_of, verdict_of
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.reading import selectors
from cad_platform.reading.case_presenter import CasePage, case_page
from cad_platform.reading.presenters import worklist_rows
from cad_platform.reading.worklist import WorklistFilters, WorklistOrder, worklist
from cad_platform.reporting.ai_summary import summary_of
from cad_platform.reporting.statements import job_statement
from cad_platform.studies.models import Instance, Study
from tests import factories as make
from tests.posted_files import Hospital

pytestmark = pytest.mark.django_db
UNLIKE, WELL = "out_of_distribution", "low_quality"


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def study(reader: Actor) -> Study:
    return make.study(reader.user.site)


def result_of(
    images: dict[Instance, list[str]], judged: list[Instance] | None, **more: Any
) -> dict[str, Any]:
    flags = [flag for of in images.values() for flag in of]
    return {
        "probabilities": {"malignant": 0.97, "normal": 0.03},
        "breasts": {"L": {"malignant": 0.97}},
        "images": [
            {"image_id": image.sop_instance_uid, "probabilities": {"malignant": 0.97}, "flags": of}
            for image, of in images.items()
        ],
        "judged_images": None if judged is None else [image.sop_instance_uid for image in judged],
        "flags": list(dict.fromkeys(flags)),
        **more,
    }


def analysed(study: Study, result: dict[str, Any], manifest: dict[str, Any] | None = None) -> AnalysisJob:
    done = make.succeeded_job(study)
    assert done.result is not None
    done.result = {**done.result, **result}
    done.score = score_of(done.result, "malignant")
    done.save()
    done.model_version.manifest = {"title": "M", "positive_class": "malignant", **(manifest or {})}
    done.model_version.save()
    return done


def page_of(reader: Actor, study: Study) -> CasePage:
    return case_page(selectors.case(reader, study.study_instance_uid))


def cell_of(reader: Actor, study: Study) -> Any:
    (row,) = worklist_rows(worklist(reader, WorklistFilters(search=study.accession_number)), timezone.now())
    (cell,) = row.ai
    return cell


@pytest.mark.parametrize("judged", [[], None], ids=["as the model says", "a result of 2.2.0"])
def test_images_unlike_those_learnt_from_get_no_verdict_anywhere(
    reader: Actor, study: Study, judged: list[Instance] | None
) -> None:
    image = make.instance(study)
    job = analysed(study, result_of({image: [UNLIKE, WELL]}, judged))
    mark = make.finding(image, job)
    Artefact.objects.create(job=job, instance=image, kind="heatmap", file=image.file)
    cell = cell_of(reader, study)
    assert (cell.kind, cell.score, cell.words) == ("withheld", None, "No verdict")
    page = page_of(reader, study)
    (analysis,) = page.analyses
    assert (analysis.cell.kind, analysis.classes, analysis.breasts) == ("withheld", [], [])
    assert (page.findings, page.heatmaps(), page.undecided) == ([], {}, 0)
    summary = summary_of(study)
    assert (summary["findings"], summary["undecided"]) == ([], [])
    said = job_statement(summary["jobs"][0])["statement"]
    assert said.startswith("No verdict") and "0.97" not in said and "97" not in said
    assert Finding.objects.filter(pk=mark.pk).exists()


def test_no_verdict_neither_leads_nor_ranks_in_the_worklist(reader: Actor) -> None:
    heart, calm, risky = (make.study(reader.user.site) for _ in range(3))
    analysed(heart, result_of({make.instance(heart): [UNLIKE]}, []))
    for study, score in ((calm, 0.1), (risky, 0.6)):
        image = make.instance(study)
        analysed(study, result_of({image: []}, [image], probabilities={"malignant": score}))
    for order in (WorklistOrder.SUGGESTED, WorklistOrder.SCORE):
        listed = worklist(reader, WorklistFilters(order=order)).studies
        assert [study.pk for study in listed] == [risky.pk, calm.pk, heart.pk]
        assert listed[-1].ai_score is None  # type: ignore[attr-defined]


def test_where_some_images_cannot_be_judged_the_verdict_is_of_the_others_and_says_so(
    reader: Actor, study: Study
) -> None:
    good, bad = make.instance(study, "L", "CC"), make.instance(study, "L", "MLO")
    job = analysed(study, result_of({good: [], bad: [UNLIKE]}, [good]))
    kept, hidden = make.finding(good, job), make.finding(bad, job)
    cell = cell_of(reader, study)
    assert (cell.kind, cell.score.percent) == ("score", 97)
    assert [flag.code for flag in cell.flags] == ["partial"]
    page = page_of(reader, study)
    assert [finding.id for finding in page.findings] == [str(kept.pk)] and str(hidden.pk)
    (analysis,) = page.analyses
    assert [(side.name, side.score is None) for side in analysis.images] == [("L CC", False), ("L MLO", True)]
    assert "Not of every image" in job_statement(summary_of(study)["jobs"][0])["statement"]


def test_what_a_reader_took_over_stays_though_the_image_cannot_be_judged(reader: Actor, study: Study) -> None:
    image = make.instance(study)
    taken = make.finding(image, analysed(study, result_of({image: [UNLIKE]}, [])))
    make.decision(taken, reader.user)
    assert [finding.id for finding in page_of(reader, study).findings] == [str(taken.pk)]


def test_an_older_mixed_result_is_no_verdict(study: Study) -> None:
    good, bad = make.instance(study, "L", "CC"), make.instance(study, "L", "MLO")
    verdict = verdict_of(analysed(study, result_of({good: [], bad: [UNLIKE]}, None)))
    assert verdict is not None and not verdict.is_given and verdict.score is None


# --- marks ----------------------------------------------------------------------------------------------

LEVELS = {"0.25": 0.8, "0.5": 0.6, "1": 0.4, "2": 0.2}


@pytest.mark.parametrize(
    ("rate", "level"), [(1.0, 0.4), (0.5, 0.6), (1.5, 0.4), (2.0, 0.2), (9.0, 0.2), (0.1, 0.8)]
)
def test_the_level_of_marks_follows_from_the_sites_rate(rate: float, level: float) -> None:
    assert least_score({"mark_thresholds": LEVELS}, rate) == level
    assert least_score({}, rate) == 0.0


def marks(study: Study, *scores: float) -> list[Finding]:
    image = make.instance(study, "L", "CC")
    job = analysed(study, result_of({image: []}, [image]), {"mark_thresholds": LEVELS, "mark_class": "mass"})
    return [make.finding(image, job, score=score) for score in scores]


def test_fainter_marks_are_folded_away_and_count_nowhere(reader: Actor, study: Study) -> None:
    marks(study, 0.9, 0.41, 0.39, 0.03)
    page = page_of(reader, study)
    assert [finding.percent for finding in page.shown] == [90, 41]
    assert [finding.percent for finding in page.faint] == [39, 3]
    assert [finding["shown"] for finding in page.viewer_findings()] == [True, True, False, False]
    assert page.undecided == 2
    summary = summary_of(study)
    assert [finding["score"] for finding in summary["findings"]] == [0.9, 0.41]
    assert (summary["undecided"], summary["fainter_marks"]) == ([1, 2], 2)


def test_a_site_that_bears_more_false_marks_sees_more(reader: Actor, study: Study) -> None:
    marks(study, 0.9, 0.41, 0.39, 0.03)
    Site.objects.filter(pk=study.site_id).update(false_marks_per_exam=2.0)
    assert len(page_of(reader, study).shown) == 3


def test_a_faint_mark_that_a_reader_decides_on_counts_like_any(reader: Actor, study: Study) -> None:
    _, faint = marks(study, 0.9, 0.1)
    make.decision(faint, reader.user, "accepted")
    assert [finding.id for finding in page_of(reader, study).faint] == []
    assert [finding["number"] for finding in summary_of(study)["findings"]] == [1, 2]
    make.decision(faint, reader.user, "undecided")
    assert [finding.id for finding in page_of(reader, study).faint] == [str(faint.pk)]


def test_the_page_offers_the_fainter_marks(reader: Actor, study: Study, client: Client) -> None:
    marks(study, 0.9, 0.1)
    client.force_login(reader.user)
    text = client.get(reverse("case", args=[study.study_instance_uid])).content.decode()
    assert "1 fainter mark not shown" in text and "probability of a mass" in text
    assert "1 to decide" in text


# --- the API and the site's setting -----------------------------------------------------------------------


def test_the_api_says_whether_there_is_a_verdict_and_of_which_images() -> None:
    hospital = Hospital()
    study = make.study(hospital.site)
    good, bad = make.instance(study, "L", "CC"), make.instance(study, "L", "MLO")
    job = analysed(study, result_of({good: [], bad: [UNLIKE]}, [good]), {"mark_thresholds": LEVELS})
    make.finding(good, job, score=0.9)
    make.finding(good, job, score=0.1)
    make.finding(bad, job)
    body = hospital.get(f"/{study.study_instance_uid}").json()
    (answered,) = body["jobs"]
    assert answered["verdict"] == {
        "given": True,
        "probability": 0.97,
        "probability_of": "malignant",
        "reason": "",
        "flags": [],
        "images": [good.sop_instance_uid],
        "images_left_out": [bad.sop_instance_uid],
    }
    assert [(found["score"], found["score_of"], found["shown"]) for found in body["findings"]] == [
        (0.9, "mass", True),
        (0.1, "mass", False),
    ]
    heart = make.study(hospital.site)
    analysed(heart, result_of({make.instance(heart): [UNLIKE]}, []))
    (answered,) = hospital.get(f"/{heart.study_instance_uid}").json()["jobs"]
    verdict = answered["verdict"]
    assert (verdict["given"], verdict["probability"], verdict["reason"]) == (False, None, UNLIKE)
    assert answered["result"]["flags"] == [UNLIKE] and answered["result"]["probabilities"]


def test_an_administrator_chooses_the_rate_and_it_is_on_record(client: Client) -> None:
    site = make.site()
    client.force_login(make.user(Role.ADMINISTRATOR))
    address = reverse("site", args=[site.pk])
    assert client.post(address, {"name": site.name, "false_marks_per_exam": "3"}).status_code == 422
    assert client.post(address, {"name": site.name, "false_marks_per_exam": "0.5"}).status_code == 302
    site.refresh_from_db()
    assert site.false_marks_per_exam == 0.5
    event = AuditEvent.objects.get(action="site.update")
    assert event.detail["changed"] == ["false_marks_per_exam"]
