"""Which jobs a complete study gets."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from cad_platform.analysis import services
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.suitability import why_not
from cad_platform.audit.models import AuditEvent
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Instance, Slide, Study
from cad_platform.studies.selectors import images_in_order
from inference.contract import InputContract
from tests import factories
from tests.analysis.conftest import MakeStudy

pytestmark = pytest.mark.django_db


def contract(**fields: object) -> InputContract:
    defaults: dict[str, object] = {"modality": "US", "kinds": ("image",), "max_images": 4}
    return InputContract.model_validate(defaults | fields)


def test_one_job_for_the_model_of_the_modality(ultrasound_study: MakeStudy) -> None:
    study = ultrasound_study()
    (job,) = services.request_analyses(study.pk)
    assert (job.model_version.name, job.state) == ("ultrasound", "requested")
    assert job.content_hash == study.content_hash
    event = AuditEvent.objects.get(action="job.request")
    assert (event.object_id, event.site_id) == (str(job.pk), study.site_id)


def test_asking_twice_makes_no_second_job(ultrasound_study: MakeStudy) -> None:
    study = ultrasound_study()
    assert services.request_analyses(study.pk) == services.request_analyses(study.pk)
    assert AnalysisJob.objects.count() == 1


def test_a_new_default_version_is_another_job(
    ultrasound_study: MakeStudy, models: dict[str, ModelVersion]
) -> None:
    study = ultrasound_study()
    services.request_analyses(study.pk)
    ModelVersion.objects.filter(name="ultrasound").update(is_default=False)
    old = models["ultrasound"]
    ModelVersion.objects.create(
        name="ultrasound", version="99", modality="US", manifest=old.manifest, is_default=True,
        state=ModelVersion.State.APPROVED, came_with_installation=True,
        weights_sha256=old.weights_sha256,
    )  # fmt: skip
    services.request_analyses(study.pk)
    assert AnalysisJob.objects.filter(study=study).count() == 2


def test_a_quarantined_study_has_no_jobs(ultrasound_study: MakeStudy) -> None:
    study = ultrasound_study()
    Study.objects.filter(pk=study.pk).update(state=Study.State.QUARANTINED)
    assert services.request_analyses(study.pk) == []


def test_a_withdrawn_study_has_no_jobs(ultrasound_study: MakeStudy) -> None:
    study = ultrasound_study()
    Study.objects.filter(pk=study.pk).update(withdrawn_at=timezone.now(), withdrawn_reason="wrong patient")
    assert services.request_analyses(study.pk) == []


def test_an_unknown_study_has_no_jobs(models: dict[str, ModelVersion]) -> None:
    assert services.request_analyses(uuid.uuid4()) == []


def test_an_unmet_contract_is_an_ended_job_that_says_why(ultrasound_study: MakeStudy) -> None:
    study = ultrasound_study(images=65)
    assert services.request_analyses(study.pk) == []
    job = AnalysisJob.objects.get(study=study)
    assert job.state == AnalysisJob.State.NOT_APPLICABLE
    assert job.reason == "not analysed: 65 images, at most 64 are read together"
    assert job.finished_at is not None


class TestContract:
    """`why_not`, in the words that the clinician reads."""

    def test_met(self) -> None:
        study = factories.study(factories.site(), "US")
        assert why_not([factories.instance(study)], contract()) == ""

    def test_no_images(self) -> None:
        assert why_not([], contract()) == "not analysed: the study has no images"

    def test_a_slide_for_a_model_of_pictures(self) -> None:
        instance = factories.instance(factories.study(factories.site(), "SM"), kind=Instance.Kind.SLIDE)
        assert why_not([instance], contract()).startswith("not analysed: whole slides are not read")

    def test_missing_resolution(self) -> None:
        study = factories.study(factories.site(), "SM")
        instance = factories.instance(study, pixel_spacing_um=None)
        needing = contract(needs_pixel_spacing=True)
        assert why_not([instance], needing) == "not analysed: µm per pixel missing"

    def test_a_slides_own_resolution_is_enough(self) -> None:
        study = factories.study(factories.site(), "SM")
        instance = factories.instance(study, pixel_spacing_um=None, kind=Instance.Kind.SLIDE)
        Slide.objects.create(instance=instance, mpp_x=0.5, mpp_y=0.5)
        needing = contract(modality="SM", kinds=("slide",), needs_pixel_spacing=True)
        assert why_not(list(images_in_order(study)), needing) == ""
