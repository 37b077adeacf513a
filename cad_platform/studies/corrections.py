"""What is stored of a study was wrong and is put right: by a post that says so. Every correction is a new version of
the study, kept with what it changed, who said so and why; the study is analysed again and its readers are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, FileOutcome
from cad_platform.patients.models import Patient
from cad_platform.patients.person_name import same_name
from cad_platform.patients.services import correct_demographics
from cad_platform.studies import growth
from cad_platform.studies.matching import Verdict, is_same_patient
from cad_platform.studies.models import Instance, Study, StudyCorrection
from cad_platform.studies.received import ReceivedImage, ReceivedStudy
from cad_platform.studies.sides import POST, with_post_claim
from imaging.description import ImageFacts
from imaging.dicom_views import spelled

#: What has happened to a study that others are told of. Payload: `study_id`.
CORRECTED_TOPIC = "study.corrected"

HOW_TO = 'If the post is right, send it again with "correction": {"reason": "…"} in its study part.'


@dataclass(frozen=True)
class Change:
    """One value that the post says otherwise than it is stored; of one image, or of the study."""

    field: str
    old: str
    new: str
    instance: Instance | None = None
    image: ReceivedImage | None = None

    def as_json(self) -> dict[str, str]:
        file = self.instance.file_name if self.instance else ""
        return {"field": self.field, "file": file, "old": self.old, "new": self.new}


def changes(received: ReceivedStudy, study: Study, there: Sequence[Verdict]) -> list[Change]:
    """What the post says otherwise than it is stored, of the study and of the images that are there already. Where the
    post is silent it changes nothing: the headers are the same as before."""
    found: list[Change] = []
    post = received.post
    assert study.patient is not None
    if not is_same_patient(study, received):
        found.append(Change("patient.id", study.patient.patient_id, received.patient_id))
    elif post.correction is not None:
        found += _changes_of_person(received, study.patient)
    said = {"accession_number": post.accession_number, "procedure": post.procedure}
    if "priority" in post.model_fields_set:
        said["priority"] = post.priority
    for name, new in said.items():
        if new and new != getattr(study, name):
            found.append(Change(name, getattr(study, name), new))
    for verdict in there:
        if verdict.existing is not None and verdict.image is not None:
            found += _changes_of_image(received, verdict.existing, verdict.image)
    return found


def _changes_of_person(received: ReceivedStudy, patient: Patient) -> Iterator[Change]:
    """What a correction says of who the patient is. Without one it is no change: a person decides it
    (`patients.services.receive_patient`)."""
    said = received.post.patient
    if said.name and patient.full_name and not same_name(said.name, patient.full_name):
        yield Change("patient.name", patient.full_name, said.name)
    if said.birth_date and patient.birth_date and said.birth_date != patient.birth_date:
        yield Change("patient.birth_date", patient.birth_date.isoformat(), said.birth_date.isoformat())
    if said.sex and patient.sex and said.sex != patient.sex:
        yield Change("patient.sex", patient.sex, said.sex)


def _changes_of_image(received: ReceivedStudy, instance: Instance, image: ReceivedImage) -> list[Change]:
    part, found = image.part, []
    stored_modality = instance.series.modality
    if received.post.modality and image.modality != stored_modality:
        found.append(Change("modality", stored_modality, image.modality, instance, image))
    said = [claim.side for claim in image.facts.side_claims if claim.source == POST]
    if said and said[0] != instance.laterality:
        found.append(Change("laterality", instance.laterality, said[0], instance, image))
    if part.view:
        old = _view_name(instance.view_position, instance.image_facts)
        new = _view_name(image.view, image.facts if _says_modifiers(image) else instance.image_facts)
        if new != old:
            found.append(Change("view", old, new, instance, image))
    if (stated := part.pixel_spacing_um) is not None:
        known = instance.pixel_spacing_um
        if known is None or abs(stated - known) > 1e-6 * stated:
            before = "" if known is None else f"{known:g}"
            found.append(Change("pixel_spacing_um", before, f"{stated:g}", instance, image))
    return found


def _says_modifiers(image: ReceivedImage) -> bool:
    """A view that is posted without modifiers says nothing of them."""
    said = spelled(image.part.view or "")
    return said is not None and bool(said.modifiers)


def _view_name(view: str, facts: ImageFacts) -> str:
    return " ".join((view, *facts.view_modifiers)).strip()


def refusal(changed: Sequence[Change], outcomes: tuple[FileOutcome, ...]) -> Conflict:
    """The post says something else, and not that it is a correction."""
    return Conflict(
        f"The post says something else than is stored of this study. Nothing was changed. {HOW_TO}",
        errors=tuple(_error(change) for change in changed),
        code="differs_from_stored",
        files=outcomes,
    )


def refuse_each(changed: Sequence[Change], verdicts: Sequence[Verdict]) -> None:
    """In a post that brings something new, each image of which it says something else is refused by itself."""
    by_image = {change.instance.pk: change for change in changed if change.instance is not None}
    for verdict in verdicts:
        if verdict.status == "duplicate" and verdict.existing and verdict.existing.pk in by_image:
            verdict.status = "refused"
            verdict.reason = f"{_sentence(by_image[verdict.existing.pk])} {HOW_TO}"


def _error(change: Change) -> FieldError:
    file = change.image.file.name if change.image else ""
    where = "study.images" if change.image else "study"
    return FieldError(_sentence(change), f"{where}.{change.field}", file)


def _sentence(change: Change) -> str:
    if change.instance is None:  # names a patient, or may
        return f"Another {change.field} is stored."
    return f"Stored is {change.field} {change.old or 'unknown'}, the post says {change.new}."


def apply(
    actor: Actor, study: Study, received: ReceivedStudy, changed: Sequence[Change], patient: Patient
) -> StudyCorrection:
    """Take over what the post says. Call in the transaction that holds the study's row."""
    for change in changed:
        if change.field == "patient.id":
            study.patient = patient
        elif change.field.startswith("patient."):
            pass  # by `put_person_right`
        elif change.instance is None:
            setattr(study, change.field, change.new)
        else:
            _apply_to_image(change, change.instance)
    files = {change.image.file.name for change in changed if change.image is not None}
    if any(change.image is None for change in changed):
        files = {file.name for file in received.files}
    growth.note_differences(study, received, files)
    growth.take_modalities(study)
    reason = received.post.correction.reason if received.post.correction else "posted again"
    correction = _new_version(actor, study, StudyCorrection.Kind.CORRECTED, changed, reason)
    record(
        actor,
        "study.correct",
        object_type="study",
        object_id=study.pk,
        fields=sorted({change.field for change in changed}),
        version=study.version,
    )
    return correction


def put_person_right(actor: Actor, study: Study, changed: Sequence[Change]) -> None:
    """Take over what a correction says of who the patient is, in whichever studies of theirs. Call in the transaction
    that holds the study's row, before the post's patient is received: what is settled here needs nobody's review."""
    said = {
        change.field.removeprefix("patient."): change.new for change in changed if change.instance is None
    }
    said = {field: new for field, new in said.items() if field in ("name", "birth_date", "sex")}
    if said and study.patient_id is not None:
        correct_demographics(actor, study.patient_id, said)
        study.patient = Patient.objects.get(pk=study.patient_id)


def brought_back(actor: Actor, study: Study, reason: str) -> StudyCorrection:
    """A withdrawn study counts again. Call in the transaction that holds the study's row."""
    return _new_version(actor, study, StudyCorrection.Kind.BROUGHT_BACK, (), reason)


def moved_to_patient(actor: Actor, study: Study, patient: Patient, reason: str) -> None:
    """The study is of another record of its patient. Its readers are told; its images are the same, and nothing is
    analysed again. Call in the transaction that holds the study's row."""
    assert study.patient is not None
    change = Change("patient.id", study.patient.patient_id, patient.patient_id)
    study.patient = patient
    study.version += 1
    study.changed_at = timezone.now()
    _keep(actor, study, StudyCorrection.Kind.MOVED, [change], reason)
    study.save(update_fields=["patient", "version", "changed_at"])
    record(actor, "study.move", object_type="study", object_id=study.pk, version=study.version)
    outbox.publish(CORRECTED_TOPIC, study_id=str(study.pk))


def side_put_right(
    actor: Actor, study: Study, instance: Instance, old: str, new: str, reason: str
) -> StudyCorrection:
    """A person says that an image shows the other breast. Call in the transaction that holds the study's row."""
    changed = [Change("laterality", old, new, instance)]
    return _new_version(actor, study, StudyCorrection.Kind.CORRECTED, changed, reason)


def described_again(
    actor: Actor, study: Study, changed: Sequence[tuple[Instance, str, str, str]], reason: str
) -> StudyCorrection:
    """The files say something else of their images than was read in them before: image, field, old, new. Call in the
    transaction that holds the study's row."""
    changes = [Change(field, old, new, instance) for instance, field, old, new in changed]
    correction = _new_version(actor, study, StudyCorrection.Kind.CORRECTED, changes, reason)
    record(
        actor,
        "study.correct",
        object_type="study",
        object_id=study.pk,
        fields=sorted({change.field for change in changes}),
        version=study.version,
    )
    return correction


def _apply_to_image(change: Change, instance: Instance) -> None:
    values: dict[str, Any] = {}
    assert change.image is not None
    if change.field == "modality":
        instance.series.modality = change.new
        instance.series.save(update_fields=["modality"])
        return
    if change.field == "laterality":
        facts = with_post_claim(instance.image_facts, change.new)
        values = {"laterality": change.new, "facts": _as_json(facts)}
    elif change.field == "view":
        values = {"view_position": change.image.view}
        if _says_modifiers(change.image):
            modifiers = change.image.facts.view_modifiers
            values["facts"] = _as_json(instance.image_facts.model_copy(update={"view_modifiers": modifiers}))
    elif change.field == "pixel_spacing_um":
        values = {
            "pixel_spacing_um": change.image.pixel_spacing_um,
            "pixel_spacing_source": change.image.pixel_spacing_source,
            "facts": _as_json(with_spacing(instance.image_facts, change.image.facts)),
        }
    for name, value in values.items():
        setattr(instance, name, value)
    instance.save(update_fields=list(values))


def with_spacing(stored: ImageFacts, said: ImageFacts) -> ImageFacts:
    """The stored facts with the scale of others."""
    return stored.model_copy(
        update={"spacing_um": said.spacing_um, "regions": said.regions, "scale_remarks": said.scale_remarks}
    )


def _as_json(facts: ImageFacts) -> dict[str, Any]:
    return facts.model_dump(mode="json", exclude_defaults=True)


def _new_version(
    actor: Actor, study: Study, kind: str, changed: Sequence[Change], reason: str
) -> StudyCorrection:
    study.version += 1
    study.changed_at = timezone.now()
    correction = _keep(actor, study, kind, changed, reason)
    growth.take_content(study)
    if study.state == Study.State.COMPLETE:
        growth.complete(study)
    else:
        study.save()
    outbox.publish(CORRECTED_TOPIC, study_id=str(study.pk))
    return correction


def _keep(actor: Actor, study: Study, kind: str, changed: Sequence[Change], reason: str) -> StudyCorrection:
    assert study.changed_at is not None
    return StudyCorrection.objects.create(
        study=study,
        kind=kind,
        version=study.version,
        changes=[change.as_json() for change in changed],
        reason=reason,
        at=study.changed_at,
        by=actor.user,
        received_from=actor.token,
    )
