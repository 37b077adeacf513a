"""The study part of a post laid over the headers of its files.

What the post says overrides the headers, and a difference is noted; where it is silent the headers speak, and must
agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from cad_platform import modalities
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.patients.person_name import same_name
from cad_platform.patients.services import Demographics
from cad_platform.studies import identity, kept_aside
from cad_platform.studies.describing import Found, NoImage, PostedFile
from cad_platform.studies.post import ImagePart, StudyPost
from cad_platform.studies.received import (
    ReceivedImage,
    ReceivedObject,
    ReceivedStudy,
    mint_uid,
    one_number,
)
from cad_platform.studies.sides import with_post_claim
from imaging import orientation
from imaging.description import Description, DicomHeader, ImageFacts, ObjectDescription, is_isotropic
from imaging.dicom_views import spelled
from imaging.errors import ImagingError


@dataclass
class Merge:
    """The post over the headers, with the differences that it overrode and the errors that it found."""

    post: StudyPost
    posted: tuple[PostedFile, ...]
    parts: dict[int, ImagePart]
    found: list[Found]
    refused: dict[int, ImagingError]
    differences: list[dict[str, str]] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)
    not_as_posted: list[FieldError] = field(default_factory=list)
    #: Those whose headers must agree: the images, or where there is none, what is kept aside.
    files: list[tuple[PostedFile, Description | ObjectDescription]] = field(default_factory=list)

    def result(self) -> ReceivedStudy:
        post = self.post
        modality_of = self._modalities()
        self.files = [
            (self.posted[place], each)
            for place, each in enumerate(self.found)
            if place in modality_of and isinstance(each, Description)
        ] or [(self.posted[place], each) for place, each, _, _ in self._no_images(modality_of)]
        patient_id = self._agreed_value("patient.id", post.patient.id, lambda header: header.patient_id)
        if not patient_id and not self.errors:
            self._add_error(
                "study.patient.id", "Neither the study part nor a header says who the patient is."
            )
        issuer = self._agreed_value("patient.issuer", post.patient.issuer, self._issuer)
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
        name = identity.completed_name(name, self._headers()) if name else ""
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
        dates = sorted(h.study_date for h in self._headers() if h.study_date)
        images = self._images(modality_of)
        if self.errors:
            raise Invalid("The post contradicts itself; nothing was stored.", errors=tuple(self.errors))
        study_uid_used = study_uid or mint_uid()
        used = {
            "patient.id": patient_id,
            "patient.issuer": issuer,
            "patient.name": name,
            "patient.birth_date": born,
            "accession_number": accession,
            "study_instance_uid": study_uid_used,
        }
        for image in images:
            of_image = {
                "series_instance_uid": image.series_instance_uid,
                "sop_instance_uid": image.sop_instance_uid,
            }
            self.differences += identity.sent_otherwise(image.file.name, image.header, used | of_image)
        born_as_sent = "" if born else identity.birth_date_as_sent(self._headers())
        return ReceivedStudy(
            post=post,
            files=self.posted,
            patient_id=patient_id,
            demographics=Demographics(
                name, date.fromisoformat(born) if born else None, sex, issuer, born_as_sent
            ),
            accession_number=accession,
            procedure=procedure[:200],
            priority=post.priority,
            study_instance_uid=study_uid_used,
            uid_given=bool(study_uid),
            study_date=date.fromisoformat(dates[0]) if dates else None,
            images=tuple(images),
            objects=tuple(self._objects(modality_of, patient_id, study_uid)),
            refused=self.refused,
            not_as_posted=tuple(self.not_as_posted),
            differences=tuple(identity.without_repeats(self.differences)),
        )

    def _headers(self) -> list[DicomHeader]:
        return [description.header for _, description in self.files if description.header]

    def _issuer(self, header: DicomHeader) -> str | None:
        """Of the id that is used: a header's issuer says nothing of another one that the post gives."""
        return header.patient_id_issuer if self.post.patient.id in {"", header.patient_id} else None

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

    def _modalities(self) -> dict[int, str]:
        """What kind of image each file is, by its place: as its kind or SOP class tells, as posted, or as its header
        says. A file that is no image here has none."""
        posted = self.post.modality or ""
        told: dict[int, str] = {}
        certain_of: dict[int, str] = {}
        silent: list[int] = []
        for place, description in enumerate(self.found):
            if not isinstance(description, Description):
                continue
            header = description.header or DicomHeader()
            by_kind = modalities.of_file_kind(description.kind)
            certain = by_kind or modalities.of_sop_class(header.sop_class_uid or "")
            stated = by_kind or header.modality or ""
            if certain:
                certain_of[place] = certain
            code = certain or posted or stated
            if not code:
                silent.append(place)
            elif kept_aside.is_read_here(code):
                told[place] = code
                if stated and stated != code:
                    self._note_difference(self.posted[place], "modality", stated, code)
        # What says nothing of itself is of the kind that the others are.
        first = modalities.in_order(set(told.values()))[:1]
        for place in silent:
            if first:
                told[place] = first[0]
        if posted and posted not in told.values():
            for place, certain in certain_of.items():
                self.not_as_posted.append(
                    FieldError(
                        f"The file is {certain}, the study {posted}.",
                        "study.modality",
                        self.posted[place].name,
                    )
                )
        for place, code in list(told.items()):
            description = self.found[place]
            assert isinstance(description, Description)
            if description.kind not in modalities.get(code).file_kinds:
                self._add_error(
                    "study.modality",
                    f"A study of {code} holds no {description.kind}.",
                    self.posted[place].name,
                )
        if silent and not first:
            self._add_error("study.modality", f"Neither the study part nor a header says {_listed('or')}.")
        return told

    def _no_images(
        self, modality_of: dict[int, str]
    ) -> Iterator[tuple[int, Description | ObjectDescription, str, str]]:
        """Place, description, what it is called and the word for it, of every file that is no image here."""
        for place, found in enumerate(self.found):
            if isinstance(found, NoImage):
                yield place, found.description, found.what, "no_image"
            elif isinstance(found, Description) and place not in modality_of:
                header = found.header or DicomHeader()
                known = kept_aside.object_name(header.sop_class_uid or "")
                if known:
                    yield place, found, known, "no_image"
                else:
                    yield place, found, kept_aside.other_image(header.modality or ""), "other_modality"

    def _objects(
        self, modality_of: dict[int, str], patient_id: str, study_uid: str
    ) -> Iterator[ReceivedObject]:
        """Those that belong to the study; one that says that it belongs elsewhere is refused alone."""
        for place, found, what, reason in self._no_images(modality_of):
            header = found.header or DicomHeader()
            elsewhere = ""
            if not self.post.patient.id and header.patient_id and header.patient_id != patient_id:
                elsewhere = "The file is of another patient than the study's images."
            elif (
                not self.post.study_instance_uid
                and header.study_instance_uid
                and study_uid
                and header.study_instance_uid != study_uid
            ):
                elsewhere = "The file belongs to another study than the images."
            if elsewhere:
                self.refused[place] = ImagingError(elsewhere, code="other_study")
            else:
                yield ReceivedObject(self.posted[place], place, found.media_type, header, what, reason)

    def _images(self, modality_of: dict[int, str]) -> list[ReceivedImage]:
        plain_series = mint_uid()
        images: list[ReceivedImage] = []
        for place, modality in sorted(modality_of.items()):
            file, description = self.posted[place], self.found[place]
            assert isinstance(description, Description)
            header = description.header or DicomHeader()
            uid = header.sop_instance_uid or ""
            series = header.series_instance_uid or ""
            part = self.parts.get(place, ImagePart())
            facts, source = self._scale(file, description, part)
            said = spelled(part.view) if part.view else None
            if part.laterality and said and said.side and said.side != part.laterality:
                self._add_error(
                    "study.images.view",
                    f"The view {part.view} is of another side than {part.laterality}.",
                    file.name,
                )
            side = part.laterality or (said.side if said and said.side in ("L", "R") else None)
            view = (said.view if said and said.view else part.view) if part.view else None
            facts = with_post_claim(facts, side)
            if said is not None and said.modifiers:
                facts = facts.model_copy(update={"view_modifiers": said.modifiers})
            laterality = self._image_value(file, "laterality", side, _one_side(header.laterality))
            used_view = self._image_value(file, "view", view, header.view_position)[:16]
            self._note_contradictions(file, description.facts, laterality, used_view)
            images.append(
                ReceivedImage(
                    file=file,
                    place=place,
                    part=part,
                    description=description,
                    modality=modality,
                    sop_instance_uid=uid or mint_uid(),
                    minted=not uid,
                    series_instance_uid=series or plain_series,
                    laterality=laterality,
                    view=used_view,
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

    def _note_contradictions(self, file: PostedFile, facts: ImageFacts, laterality: str, view: str) -> None:
        """Where a header contradicts itself: every attribute that says otherwise than the first, whose word against the
        sender's is noted already."""
        for side in facts.side_claims[1:]:
            if laterality and side.side != laterality and side.side != facts.side_claims[0].side:
                self._note_difference(file, "laterality", f"{side.side} ({side.source})", laterality)
        for claim in facts.view_claims[1:]:
            if view and claim.view != view and claim.view != facts.view_claims[0].view:
                self._note_difference(file, "view", f"{claim.view} ({claim.source})", view)
        if not orientation.fits_view(facts.patient_orientation, view):
            directions = "\\".join(facts.patient_orientation)
            self._note_difference(file, "view", f"{directions} (PatientOrientation)", view)

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
        return facts.model_copy(
            update={"spacing_um": (given, given), "regions": (), "scale_remarks": ()}
        ), "study part"


def _one_side(laterality: str | None) -> str:
    """`B` (both) names no side of one breast."""
    return laterality if laterality in {"L", "R"} else ""


def _listed(conjunction: str) -> str:
    """ "MG, US and SM"."""
    *others, last = modalities.codes()
    return f"{', '.join(others)} {conjunction} {last}" if others else last
