"""What the case page shows of a study, made without HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob, Artefact
from cad_platform.core.actor import Actor
from cad_platform.reading import selectors, services
from cad_platform.reading.case_presenter import CasePage, case_page
from cad_platform.studies.models import Study
from tests import factories as make

pytestmark = pytest.mark.django_db

MANIFEST = {
    "title": "Mammography",
    "positive_class": "malignant",
    "thresholds": {"high_sensitivity": 0.2, "balanced": 0.5, "high_specificity": 0.8},
}


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def study(reader: Actor) -> Study:
    return make.study(reader.user.site)


def page_of(reader: Actor, study: Study) -> CasePage:
    return case_page(selectors.case(reader, study.study_instance_uid))


def job(study: Study, state: str, **fields: Any) -> AnalysisJob:
    version = make.model_version()
    version.manifest = MANIFEST
    version.save()
    return AnalysisJob.objects.create(
        study=study, model_version=version, content_hash=study.content_hash, state=state, **fields
    )


def analysed(study: Study, **result: Any) -> AnalysisJob:
    done = make.succeeded_job(study)
    done.model_version.manifest = MANIFEST
    done.model_version.save()
    assert done.result is not None
    done.result = {**done.result, "thresholds": MANIFEST["thresholds"], **result}
    done.save()
    return done


def test_the_provenance_line_names_model_version_hashes_and_thresholds(reader: Actor, study: Study) -> None:
    analysed(study)
    (analysis,) = page_of(reader, study).analyses
    provenance = analysis.provenance
    assert provenance is not None
    assert (provenance.model, provenance.version) == ("mammography", "1.0.0")
    assert provenance.weights_full == "ab" * 32
    assert provenance.weights == "ab" * 6
    assert provenance.preprocessing_full == "cd" * 32
    assert provenance.thresholds == [("high sensitivity", 0.2), ("balanced", 0.5), ("high specificity", 0.8)]
    assert provenance.finished_at is not None


def test_scores_are_said_for_study_breasts_and_images(reader: Actor, study: Study) -> None:
    right, left = make.instance(study, "R", "MLO"), make.instance(study, "L", "CC")
    analysed(
        study,
        breasts={"R": {"malignant": 0.1}, "L": {"malignant": 0.9}},
        images=[
            {"image_id": right.sop_instance_uid, "probabilities": {"malignant": 0.1}, "flags": []},
            {
                "image_id": left.sop_instance_uid,
                "probabilities": {"malignant": 0.9},
                "flags": ["low_quality"],
            },
        ],
    )
    (analysis,) = page_of(reader, study).analyses
    assert analysis.cell.score is not None
    assert (analysis.cell.score.words, analysis.cell.score.percent) == ("Highly suspicious", 87)
    assert [(side.name, side.score.words) for side in analysis.breasts] == [
        ("Right breast", "Not suspicious"),
        ("Left breast", "Highly suspicious"),
    ]
    assert {image.name for image in analysis.images} == {"R MLO", "L CC"}
    assert [flag.code for image in analysis.images for flag in image.flags] == ["low_quality"]


def test_a_failed_analysis_says_why_and_shows_no_score(reader: Actor, study: Study) -> None:
    job(study, "failed", reason="The model server did not answer.")
    (analysis,) = page_of(reader, study).analyses
    assert (analysis.cell.kind, analysis.cell.detail) == ("failed", "The model server did not answer.")
    assert analysis.cell.score is None
    assert analysis.classes == []
    assert analysis.provenance is None


@pytest.mark.parametrize("state", ["requested", "running"])
def test_an_open_analysis_is_waited_for(reader: Actor, study: Study, state: str) -> None:
    job(study, state)
    (analysis,) = page_of(reader, study).analyses
    assert analysis.is_open
    assert analysis.cell.kind == "busy"


def test_the_newest_decision_counts_and_the_models_mark_is_kept(reader: Actor, study: Study) -> None:
    finding = make.finding(
        make.instance(study), analysed(study), polygon=[[100, 200], [220, 200], [150, 290]]
    )
    services.decide(reader, finding, "rejected", reason="Normal tissue")
    services.decide(
        reader, finding, "edited", reason="Too large", box=[110, 210, 210, 280], label="asymmetry"
    )
    (view,) = page_of(reader, study).findings
    assert (view.verdict, view.label_words) == ("edited", "Asymmetry")
    assert (view.box, view.model_box) == ([110, 210, 210, 280], [100, 200, 220, 290])
    assert view.polygon is None
    assert [item.words for item in view.history] == ["Rejected", "Edited"]
    assert view.size == "10.0 × 7.0 mm"


def test_an_undo_brings_the_models_mark_back(reader: Actor, study: Study) -> None:
    finding = make.finding(make.instance(study), analysed(study))
    services.decide(reader, finding, "edited", reason="Too large", box=[110, 210, 210, 280])
    services.decide(reader, finding, "undecided")
    page = page_of(reader, study)
    assert page.findings[0].box == [100, 200, 220, 290]
    assert page.undecided == 1


def test_without_pixel_spacing_sizes_are_in_pixels(reader: Actor, study: Study) -> None:
    make.finding(make.instance(study, pixel_spacing_um=None), analysed(study))
    assert page_of(reader, study).findings[0].size == "120 × 90 px"


def test_findings_of_earlier_content_are_not_shown_but_a_readers_own_are(reader: Actor, study: Study) -> None:
    image = make.instance(study)
    make.finding(image, analysed(study))
    services.add_finding(reader, study, image, [5, 5, 50, 50], "mass")
    Study.objects.filter(pk=study.pk).update(content_hash="e" * 64)
    (view,) = page_of(reader, study).findings
    assert view.by_reader
    assert view.verdict_words == "Added by a reader"


def test_a_finding_of_a_clip_says_its_frame_counted_from_one(reader: Actor, study: Study) -> None:
    clip = make.instance(study, frames=8)
    make.finding(clip, analysed(study), frame=5)
    assert page_of(reader, study).findings[0].frame_words == "frame 6"


def test_a_clip_says_which_frames_were_read(reader: Actor, study: Study) -> None:
    clip, still = make.instance(study, frames=8), make.instance(study)
    images: list[dict[str, Any]] = [{"image_id": image.sop_instance_uid} for image in (clip, still)]
    job = analysed(study, images=images)
    assert page_of(reader, study).frames_read == {str(clip.id): "AI read frame 1 of 8 only"}
    job.result = {**(job.result or {}), "images": [{**images[0], "frames_read": list(range(8))}, images[1]]}
    job.save()
    assert page_of(reader, study).frames_read == {str(clip.id): "AI read all 8 frames"}


def test_heat_maps_of_the_current_result_reach_the_viewer(reader: Actor, study: Study) -> None:
    image = make.instance(study)
    done = analysed(study)
    artefact = Artefact.objects.create(job=done, instance=image, kind="heatmap", file=make.stored_file())
    (shown,) = page_of(reader, study).images
    assert str(artefact.id) in (shown.heatmap.url if shown.heatmap else "")
    Study.objects.filter(pk=study.pk).update(content_hash="e" * 64)
    (shown,) = page_of(reader, study).images
    assert shown.heatmap is None


def test_no_address_in_the_page_holds_patient_data(reader: Actor, study: Study) -> None:
    make.instance(study)
    assert study.patient is not None
    for image in page_of(reader, study).images:
        for value in image.as_json().values():
            assert study.patient.patient_id not in str(value)
            assert "Okafor" not in str(value)


def test_other_studies_of_the_patient_are_listed(reader: Actor, study: Study) -> None:
    other = make.study(reader.user.site, "US", patient=study.patient)
    make.study(reader.user.site, "US")
    (listed,) = page_of(reader, study).others
    assert other.study_instance_uid in listed.url


def test_the_number_of_queries_does_not_grow_with_findings_and_images(reader: Actor, study: Study) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page_of(reader, study)
        return len(captured)

    done = analysed(study)
    make.decision(make.finding(make.instance(study), done), reader.user)
    few = queries()
    for _ in range(10):
        make.decision(make.finding(make.instance(study), done), reader.user)
    assert queries() == few <= 13
