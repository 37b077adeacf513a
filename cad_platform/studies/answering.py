"""How a post is answered: what became of each file, and why nothing could be stored."""

from __future__ import annotations

from collections.abc import Sequence

from cad_platform.core.errors import (
    Conflict,
    FieldError,
    FileOutcome,
    Invalid,
    PlatformError,
    UnsupportedMedia,
)
from cad_platform.studies.corrections import HOW_TO
from cad_platform.studies.matching import Verdict
from cad_platform.studies.received import ReceivedStudy
from cad_platform.studies.receiving import outcome_of_refusal

NO_IMAGE_YET = "There is no image of this study here yet, and the file does not begin one."


def outcomes(received: ReceivedStudy, verdicts: Sequence[Verdict]) -> tuple[FileOutcome, ...]:
    """What became of every file, in the post's order."""
    by_place = {
        place: outcome_of_refusal(received.files[place], why) for place, why in received.refused.items()
    }
    by_place |= {verdict.place: verdict.outcome for verdict in verdicts}
    return tuple(by_place[place] for place in sorted(by_place))


def nothing_stored(received: ReceivedStudy, verdicts: Sequence[Verdict]) -> PlatformError:
    """Every file was refused or set aside."""
    became = outcomes(received, verdicts)
    errors = tuple(
        FieldError(each.reason, "files", each.file)
        for each in became
        if each.status in {"refused", "quarantined"}
    )
    if any(verdict.status == "quarantined" for verdict in verdicts):
        return Conflict(
            "A file has the UID of a stored image, and other bytes or another patient. It is in quarantine; nothing "
            "was overwritten.",
            errors=errors,
            code="sop_instance_uid_conflict",
            files=became,
        )
    return Conflict("Nothing was stored.", errors=errors, code="stored_elsewhere", files=became)


def no_image_yet(received: ReceivedStudy, verdicts: Sequence[Verdict]) -> PlatformError:
    """A study is not begun by a report or another modality's image: nobody here could read it."""
    became = tuple(
        FileOutcome(each.file, "refused", NO_IMAGE_YET, each.sop_instance_uid)
        for each in outcomes(received, verdicts)
    )
    others = [each for each in received.objects if each.reason == "other_modality"]
    if others:
        return Invalid(
            "No file is of a modality that is read here; nothing was stored.",
            errors=tuple(
                FieldError(f"The file is an {each.what}.", "study.modality", each.file.name)
                for each in others
            ),
            files=became,
        )
    return UnsupportedMedia(
        "No file holds an image; nothing was stored.",
        errors=tuple(
            FieldError(f"The file holds no image: {each.what}.", "files", each.file.name)
            for each in received.objects
        ),
        code="no_pixel_data",
        files=became,
    )


def of_another_patient(received: ReceivedStudy) -> Conflict:
    """Nothing is filed under a patient whom the post does not mean."""
    reason = "The study is stored for another patient."
    return Conflict(
        f"{reason} Nothing was changed. {HOW_TO}",
        errors=(FieldError(reason, "study.patient.id"),),
        code="other_patient",
        files=tuple(FileOutcome(file.name, "refused", reason) for file in received.files),
    )


def not_as_posted(received: ReceivedStudy) -> Invalid:
    """No file is of the modality that the post says, and no study is known that has such images."""
    return Invalid(
        "The post contradicts itself; nothing was stored.",
        errors=received.not_as_posted,
        files=tuple(FileOutcome(file.name, "refused") for file in received.files),
    )
