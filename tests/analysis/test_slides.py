"""A slide of several files is analysed as one image, and says the same as the same slide in one file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cad_platform.analysis import tasks
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core.queues import SLIDE
from cad_platform.reporting import ai_summary, statements
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import images_in_order
from imaging.phantoms import histology
from tests.posted_files import Hospital
from tests.whole_slides import WholeSlide, section, smaller

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def pixels() -> Any:
    return histology.slide(5, shape=(1100, 1400)).pixels


def analysed(made: WholeSlide, contents: list[bytes]) -> tuple[str, AnalysisJob]:
    response = Hospital().post(None, {f"{number}.dcm": content for number, content in enumerate(contents)})
    assert response.status_code == 201, response.content
    study = Study.objects.get(study_instance_uid=made.study)
    tasks.study_complete(str(study.pk))
    return tasks.run(SLIDE), AnalysisJob.objects.get(study=study)


def test_levels_concatenations_and_labels_say_what_one_file_says(models: Any, pixels: Any) -> None:
    alone = WholeSlide(patient_id="ONE")
    outcome, expected = analysed(alone, [alone.file(pixels, 0.5)])
    assert outcome == "succeeded", expected.reason
    made = WholeSlide(patient_id="SEVERAL")
    outcome, job = analysed(
        made,
        [
            made.file(section(128, 128), 9.0, "LABEL", SpecimenLabelInImage="YES"),
            made.file(smaller(pixels, 8), 4.0, "THUMBNAIL"),
            *reversed(made.concatenation(pixels, 3, 0.5)),
            made.file(smaller(pixels, 16), 40.0, "OVERVIEW", SpecimenLabelInImage="YES"),
        ],
    )
    assert outcome == "succeeded", job.reason
    (image,) = job.result["images"]
    (head,) = images_in_order(job.study)
    assert image["image_id"] == head.sop_instance_uid
    assert image["probabilities"] == expected.result["images"][0]["probabilities"]
    assert image["findings"] == expected.result["images"][0]["findings"]


def test_a_slide_with_a_part_missing_is_not_analysed(models: Any, pixels: Any) -> None:
    made = WholeSlide()
    _, job = analysed(made, made.concatenation(pixels, 3, 0.5)[1:])
    assert job.state == AnalysisJob.State.NOT_APPLICABLE
    assert job.reason == "not analysed: The slide is incomplete: of its 3 parts number 1 is missing."


def test_a_slide_with_an_absurd_spacing_is_not_analysed(models: Any, pixels: Any) -> None:
    made = WholeSlide()
    _, job = analysed(made, [made.file(pixels, 900.0)])
    assert (job.state, job.reason) == ("not_applicable", "not analysed: µm per pixel missing")


def test_one_slide_that_cannot_be_read_does_not_end_the_studys_analysis(models: Any, pixels: Any) -> None:
    made = WholeSlide(container="A1")
    incomplete = WholeSlide(study=made.study, container="A2")
    _, job = analysed(made, [*incomplete.concatenation(pixels, 3, 0.5)[1:], made.file(pixels, 0.5)])
    assert job.state == AnalysisJob.State.SUCCEEDED, job.reason
    said = {image["image_id"]: image["not_read"] for image in job.result["images"]}
    assert sorted(said.values()) == ["", "The slide is incomplete: of its 3 parts number 1 is missing."]
    assert "not_read" in job.result["flags"]
    record = ai_summary.summary_of(job.study)["jobs"][0]
    said_in_report = statements.job_statement(record)["statement"]
    assert re.search(r"Not read: Image . \(The slide is incomplete: of its 3 parts number 1", said_in_report)
