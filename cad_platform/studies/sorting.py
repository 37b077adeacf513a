"""Which images of a study hang, which the models read, and which are kept aside with a reason. Decided here alone: the
page, the models, the API and the report ask `sort_images`.

Pure: it reads no rows. What differs by modality is declared there (`modalities.modality.ImageRules`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from django.utils.translation import gettext_lazy as _

from cad_platform import modalities
from cad_platform.core.punctuation import listed
from cad_platform.modalities.modality import ImageRules, Words
from cad_platform.studies import scale_words
from cad_platform.studies.models import Instance
from cad_platform.studies.sides import Confirmation, Side, Turned, side_of, turned
from imaging.description import ImageFacts

Role = Literal["hung", "scored", "kept_aside"]

#: Why an image does not hang, or is not read by the models.
REASONS: dict[str, Words] = {
    "raw": _("Raw image (for processing): the processed one hangs"),
    "raw_alone": _("Raw image (for processing): not read by the models"),
    "quality_control": _("Quality control image"),
    "specimen": _("Specimen: tissue that was taken out"),
    "localizer": _("Localizer"),
    "projection": _("Projection of a tomosynthesis"),
    "screen": _("Capture of a screen or a document, not an acquired image"),
    "biopsy": _("Image of a biopsy: the models read standard views"),
    "special_view": _("Special view (%(modifiers)s): the models read standard views"),
    "contrast": _("Image of a contrast examination: the models read the low-energy one"),
    "synthetic": _("Synthetic image: the models read the acquired one of this view"),
    "copy": _("Made from another image: the models read the acquired one of this view"),
}
#: Reasons that hold only beside a plain image of the same view.
_STANDS_IN = frozenset({"synthetic", "copy"})
#: Only these are kept from hanging; the others hang and are not read.
_KEPT_ASIDE = frozenset({"raw", "quality_control", "specimen", "localizer", "projection", "screen"})

_FOR_PROCESSING_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray, for processing
        "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, for processing
        "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection X-Ray, for processing
    }
)
_PROJECTION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.13.1.4", "1.2.840.10008.5.1.4.1.1.13.1.5"})
_TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
#: Image Type, from value 3 on (PS3.3 C.8.11.7.1.4, C.7.6.1.1.2, C.8.6.2): what the picture is.
_LOCALIZERS = frozenset({"LOCALIZER", "SCOUT"})
_PROJECTIONS = frozenset({"TOMO_PROJ", "TOMOPROJ", "PROJECTION"})
_SYNTHETIC = frozenset({"TOMO_2D", "GENERATED_2D", "SYNTHETIC_2D"})
#: Its first two values where it was made from other images after the exam: a copy with marks, an enhanced one.
_COPY = ("DERIVED", "SECONDARY")
_BIOPSY = ("STEREO_", "PREFIRE_", "POSTFIRE_")
_CONTRAST = frozenset({"HIGH_ENERGY", "SUBTRACTION", "RECOMBINED"})
#: Conversion Type (0008,0064): a screen, a drawing, a document, something made up. DF and SI are films and pictures.
_SCREENS = frozenset({"WSD", "DRW", "SD", "SYN"})


@dataclass(frozen=True)
class SortedImage:
    """One image with its place in the study.

    Attributes
    ----------
    modality
        Of the image; a study may have several.
    reason_code
        Why it does not hang or is not read, a key of `REASONS`; empty where it does and is.
    view, modifiers
        The plain abbreviation, or as it was sent; the modifiers of CID 4015.
    """

    instance: Instance
    modality: str
    facts: ImageFacts
    roles: tuple[Role, ...]
    reason_code: str
    side: Side
    view: str
    modifiers: tuple[str, ...]
    turned: Turned

    @property
    def is_scored(self) -> bool:
        return "scored" in self.roles

    @property
    def has_side(self) -> bool:
        """Whether a side is said of it, or expected: of every picture of a breast."""
        return bool(self.side.laterality or self.side.stop) or rules_of(self.modality).has_chest_wall

    @property
    def is_kept_aside(self) -> bool:
        return "kept_aside" in self.roles

    @property
    def reason(self) -> str:
        """In the language in use; empty where it hangs and is read."""
        if not self.reason_code:
            return ""
        words = str(REASONS[self.reason_code])
        return words % {"modifiers": listed(self.modifiers)} if "%(" in words else words

    @property
    def scale_reason(self) -> str:
        """A few words on why there is no scale; empty where there is one, or the file just says nothing."""
        return scale_words.short_reason(self.facts, has_scale=self.instance.has_scale)

    @property
    def scale_sentences(self) -> list[str]:
        """What of the scale was refused or left open, and why; where there is none, at least one."""
        return scale_words.sentences(self.facts, has_scale=self.instance.has_scale)

    @property
    def place_name(self) -> str:
        """`L CC ID`; empty where neither side nor view is known."""
        return " ".join(part for part in (self.side.laterality, self.view, *self.modifiers) if part)


def sort_images(
    study_modalities: Sequence[str],
    images: Sequence[Instance],
    confirmations: Mapping[uuid.UUID, Confirmation] | None = None,
) -> list[SortedImage]:
    """Every image of a study once, in hanging order; those that are kept aside come last.

    Parameters
    ----------
    study_modalities
        Those that the study has images of, the one of its report first; images of others count as of that one.
    images
        In the order in which they were acquired, each with its series; what repeats keeps it.
    confirmations
        The newest of each image, by its key.
    """
    found = [_described(study_modalities, image, (confirmations or {}).get(image.pk)) for image in images]
    found = _against_each_other(found)
    found = [_with_roles(image) for image in found]
    found = _something_hangs(found)
    order = {image.instance.pk: place for place, image in enumerate(found)}
    return sorted(found, key=lambda image: (*_place(image, study_modalities), order[image.instance.pk]))


def side_of_one(
    study_modalities: Sequence[str], image: Instance, confirmation: Confirmation | None = None
) -> Side:
    """The side of one image: what its neighbours are does not change it."""
    return _described(study_modalities, image, confirmation).side


def scored(images: Iterable[SortedImage], modality: str) -> list[SortedImage]:
    """Those that a model of this modality reads, in order."""
    return [image for image in images if image.is_scored and image.modality == modality]


def unconfirmed(images: Iterable[SortedImage]) -> list[SortedImage]:
    """Those whose side is not sure; while a model's image is among them, nothing that it says of one breast is."""
    return [image for image in images if image.side.stop]


def rules_of(modality: str) -> ImageRules:
    """What the modality declares; nothing for one that is not registered."""
    return modalities.get(modality).images if modalities.is_registered(modality) else ImageRules()


# --- one image -----------------------------------------------------------------------------------------


def _described(
    study_modalities: Sequence[str], image: Instance, confirmation: Confirmation | None
) -> SortedImage:
    """What the image is by itself, without its neighbours."""
    own = image.series.modality
    modality = own if own in study_modalities else study_modalities[0]
    rules, facts = rules_of(modality), image.image_facts
    code = _reason(image, facts, rules)
    # A part of a breast, a raw exposure: their orientation counts, the outline in the picture says nothing.
    oriented = rules.has_chest_wall and code not in ("quality_control", "specimen", "screen")
    seen = facts if oriented and not code else facts.model_copy(update={"chest_wall": None})
    side = side_of(
        image.laterality, image.view_position, seen, has_chest_wall=oriented, confirmation=confirmation
    )
    return SortedImage(
        instance=image,
        modality=modality,
        facts=facts,
        roles=(),
        reason_code=code,
        side=side,
        view=image.view_position,
        modifiers=facts.view_modifiers,
        turned=turned(side, seen, has_chest_wall=oriented),
    )


def _reason(image: Instance, facts: ImageFacts, rules: ImageRules) -> str:
    kinds = facts.image_type[2:]
    if facts.quality_control:
        return "quality_control"
    if facts.specimen and image.kind != Instance.Kind.SLIDE and rules.has_chest_wall:
        return "specimen"
    if any(kind in _LOCALIZERS for kind in kinds):
        return "localizer"
    if image.sop_class_uid in _PROJECTION_CLASSES or any(kind in _PROJECTIONS for kind in kinds):
        return "projection"
    if is_raw(image):
        return "raw"
    if _is_secondary_capture(image) and facts.conversion_type in _SCREENS:
        return "screen"
    if any(kind.startswith(_BIOPSY) for kind in kinds):
        return "biopsy"
    if any(kind in _CONTRAST for kind in kinds):
        return "contrast"
    if any(kind in _SYNTHETIC for kind in kinds):
        return "synthetic"
    if rules.unread_modifiers & set(facts.view_modifiers):
        return "special_view"
    if rules.has_chest_wall and facts.image_type[:2] == _COPY:
        return "copy"
    return ""


def is_raw(image: Instance) -> bool:
    """Whether it is meant for processing, not for reading (PS3.3 C.8.11.1.1.1)."""
    return image.presentation_intent == "FOR PROCESSING" or (
        not image.presentation_intent and image.sop_class_uid in _FOR_PROCESSING_CLASSES
    )


def _is_secondary_capture(image: Instance) -> bool:
    return image.sop_class_uid == _SECONDARY_CAPTURE or image.sop_class_uid.startswith(
        _SECONDARY_CAPTURE + "."
    )


# --- beside the others ---------------------------------------------------------------------------------


def _against_each_other(images: Sequence[SortedImage]) -> list[SortedImage]:
    """What counts only beside another image: a raw one beside the processed one of its view, a capture beside acquired
    images, a synthetic view beside the acquired one, a projection beside the slices that were made of it."""
    finished = [image for image in images if image.reason_code not in _KEPT_ASIDE]
    acquired = {image.modality for image in finished if not _is_secondary_capture(image.instance)}
    read = [image for image in finished if image.reason_code == ""]
    shown, plain = (
        {_key(image) for image in finished},
        {_key(image) for image in read if not _is_volume(image)},
    )
    volumes = {image.modality for image in finished if _is_volume(image)}

    def decided(image: SortedImage) -> str:
        code = image.reason_code
        if code == "raw" and not _has_counterpart(image, shown):
            return "raw_alone"
        if code == "screen" and image.modality not in acquired:
            return ""
        if code in _STANDS_IN and _key(image) not in plain:
            return ""
        if code == "projection" and image.modality not in volumes and not _has_counterpart(image, shown):
            return "raw_alone" if is_raw(image.instance) else "biopsy"
        return code

    return [replace(image, reason_code=decided(image)) for image in images]


def _key(image: SortedImage) -> tuple[str, str, str, frozenset[str]]:
    return image.modality, image.side.laterality, image.view, frozenset(image.modifiers)


def _has_counterpart(image: SortedImage, shown: set[tuple[str, str, str, frozenset[str]]]) -> bool:
    """Whether a finished image of the same view hangs. One that does not say its view is taken for that of any."""
    if image.side.laterality and image.view:
        return _key(image) in shown
    return any(key[0] == image.modality for key in shown)


def _is_volume(image: SortedImage) -> bool:
    return image.instance.sop_class_uid == _TOMOSYNTHESIS


def _with_roles(image: SortedImage) -> SortedImage:
    if image.reason_code in _KEPT_ASIDE:
        return replace(image, roles=("kept_aside",))
    return replace(image, roles=("hung",) if image.reason_code else ("hung", "scored"))


def _something_hangs(images: list[SortedImage]) -> list[SortedImage]:
    """A study of nothing but specimens, or test images, shows them: marked, and not read by the models."""
    if any("hung" in image.roles for image in images):
        return images
    return [replace(image, roles=("hung",)) for image in images]


def _place(image: SortedImage, study_modalities: Sequence[str]) -> tuple[int, ...]:
    """Where it hangs: by view, then the right breast before the left, plain exposures before special ones."""
    views = rules_of(image.modality).views
    first = int(image.is_kept_aside), study_modalities.index(image.modality)
    if not views:
        return (*first, 0, 0, 0)
    view = views.index(image.view) if image.view in views else len(views)
    side = ("R", "L").index(image.side.laterality) if image.side.laterality else 2
    return (*first, view, side, len(image.modifiers))
