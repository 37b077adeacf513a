"""How the rows of a study come to be and become more: study, series, images and slides, what is kept aside; and when it
is complete. Called by `studies.services` inside transactions that hold the study's row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from cad_platform import modalities
from cad_platform.audit.services import record
from cad_platform.core import outbox, rows
from cad_platform.core.actor import Actor
from cad_platform.patients.models import Patient
from cad_platform.studies import identity, slides
from cad_platform.studies.matching import Verdict
from cad_platform.studies.models import Instance, KeptAside, Series, Study, StudyCorrection
from cad_platform.studies.received import ReceivedImage, ReceivedStudy
from imaging.description import RULES


def create(
    actor: Actor,
    received: ReceivedStudy,
    new: Sequence[Verdict],
    patient: Patient,
    *,
    taking_over: Study | None,
) -> Study:
    """All rows of a new study; `taking_over` is the empty quarantined study that had its UID."""
    assert actor.site_id is not None
    study = taking_over or Study(site_id=actor.site_id, study_instance_uid=received.study_instance_uid)
    study.patient = patient
    study.modality, study.modalities = next(iter(received.modalities), ""), received.modalities
    _describe(study, received)
    study.state = Study.State.RECEIVING
    study.header_differences = []
    note_differences(study, received, {image.file.name for image in received.images})
    study.received_at = timezone.now()
    study.received_from = actor.token
    study.content_hash = _content([each.sha256 for each in new if _is_read(each)], 0)
    if not study.has_images:
        study.quiet_at = None  # however long: a study without an image is never complete
    elif received.post.complete:
        _mark_complete(study)
    else:
        study.quiet_at = _quiet_at()
    if taking_over is None:
        rows.insert(study)
    else:
        study.save()
    _add_rows(actor, study, new, is_new=True)
    record(
        actor,
        "study.receive",
        object_type="study",
        object_id=study.pk,
        images=sum(_is_read(each) for each in new),
        kept_aside=sum(not _is_read(each) for each in new),
        overridden=len(received.differences),
    )
    if study.state == Study.State.COMPLETE:
        outbox.publish("study.complete", study_id=str(study.pk))
    return study


def add(actor: Actor, study: Study, received: ReceivedStudy, new: Sequence[Verdict]) -> None:
    """More of a study has come. With an image it is open again until nothing has come for a while, and what the models
    said of it before is history."""
    _add_rows(actor, study, new)
    images = [each for each in new if _is_read(each)]
    if images and not study.has_images:
        # What a report said of the study before its images came was no word on them.
        _describe(study, received)
    note_differences(study, received, {each.name for each in images})
    if images:
        take_modalities(study)
        take_content(study)
        if study.completed_at is not None:
            study.version += 1
            study.changed_at = timezone.now()
        study.state = Study.State.RECEIVING
        study.quiet_at = _quiet_at()
    study.save()
    record(
        actor,
        "study.add",
        object_type="study",
        object_id=study.pk,
        images=len(images),
        kept_aside=len(new) - len(images),
        version=study.version,
    )


def complete(study: Study) -> None:
    """Nothing more is waited for: the study is announced, and analysed."""
    _mark_complete(study)
    study.save()
    outbox.publish("study.complete", study_id=str(study.pk))


def take_content(study: Study) -> None:
    """Have the study's hash say what it holds now: its files, and how often something of it was corrected."""
    study.content_hash = _content(
        [
            each.file_id
            for each in Instance.objects.filter(series__study=study)
            if not slides.is_kept_back(each)
        ],
        study.corrections.filter(kind=StudyCorrection.Kind.CORRECTED).count(),
    )


def take_modalities(study: Study) -> None:
    """Have the study say of which modalities its images are; the first of them is the one that its report is of."""
    found = modalities.in_order(
        Series.objects.filter(study=study, instances__isnull=False).values_list("modality", flat=True)
    )
    if found:
        study.modality, study.modalities = found[0], found


def note_differences(study: Study, received: ReceivedStudy, files: Collection[str]) -> None:
    """Keep what the post overrode of these files' headers, and where their headers say something else of the study than
    it is stored. The latest word on a file and field stands."""
    noted = [each for each in received.differences if each["file"] in files]
    stored = {"accession_number": study.accession_number, "study_instance_uid": study.study_instance_uid}
    noted_already = {(each["file"], each["field"]) for each in noted}
    for image in received.images:
        said = {
            "accession_number": image.header.accession_number,
            "study_instance_uid": image.header.study_instance_uid,
        }
        if image.file.name in files and study.patient is not None:
            noted += [
                each
                for each in identity.against(study.patient, image.file.name, image.header)
                if (image.file.name, each["field"]) not in noted_already
            ]
        for name, used in stored.items():
            value, key = said[name], (image.file.name, name)
            if image.file.name in files and value and used and value != used and key not in noted_already:
                noted.append({"file": image.file.name, "field": name, "header": value, "used": used})
    again = {(each["file"], each["field"]) for each in noted}
    kept = [each for each in study.header_differences if (each["file"], each["field"]) not in again]
    study.header_differences = identity.without_repeats(kept + noted)


def _describe(study: Study, received: ReceivedStudy) -> None:
    """What the post says of the study as a whole."""
    study.accession_number = received.accession_number
    study.procedure = received.procedure
    study.priority = received.priority
    study.study_date = received.study_date


def _is_read(verdict: Verdict) -> bool:
    """Whether the file is an image that is looked at: a slide's label that comes late opens no study again."""
    return verdict.image is not None and not slides.kept_back_role(verdict.image.facts)


def _mark_complete(study: Study) -> None:
    study.state, study.quiet_at, study.completed_at = Study.State.COMPLETE, None, timezone.now()


def _quiet_at() -> datetime:
    return timezone.now() + timedelta(seconds=settings.STUDY_QUIET_SECONDS)


def _content(hashes: Collection[str], corrections: int) -> str:
    """The same files are the same content, whatever their names."""
    lines = sorted(hashes) + ([f"corrections {corrections}"] if corrections else [])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _add_rows(actor: Actor, study: Study, new: Sequence[Verdict], *, is_new: bool = False) -> None:
    """Series, images and slides, and what is kept aside. Each verdict knows its image from then on."""
    series: dict[tuple[str, str], Series] = {}
    position = 0
    if not is_new:
        there = Series.objects.filter(study=study)
        series = {(each.series_instance_uid, each.modality): each for each in there}
        position = Instance.objects.filter(series__study=study).count()
    for verdict in new:
        if verdict.image is not None:
            position += 1
            key = (verdict.image.series_instance_uid, verdict.image.modality)
            if key not in series:
                series[key] = _create_series(study, verdict.image)
            verdict.existing = _create_instance(study, series[key], verdict.image, position)
        elif verdict.object is not None:
            _keep_aside(actor, study, verdict)


def _keep_aside(actor: Actor, study: Study, verdict: Verdict) -> None:
    assert verdict.object is not None
    header = verdict.object.header
    kept = KeptAside(
        study=study,
        sop_instance_uid=header.sop_instance_uid or "",
        sop_class_uid=(header.sop_class_uid or "")[:64],
        modality=(header.modality or "")[:16],
        what=verdict.object.what[:100],
        reason=verdict.object.reason,
        file_id=verdict.sha256,
        file_name=verdict.name,
        received_from=actor.token,
    )
    rows.insert(kept)


def _create_series(study: Study, image: ReceivedImage) -> Series:
    header = image.header
    series = Series(
        pk=rows.next_key(Series),
        study=study,
        series_instance_uid=image.series_instance_uid,
        modality=image.modality,
        number=_number(header.series_number),
        body_part=(header.body_part or "")[:32],
        description=(header.series_description or "")[:200],
    )
    rows.insert(series)
    return series


def _create_instance(study: Study, series: Series, image: ReceivedImage, position: int) -> Instance:
    header, description = image.header, image.description
    instance = Instance(
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
        described_by=RULES,
    )
    rows.insert(instance)
    if description.slide is not None:
        slides.keep_geometry(instance, description.slide)
    return instance


def _number(claimed: int | None) -> int | None:
    """A DICOM integer string has 32 bits; a header that claims more says nothing."""
    return claimed if claimed is not None and abs(claimed) < 2**31 else None
