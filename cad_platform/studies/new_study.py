"""The rows of a study that has come: study, series, images and slides, with the audit entry and the event.

Called by `studies.services.receive` inside its transaction, after it has found that the study is new.
"""

from __future__ import annotations

from django.utils import timezone

from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.patients.services import receive_patient
from cad_platform.studies.models import Instance, Series, Slide, Study
from cad_platform.studies.receiving import ReceivedImage, ReceivedStudy
from imaging.description import SlideGeometry


def create_study(actor: Actor, received: ReceivedStudy, *, taking_over: Study | None) -> Study:
    """All rows of a new study; `taking_over` is the empty quarantined study that had its UID."""
    assert actor.site_id is not None
    patient = receive_patient(
        actor, actor.site_id, received.patient_id, received.demographics, received.study_instance_uid
    )
    now = timezone.now()
    study = taking_over or Study(site_id=actor.site_id, study_instance_uid=received.study_instance_uid)
    study.patient = patient
    study.accession_number = received.accession_number
    study.modality = received.modality
    study.procedure = received.procedure
    study.priority = received.priority
    study.study_date = received.study_date
    study.state = Study.State.COMPLETE
    study.content_hash = received.content_hash
    study.header_differences = list(received.differences)
    study.received_at = study.completed_at = now
    study.received_from = actor.token
    study.save()
    series: dict[str, Series] = {}
    for position, image in enumerate(received.images, start=1):
        if image.series_instance_uid not in series:
            series[image.series_instance_uid] = _create_series(study, image)
        _create_instance(study, series[image.series_instance_uid], image, position)
    record(
        actor,
        "study.receive",
        object_type="study",
        object_id=study.pk,
        images=len(received.images),
        overridden=len(received.differences),
    )
    outbox.publish("study.complete", study_id=str(study.pk))
    return study


def _create_series(study: Study, image: ReceivedImage) -> Series:
    header = image.header
    return Series.objects.create(
        study=study,
        series_instance_uid=image.series_instance_uid,
        modality=(header.modality or study.modality)[:16],
        number=_number(header.series_number),
        body_part=(header.body_part or "")[:32],
        description=(header.series_description or "")[:200],
    )


def _create_instance(study: Study, series: Series, image: ReceivedImage, position: int) -> Instance:
    header, description = image.header, image.description
    instance = Instance.objects.create(
        site_id=study.site_id,
        series=series,
        sop_instance_uid=image.sop_instance_uid,
        sop_instance_uid_minted=image.minted,
        sop_class_uid=(header.sop_class_uid or "")[:64],
        number=position if (number := _number(header.instance_number)) is None else number,
        kind=description.kind,
        file_id=image.file.sha256,
        file_name=image.file.name,
        laterality=image.laterality,
        view_position=image.view,
        body_part=(header.body_part or "")[:32],
        presentation_intent=header.presentation_intent or "",
        photometric_interpretation=description.encoded_photometric[:24],
        transfer_syntax_uid=(header.transfer_syntax_uid or "")[:64],
        rows=description.rows,
        columns=description.columns,
        frames=description.frames,
        bits_stored=description.bits_stored,
        samples=description.samples,
        pixel_spacing_um=image.pixel_spacing_um,
        pixel_spacing_source=image.pixel_spacing_source,
        facts=image.facts.model_dump(mode="json", exclude_defaults=True),
    )
    if description.slide is not None:
        _create_slide(instance, description.slide)
    return instance


def _number(claimed: int | None) -> int | None:
    """A DICOM integer string has 32 bits; a header that claims more says nothing."""
    return claimed if claimed is not None and abs(claimed) < 2**31 else None


def _create_slide(instance: Instance, geometry: SlideGeometry) -> None:
    Slide.objects.create(
        instance=instance,
        mpp_x=geometry.mpp[0] if geometry.mpp else None,
        mpp_y=geometry.mpp[1] if geometry.mpp else None,
        objective_power=geometry.objective_power,
        levels=[
            {"width": level.columns, "height": level.rows, "downsample": level.downsample}
            for level in geometry.levels
        ],
    )
