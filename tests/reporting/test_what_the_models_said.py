"""What a signed report and its PDF say of the models: named numbers, flags beside them, nothing that is no verdict, no
faint marks; in the language of whoever signs."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.verdict import score_of, thresholds_of
from cad_platform.core.actor import Actor
from cad_platform.reporting.ai_summary import summary_of
from cad_platform.reporting.models import Report
from cad_platform.reporting.selectors import readiness
from cad_platform.studies.models import Instance, Study
from tests import factories as make
from tests.reporting.test_services import complete_draft, pdf_of, signed_report

pytestmark = pytest.mark.django_db
UNLIKE = "out_of_distribution"
MANIFEST = {
    "title": "Mammography: abnormality of a view, masses and their malignancy",
    "positive_class": "abnormal",
    "thresholds": {"high_sensitivity": 0.2, "balanced": 0.4, "high_specificity": 0.6},
    "mark_thresholds": {"1": 0.5},
}


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def study(reader: Actor) -> Study:
    return make.study(reader.user.site)


def analysed(study: Study, images: dict[Instance, list[str]]) -> AnalysisJob:
    job = make.succeeded_job(study)
    assert job.result is not None
    good = [image for image, flags in images.items() if UNLIKE not in flags]
    job.result |= {
        "probabilities": {"normal": 0.16, "abnormal": 0.84, "malignancy": 0.9},
        "breasts": {"L": {"abnormal": 0.84}},
        "thresholds": MANIFEST["thresholds"],
        "flags": sorted({flag for flags in images.values() for flag in flags}),
        "judged_images": [image.sop_instance_uid for image in good],
        "images": [
            {
                "image_id": image.sop_instance_uid,
                "probabilities": {"abnormal": 0.84},
                "flags": flags,
                "frames_read": list(range(min(image.frames, 60))),
            }
            for image, flags in images.items()
        ],
    }
    job.score = score_of(job.result, "abnormal")
    job.save()
    job.model_version.manifest = MANIFEST
    job.model_version.save()
    return job


def test_a_result_without_points_is_told_by_those_of_its_version(study: Study) -> None:
    """As the pages tell it: a result that was kept before results had points of their own."""
    job = analysed(study, {make.instance(study, "L", "CC"): []})
    assert job.result is not None
    del job.result["thresholds"]
    job.save()
    (said,) = summary_of(study)["jobs"]
    assert said["thresholds"] == MANIFEST["thresholds"] == dict(thresholds_of(job))


def text_of(report: Report) -> str:
    return "".join("".join(page.extract_text().split()) for page in pdf_of(report).pages)


def a_case(study: Study, reader: Actor) -> None:
    """A judged view, a clip of which half was read, and a view that the model cannot judge; marks strong and faint."""
    good, clip = make.instance(study, "L", "CC"), make.instance(study, "L", "MLO", number=2, frames=120)
    bad = make.instance(study, "R", "CC", number=3)
    job = analysed(study, {good: ["uncertain"], clip: [], bad: [UNLIKE]})
    strong, faint = make.finding(good, job, score=0.842), make.finding(good, job, score=0.03)
    make.finding(bad, job, score=0.99)
    make.decision(strong, reader.user)
    assert faint.number == 2


def test_in_english(study: Study, reader: Actor) -> None:
    a_case(study, reader)
    draft = complete_draft(reader, study)
    assert "marks_undecided" not in [each.rule.id for each in readiness(reader, draft.pk).contradictions]
    text = text_of(signed_report(reader, study))
    for words in (
        "Highly suspicious: probability of an abnormality 84 % (Not of every image; Uncertain)",
        "Left breast 84 %",
        "Images read: L CC, L MLO (frames 1–60 of 120), R CC (no verdict)",
        "probability of a mass 84 %",
        "1 fainter mark was not shown (this site bears 1 false marks an exam on average).",
        "Accepted by",
    ):
        assert "".join(words.split()) in text, words
    for words in ("Score", "0.84", "0.99", "99%", "3%", "Notdecided", "operatingpoint", "malignancy90"):
        assert words not in text, words


def test_in_chinese(study: Study, reader: Actor) -> None:
    a_case(study, reader)
    with translation.override("zh-hans"):
        text = text_of(signed_report(reader, study))
    for words in (
        "高度可疑：异常概率84%（并非针对全部图像；不确定）",
        "肿块概率84%",
        "1·LCC·肿块",
        "所见",
        "（第1–60帧，总120帧）",
    ):
        assert words in text, words
    for words in ("mass", "发现", "Mammography:", "probability", "masses"):
        assert words not in text, words
    # The record is one, whatever language its reader works in.
    assert "mass" in Report.objects.get(study=study).content["findings"][0]["heading"]


def test_no_verdict_is_said_with_its_reason_and_without_a_number(study: Study, reader: Actor) -> None:
    image = make.instance(study, "L", "CC")
    make.finding(image, analysed(study, {image: [UNLIKE, "low_quality"]}), score=0.97)
    report = signed_report(reader, study)
    text = text_of(report)
    assert "Noverdict:Themodelhasnotlearntfromimageslikethisone" in text
    for words in ("84%", "97%", "Highlysuspicious", "Marksanddecisions"):
        assert words not in text, words
    (job,) = report.ai_summary["jobs"]
    assert (job["has_verdict"], job["probabilities"], report.ai_summary["findings"]) == (False, {}, [])


def test_a_failure_is_said_in_the_readers_language(study: Study, reader: Actor) -> None:
    make.instance(study)
    AnalysisJob.objects.create(
        study=study,
        model_version=make.model_version(),
        content_hash=study.content_hash,
        state=AnalysisJob.State.FAILED,
        reason="the machine was short of memory (8 attempts)",
    )
    with translation.override("zh-hans"):
        text = text_of(signed_report(reader, study))
    assert "服务器内存不足" in text and "short" not in text


def test_a_report_signed_before_reads_as_it_was_signed() -> None:
    from cad_platform.reporting.statements import job_statement

    old: dict[str, Any] = {
        "title": "M", "version": "2.2.0", "model": "m", "state": "succeeded", "reason": "",
        "positive_class": "abnormal",
        "probabilities": {"abnormal": 0.84}, "breasts": {}, "flags": [UNLIKE], "thresholds": {},
        "weights_sha256": "", "preprocessing_sha256": "", "finished_at": None,
    }  # fmt: skip
    assert job_statement(old)["statement"] == "probability of an abnormality 84 % (No verdict)"
