"""How scores, classes, flags, images and sizes are said in words: one place for worklist, case page and reports.

A score is worded by the operating points that travel with the weights, in the words of its modality.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform import modalities
from cad_platform.analysis.verdict import Verdict
from cad_platform.core.punctuation import facts
from cad_platform.core.sentences import in_every_language
from cad_platform.studies.sorting import SortedImage
from inference.contract import OPERATING_POINTS, outline_lexicon


class Band(IntEnum):
    """Where a calibrated probability stands among the operating points."""

    UNKNOWN = -1
    BELOW = 0
    LOW = 1
    MIDDLE = 2
    HIGH = 3


#: In rising order; a score at or above a point belongs to the band.
_BANDS = tuple(zip(OPERATING_POINTS, (Band.LOW, Band.MIDDLE, Band.HIGH), strict=True))

#: What a score of each band meant when the model was tested.
_MEANINGS: dict[Band, str | Promise] = {
    Band.UNKNOWN: gettext_lazy("How often the model is right at this score was not measured."),
    Band.BELOW: gettext_lazy("When the model was tested, few cases with the disease scored this low."),
    Band.LOW: gettext_lazy(
        "When the model was tested, most cases with the disease scored at least this high, and so did many without it."
    ),
    Band.MIDDLE: gettext_lazy(
        "When the model was tested, scores from here on told cases with the disease best from those without it."
    ),
    Band.HIGH: gettext_lazy("When the model was tested, few cases without the disease scored this high."),
}

_PROBABILITY_OF: dict[str, str | Promise] = {
    "abnormal": gettext_lazy("probability of an abnormality"),
    "benign": gettext_lazy("probability of a benign lesion"),
    "idc": gettext_lazy("probability of invasive ductal carcinoma"),
    "invasive_carcinoma": gettext_lazy("probability of invasive carcinoma"),
    "calcifications": gettext_lazy("probability of calcifications"),
    "lesion": gettext_lazy("probability of a lesion"),
    "malignancy": gettext_lazy("probability of malignancy"),
    "malignant": gettext_lazy("probability of malignancy"),
    "mass": gettext_lazy("probability of a mass"),
}

_POINT_WORDS: dict[str, str | Promise] = dict(
    zip(
        OPERATING_POINTS,
        (gettext_lazy("high sensitivity"), gettext_lazy("balanced"), gettext_lazy("high specificity")),
        strict=True,
    )
)

#: Classes of the models. What readers call findings is said by the modalities, and models may use those labels too.
_CLASS_WORDS: dict[str, str | Promise] = {
    "normal": gettext_lazy("Normal"),
    "benign": gettext_lazy("Benign"),
    "malignant": gettext_lazy("Malignant"),
    "not_malignant": gettext_lazy("Not malignant"),
    "abnormal": gettext_lazy("Abnormal"),
    # Learnt from films that all show a mass: it says nothing of whether there is one.
    "malignancy": gettext_lazy("Malignant, if there is a mass"),
    "no_finding": gettext_lazy("No finding"),
    "suspicious": gettext_lazy("Suspicious"),
    "lesion": gettext_lazy("Lesion"),
    "calcification": gettext_lazy("Calcification"),
    "non_idc": gettext_lazy("Not IDC"),
}

EDIT_REASONS: tuple[str | Promise, ...] = (
    gettext_lazy("Too large"),
    gettext_lazy("Too small"),
    gettext_lazy("Wrong place"),
    gettext_lazy("Wrong label"),
)

_FLAG_WORDS: dict[str, tuple[str | Promise, str | Promise]] = {
    "out_of_distribution": (
        gettext_lazy("No verdict"),
        gettext_lazy(
            "The model has not learnt from images like this one, so nothing that it computes counts here."
        ),
    ),
    "uncertain": (
        gettext_lazy("Uncertain"),
        gettext_lazy("The model could not settle on one answer. Give its number little weight."),
    ),
    "partial": (
        gettext_lazy("Not of every image"),
        gettext_lazy(
            "Some images are unlike those that the model has learnt from. The number is of the others."
        ),
    ),
    "not_read": (
        gettext_lazy("Not every image was read"),
        gettext_lazy("At least one image could not be read. The number is of the others."),
    ),
    "low_quality": (
        gettext_lazy("Poor image quality"),
        gettext_lazy("Blur, low contrast or cropping may hide or imitate a finding."),
    ),
}


_DESCRIPTOR_WORDS: dict[str, str | Promise] = {
    "area_mm2": gettext_lazy("area %(value)s mm²"),
    "aspect_ratio": gettext_lazy("height to width %(value)s"),
    "longest_mm": gettext_lazy("longest %(value)s mm"),
    "malignancy": gettext_lazy("if it is a mass, %(value)s malignant"),
    "birads": gettext_lazy("the model expects BI-RADS %(value)s of a reader"),
}

#: Of what is measured of an outline, in the terms of the BI-RADS lexicon.
_OUTLINE_WORDS: dict[str, str | Promise] = {
    "round": gettext_lazy("round"),
    "oval": gettext_lazy("oval"),
    "irregular": gettext_lazy("irregular"),
    "parallel": gettext_lazy("parallel"),
    "not_parallel": gettext_lazy("not parallel"),
    "circumscribed": gettext_lazy("circumscribed"),
    "not_circumscribed": gettext_lazy("not circumscribed"),
}


#: Descriptors that are probabilities, 0 to 1.
_PROBABILITIES = frozenset({"malignancy"})


@dataclass(frozen=True)
class Flag:
    """A quality flag of a result, said and explained."""

    code: str
    name: str
    explanation: str


@dataclass(frozen=True)
class Score:
    """A calibrated probability in words and numbers, of what it is the probability, and what such a score meant when
    the model was tested."""

    value: float
    band: Band
    words: str
    of: str
    meaning: str

    @property
    def percent(self) -> int:
        return percent_of(self.value)

    @property
    def tone(self) -> str:
        """The tag's colour; the words say the same."""
        return {Band.HIGH: "danger", Band.MIDDLE: "warn", Band.LOW: "plain"}.get(self.band, "calm")


def band_of(value: float, thresholds: Mapping[str, float]) -> Band:
    """The highest band whose operating point `value` reaches; UNKNOWN when the weights brought none."""
    known = [(thresholds[name], band) for name, band in _BANDS if name in thresholds]
    if not known:
        return Band.UNKNOWN
    return max((band for threshold, band in known if value >= threshold), default=Band.BELOW)


def percent_of(probability: float) -> int:
    """As it stands on marks, in lists and in reports alike: 1 to 99, since no model is certain."""
    return min(99, max(1, round(100 * probability)))


def score(value: float, thresholds: Mapping[str, float], modality: str, of: str = "") -> Score:
    """Word a probability of the positive class as the modality's bands say it.

    Parameters
    ----------
    value
        Calibrated, 0 to 1.
    thresholds
        The operating points that travel with the weights, by name.
    modality
        Code of the study's modality.
    of
        The positive class.
    """
    band = band_of(value, thresholds)
    words = getattr(modalities.get(modality).bands, band.name.lower())
    return Score(value, band, str(words), probability_of(of), str(_MEANINGS[band]))


def probability_of(name: str) -> str:
    """What a number is, said in full: "probability of a mass". `name` is a class or a label."""
    key = name.lower()
    of = _PROBABILITY_OF.get(key)
    if of is not None:
        return str(of)
    return _("probability of: %(class)s") % {"class": class_words(name)} if name else _("probability")


def class_words(name: str) -> str:
    """A class or label in words; an unknown one is shown as it is."""
    key = name.lower()
    tables = (_CLASS_WORDS, *(modality.labels for modality in modalities.registered()))
    words = next((table[key] for table in tables if key in table), None)
    return str(words) if words else name.replace("_", " ").capitalize()


def point_words(name: str) -> str:
    """An operating point in words."""
    return str(_POINT_WORDS.get(name, name.replace("_", " ")))


def is_shown(descriptor_name: str) -> bool:
    """Whether a descriptor says something to a reader; the others stay in the result."""
    return descriptor_name in _DESCRIPTOR_WORDS


def descriptor(name: str, value: float) -> str:
    """A descriptor of a finding's shape, with its unit."""
    if name in _PROBABILITIES:
        digits = f"{percent_of(value)} %"
    else:
        digits = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(_DESCRIPTOR_WORDS[name]) % {"value": digits}


def outline_words(descriptors: Mapping[str, float]) -> list[str]:
    """Shape, orientation and margin, said to be measured; of models that describe lesions so."""
    lexicon = outline_lexicon(descriptors) if "birads" in descriptors else {}
    if not lexicon:
        return []
    terms = facts(str(_OUTLINE_WORDS[term]) for term in lexicon.values())
    return [_("measured from the outline: %(terms)s") % {"terms": terms}]


def flag(code: str) -> Flag:
    """A flag with its explanation."""
    name, explanation = _FLAG_WORDS.get(code, (code.replace("_", " "), ""))
    return Flag(code, str(name), str(explanation))


def flags_of(verdict: Verdict) -> list[Flag]:
    """What stands beside a verdict's number wherever it is shown."""
    return [flag(code) for code in (*(["partial"] if verdict.is_partial else []), *verdict.flags)]


def image_names(images: Iterable[SortedImage]) -> dict[uuid.UUID, str]:
    """What each image of a study is called, by its key: "R CC", "L CC ID" where side and view are known, else its place
    among the study's images. `images` are all of them, in order (`studies.selectors.sorted_images`)."""
    return {
        image.instance.pk: image.place_name or _("Image %(number)d") % {"number": place}
        for place, image in enumerate(images, start=1)
    }


def breast_words(side: str, *, is_sure: bool) -> str:
    """The breast that a result speaks of; while a side is not sure, so is this."""
    if side == "R":
        return _("Right breast") if is_sure else _("Right breast, side unconfirmed")
    return _("Left breast") if is_sure else _("Left breast, side unconfirmed")


_NUMBERED = re.compile(r"Image (?P<number>\d+)")


def place_words(name: str) -> str:
    """The name of an image as the record keeps it, in English, in the language in use."""
    numbered = _NUMBERED.fullmatch(name)
    return _("Image %(number)d") % {"number": int(numbered["number"])} if numbered else name


def reason_said(reason: str) -> str:
    """A reader's reason. Of those that the platform suggests, the one that was chosen is said in the language in use,
    whatever language it was chosen in; another stays as it was typed."""
    suggested = _suggested_reasons().get(reason)
    return str(suggested) if suggested else reason


@lru_cache(maxsize=1)
def _suggested_reasons() -> dict[str, str | Promise]:
    return in_every_language(
        [*EDIT_REASONS, *(r for modality in modalities.registered() for r in modality.reject_reasons)]
    )


def frames_words(frames_read: Sequence[int], frames: int) -> str:
    """Which frames of an image a model read, counted from 1; empty for an image of one frame.

    Parameters
    ----------
    frames_read
        Their numbers, from 0, as in `ImageResult.frames_read`.
    frames
        How many the image has.
    """
    read = sorted(set(frames_read))
    if frames <= 1 or not read:
        return ""
    if len(read) == frames:
        return _("all %(frames)d frames") % {"frames": frames}
    said = {"read": len(read), "frames": frames, "first": read[0] + 1, "last": read[-1] + 1}
    if len(read) == 1:
        return _("frame %(first)d of %(frames)d only") % said
    if read[-1] - read[0] + 1 == len(read):
        return _("frames %(first)d–%(last)d of %(frames)d") % said
    return _("%(read)d of %(frames)d frames, between %(first)d and %(last)d") % said


def length_words(points: Sequence[Sequence[float]], spacing_um: tuple[float, float] | None) -> str:
    """How far two points `(x, y)` in pixels lie apart: in millimetres, or below one in micrometres, where a spacing
    (µm, x and y) holds from one to the other; else in pixels, and that there is no scale."""
    (x0, y0), (x1, y1) = points
    if spacing_um is None:
        return _("%(pixels)d px (no scale)") % {"pixels": round(math.hypot(x1 - x0, y1 - y0))}
    length = math.hypot((x1 - x0) * spacing_um[0], (y1 - y0) * spacing_um[1])
    if length >= 1000:
        return _("%(length).1f mm") % {"length": length / 1000}
    return (_("%(length).1f µm") if length < 10 else _("%(length).0f µm")) % {"length": length}


def box_size(box: Sequence[float], spacing_um: tuple[float, float] | None) -> str:
    """Width × height of a box `(x0, y0, x1, y1)` in pixels: in millimetres where a spacing (µm, x and y) holds for all
    of it, else in pixels."""
    width, height = box[2] - box[0], box[3] - box[1]
    if spacing_um is None:
        return _("%(width)d × %(height)d px") % {"width": width, "height": height}
    return _("%(width).1f × %(height).1f mm") % {
        "width": width * spacing_um[0] / 1000,
        "height": height * spacing_um[1] / 1000,
    }
