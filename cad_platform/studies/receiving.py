"""From posted files and a `study` part to one consistent study, or to the reasons why there is none.

Nothing here touches the database. What the post says overrides the headers, and a difference is noted; where
it is silent the headers speak, and must agree.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from cad_platform import modalities
from cad_platform.core.errors import (
    FieldError,
    Invalid,
    PayloadTooLarge,
    PlatformError,
    Unavailable,
    UnsupportedMedia,
)
from cad_platform.patients.person_name import same_name
from cad_platform.patients.services import Demographics
from cad_platform.studies import identity
from cad_platform.studies.post import ImagePart, StudyPost
from imaging import sandbox
from imaging.description import Description, DicomHeader, ImageFacts, is_isotropic
from imaging.errors import DecoderUnavailable, ImagingError, NotAnImage, TooLarge, UnsupportedEncoding

#: Files of one post that are decoded at a time; the sandbox bounds them over all posts.
_DECODERS = 2


@dataclass(frozen=True)
class PostedFile:
    """A file as it was received: complete on disk in `path`, hashed while it was written."""

    name: str
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class ReceivedImage:
    """One file with what it is and what it is called from now on."""

    file: PostedFile
    description: Description
    sop_instance_uid: str
    minted: bool
    series_instance_uid: str
    laterality: str
    view: str
    pixel_spacing_um: float | None
    pixel_spacing_source: str
    facts: ImageFacts

    @property
    def header(self) -> DicomHeader:
        return self.description.header or DicomHeader()


@dataclass(frozen=True)
class ReceivedStudy:
    """A post in which everything agrees."""

    patient_id: str
    demographics: Demographics
    accession_number: str
    modality: str
    procedure: str
    priority: str
    study_instance_uid: str
    uid_given: bool
    study_date: date | None
    images: tuple[ReceivedImage, ...]
    differences: tuple[dict[str, str], ...]

    @property
    def content_hash(self) -> str:
        """Over the sorted file hashes: the same files are the same content, whatever their names."""
        return hashlib.sha256(
            "\n".join(sorted(image.file.sha256 for image in self.images)).encode()
        ).hexdigest()


def mint_uid() -> str:
    """A new UID under 2.25 (DICOM PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def assemble(post: StudyPost, files: Sequence[PostedFile]) -> ReceivedStudy:
    """Describe every file in the sandbox and merge the post over the headers.

    Parameters
    ----------
    post
        What the sender says; it overrides the headers.
    files
        Complete on disk.

    Raises
    ------
    UnsupportedMedia
        A file is no image that is read here (415).
    PayloadTooLarge
        A file decodes to more than one image may have (413).
    Invalid
        Anything else is wrong with a file or a field; each is named (422).
    Unavailable
        The decoders are busy or away (503).
    """
    _check_names(post, files)
    descriptions = _describe(files)
    return _Merge(post, list(zip(files, descriptions, strict=True))).result()


def _check_names(post: StudyPost, files: Sequence[PostedFile]) -> None:
    if not files:
        raise Invalid("The post has no file.", errors=(FieldError("At least one file is needed.", "files"),))
    names = [file.name for file in files]
    errors = [
        FieldError("Two files of the post have this name.", "files", name)
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    described: set[str] = set()
    for number, image in enumerate(post.images):
        where = f"study.images[{number}].file"
        if image.file not in names:
            errors.append(FieldError("The post has no file of this name.", where, image.file))
        elif image.file in described:
            errors.append(FieldError("This file is described twice.", where, image.file))
        described.add(image.file)
    if errors:
        raise Invalid("The files and the study part do not match.", errors=tuple(errors))


def _describe(files: Sequence[PostedFile]) -> list[Description]:
    """What every file is, its pixels decoded once. One answer names all that is wrong."""
    with ThreadPoolExecutor(max_workers=min(len(files), _DECODERS)) as decoders:
        outcomes = list(decoders.map(_describe_one, files))
    failures = [
        (file, outcome)
        for file, outcome in zip(files, outcomes, strict=True)
        if isinstance(outcome, ImagingError)
    ]
    if failures:
        raise _refusal(failures)
    return [outcome for outcome in outcomes if isinstance(outcome, Description)]


def _describe_one(file: PostedFile) -> Description | ImagingError:
    if not file.size:
        return NotAnImage("The file is empty.")
    try:
        return sandbox.describe(file.path)
    except DecoderUnavailable as error:
        raise Unavailable("The decoders are busy or away. Nothing was stored; please try again.") from error
    except ImagingError as error:
        return error


def _refusal(failures: Sequence[tuple[PostedFile, ImagingError]]) -> PlatformError:
    errors = tuple(FieldError(error.reason, "files", file.name) for file, error in failures)
    first = failures[0][1]
    sentence = f"{len(errors)} of the files cannot be accepted; nothing was stored."
    if isinstance(first, TooLarge):
        return PayloadTooLarge(sentence, errors=errors, code=first.code)
    if isinstance(first, NotAnImage | UnsupportedEncoding):
        return UnsupportedMedia(sentence, errors=errors, code=first.code)
    return Invalid(sentence, errors=errors, code=first.code)


@dataclass
class _Merge:
    """The post over the headers, with the differences that it overrode and the errors that it found."""

    post: StudyPost
    files: list[tuple[PostedFile, Description]]
    differences: list[dict[str, str]] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)

    def result(self) -> ReceivedStudy:
        post = self.post
        patient_id = self._agreed_value("patient.id", post.patient.id, lambda header: header.patient_id)
        if not patient_id and not self.errors:
            self._add_error(
                "study.patient.id", "Neither the study part nor a header says who the patient is."
            )
        # A post that names the patient has settled whose images these are; one that does not leaves the
        # headers to agree on every detail.
        settled = bool(post.patient.id)
        name = self._agreed_value(
            "patient.name",
            post.patient.name,
            lambda header: header.patient_name,
            lenient=settled,
            is_same=same_name,
        )
        born = self._agreed_value(
            "patient.birth_date",
            post.patient.birth_date.isoformat() if post.patient.birth_date else "",
            lambda header: header.patient_birth_date,
            lenient=settled,
        )
        sex = self._agreed_value(
            "patient.sex", post.patient.sex, lambda header: header.patient_sex, lenient=settled
        )
        study_uid = self._agreed_value(
            "study_instance_uid",
            post.study_instance_uid or "",
            lambda header: header.study_instance_uid,
        )
        one_study = bool(post.study_instance_uid)
        accession = self._agreed_value(
            "accession_number",
            post.accession_number,
            lambda header: header.accession_number,
            lenient=one_study,
        )
        procedure = self._agreed_value(
            "procedure", post.procedure, lambda header: header.study_description, lenient=True
        )
        modality = self._modality()
        dates = sorted(h.study_date for h in self._headers() if h.study_date)
        images = self._images()
        if self.errors:
            raise Invalid("The post contradicts itself; nothing was stored.", errors=tuple(self.errors))
        study_uid_used = study_uid or mint_uid()
        for image in images:
            minted = {
                "study_instance_uid": study_uid_used,
                "series_instance_uid": image.series_instance_uid,
                "sop_instance_uid": image.sop_instance_uid,
            }
            self.differences += identity.sent_otherwise(image.file.name, image.header, minted)
        return ReceivedStudy(
            patient_id=patient_id,
            demographics=Demographics(name, date.fromisoformat(born) if born else None, sex),
            accession_number=accession,
            modality=modality,
            procedure=procedure[:200],
            priority=post.priority,
            study_instance_uid=study_uid_used,
            uid_given=bool(study_uid),
            study_date=date.fromisoformat(dates[0]) if dates else None,
            images=tuple(images),
            differences=tuple(identity.without_repeats(self.differences)),
        )

    def _headers(self) -> list[DicomHeader]:
        return [description.header for _, description in self.files if description.header]

    def _add_error(self, where: str, reason: str, file: str = "") -> None:
        self.errors.append(FieldError(reason, where, file))

    def _note_difference(self, file: PostedFile, name: str, header: str, used: str) -> None:
        self.differences.append({"file": file.name, "field": name, "header": header, "used": used})

    def _agreed_value(
        self,
        name: str,
        given: str,
        read: Callable[[DicomHeader], str | None],
        *,
        lenient: bool = False,
        is_same: Callable[[str, str], bool] = str.__eq__,
    ) -> str:
        """The post's value, else the one that all headers with a value share.

        Where they do not agree it is an error, or with `lenient` the value is left open.
        """
        found = [
            (file, value)
            for file, description in self.files
            if description.header and (value := read(description.header))
        ]
        contradiction = any(not is_same(value, found[0][1]) for _, value in found)
        if given:
            used = given
        elif not contradiction:
            return found[0][1] if found else ""
        elif lenient:
            used = ""
        else:
            first = found[0][1]
            for file, value in found:
                if not is_same(value, first):
                    self._add_error(
                        f"study.{name}",
                        f"The header contradicts that of {found[0][0].name}; the study part may settle it.",
                        file.name,
                    )
            return ""
        for file, value in found:
            if not used or not is_same(value, used):
                self._note_difference(file, name, value, used)
        return used

    def _modality(self) -> str:
        """What kind of study it is: as posted, as the headers say, or as the kind of file tells."""
        modality: str = self.post.modality or ""
        for file, description in self.files:
            header = description.header or DicomHeader()
            by_kind = modalities.of_file_kind(description.kind)
            certain = by_kind or modalities.of_sop_class(header.sop_class_uid or "")
            stated = by_kind or header.modality or ""
            if not modality and modalities.is_registered(stated):
                modality = stated
            elif not modality and stated:
                self._add_error(
                    "study.modality", f"The modality {stated} is not one of {_listed('and')}.", file.name
                )
                return ""
            if certain and modality and certain != modality:
                self._add_error("study.modality", f"The file is {certain}, the study {modality}.", file.name)
            elif modality and description.kind not in modalities.get(modality).file_kinds:
                self._add_error(
                    "study.modality", f"A study of {modality} holds no {description.kind}.", file.name
                )
            elif stated and modality and stated != modality:
                if self.post.modality:
                    self._note_difference(file, "modality", stated, modality)
                else:
                    self._add_error(
                        "study.modality", f"The file is {stated}, another is {modality}.", file.name
                    )
        if not modality and not self.errors:
            self._add_error("study.modality", f"Neither the study part nor a header says {_listed('or')}.")
        return modality

    def _images(self) -> list[ReceivedImage]:
        parts = {part.file: part for part in self.post.images}
        plain_series = mint_uid()
        images: list[ReceivedImage] = []
        by_uid: dict[str, PostedFile] = {}
        for file, description in self.files:
            header = description.header or DicomHeader()
            uid = header.sop_instance_uid or ""
            if uid and uid in by_uid:
                self._add_error(
                    "files", f"The file has the SOP Instance UID of {by_uid[uid].name}.", file.name
                )
            by_uid[uid] = file
            series = header.series_instance_uid or ""
            part = parts.get(file.name, ImagePart(file=file.name))
            facts, source = self._scale(file, description, part)
            images.append(
                ReceivedImage(
                    file=file,
                    description=description,
                    sop_instance_uid=uid or mint_uid(),
                    minted=not uid,
                    series_instance_uid=series or plain_series,
                    laterality=self._image_value(
                        file, "laterality", part.laterality, _one_side(header.laterality)
                    ),
                    view=self._image_value(file, "view", part.view, header.view_position)[:16],
                    pixel_spacing_um=one_number(facts),
                    pixel_spacing_source=source,
                    facts=facts,
                )
            )
        return images

    def _image_value(self, file: PostedFile, name: str, given: str | None, header: str | None) -> str:
        if given and header and given != header:
            self._note_difference(file, name, header, given)
        return given or header or ""

    def _scale(self, file: PostedFile, description: Description, part: ImagePart) -> tuple[ImageFacts, str]:
        """The image's facts with the spacing that counts, and where that is from: the sender's word stands for the
        whole picture."""
        facts, given = description.facts, part.pixel_spacing_um
        if facts.spacing_um is None and not facts.regions:
            facts = facts.model_copy(update={"spacing_um": description.pixel_spacing_um})
        if given is None:
            return facts, (description.pixel_spacing_source or "")[:40]
        said = facts.spacing_um or next((each.spacing_um for each in facts.regions if each.spacing_um), None)
        if said is not None and any(abs(each - given) > 0.01 * given for each in said):
            header = f"{said[0]:g}" if is_isotropic(said) else f"{said[0]:g} × {said[1]:g}"
            self._note_difference(file, "pixel_spacing_um", header, f"{given:g}")
        return facts.model_copy(update={"spacing_um": (given, given), "regions": ()}), "study part"


def one_number(facts: ImageFacts) -> float | None:
    """µm per stored pixel where one number is true of the whole picture: not where pixels are higher than wide, nor
    where regions differ."""
    spacing = facts.spacing_um
    return sum(spacing) / 2 if spacing and is_isotropic(spacing) else None


def _one_side(laterality: str | None) -> str:
    """`B` (both) names no side of one breast."""
    return laterality if laterality in {"L", "R"} else ""


def _listed(conjunction: str) -> str:
    """ "MG, US and SM"."""
    *others, last = modalities.codes()
    return f"{', '.join(others)} {conjunction} {last}" if others else last
