"""How scores, classes, flags, images and sizes are said in words: one place for worklist, case page and reports.

A score is worded by the operating points that travel with the weights, in the words of its modality.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform import modalities
from cad_platform.studies.models import Instance
from inference.contract import OPERATING_POINTS


class Band(IntEnum):
    """Where a calibrated probability stands among the operating points."""

    UNKNOWN = -1
    BELOW = 0
    LOW = 1
    MIDDLE = 2
    HIGH = 3


#: In rising order; a score at or above a point belongs to the band.
_BANDS = tuple(zip(OPERATING_POINTS, (Band.LOW, Band.MIDDLE, Band.HIGH), strict=True))

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
    "malignancy": gettext_lazy("Malignancy"),
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
        gettext_lazy("Unlike the training images"),
        gettext_lazy("The model has not learnt from images like this one. Its scores may mean nothing here."),
    ),
    "uncertain": (
        gettext_lazy("Uncertain"),
        gettext_lazy("No class, or more than one, is likely enough to rule the others out."),
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
    "malignancy": gettext_lazy("malignancy %(value)s"),
}


@dataclass(frozen=True)
class Flag:
    """A quality flag of a result, said and explained."""

    code: str
    name: str
    explanation: str


@dataclass(frozen=True)
class Score:
    """A calibrated probability in words and numbers, and the operating point it reaches."""

    value: float
    band: Band
    words: str
    reaches: str

    @property
    def percent(self) -> int:
        return round(100 * self.value)

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


def score(value: float, thresholds: Mapping[str, float], modality: str) -> Score:
    """Word a probability of the positive class as the modality's bands say it.

    Parameters
    ----------
    value
        Calibrated, 0 to 1.
    thresholds
        The operating points that travel with the weights, by name.
    modality
        Code of the study's modality.
    """
    band = band_of(value, thresholds)
    words = getattr(modalities.get(modality).bands, band.name.lower())
    reached = [name for name, of in _BANDS if name in thresholds and of <= band]
    if band is Band.UNKNOWN:
        reaches = _("The weights brought no operating point.")
    elif reached:
        reaches = _("At or above the operating point of %(point)s (%(threshold).2f).") % {
            "point": _POINT_WORDS[reached[-1]],
            "threshold": thresholds[reached[-1]],
        }
    else:
        reaches = _("Below every operating point (lowest %(threshold).2f).") % {
            "threshold": min(thresholds.values())
        }
    return Score(value, band, str(words), reaches)


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
    digits = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(_DESCRIPTOR_WORDS[name]) % {"value": digits}


def flag(code: str) -> Flag:
    """A flag with its explanation."""
    name, explanation = _FLAG_WORDS.get(code, (code.replace("_", " "), ""))
    return Flag(code, str(name), str(explanation))


def image_names(images: Iterable[Instance]) -> dict[uuid.UUID, str]:
    """What each image of a study is called, by its key: "R CC" where side and view are known, else its place among the
    study's images. `images` are all of them, in order (`studies.selectors.images_in_order`)."""
    return {image.pk: _image_name(image, place) for place, image in enumerate(images, start=1)}


def _image_name(image: Instance, place: int) -> str:
    views = " ".join(part for part in (image.laterality, image.view_position) if part)
    return views or _("Image %(number)d") % {"number": place}


def box_size(box: Sequence[float], pixel_spacing_um: float | None) -> str:
    """Width × height of a box `(x0, y0, x1, y1)` in pixels: in millimetres where the pixel spacing (micrometres) is
    known, else in pixels."""
    width, height = box[2] - box[0], box[3] - box[1]
    if not pixel_spacing_um:
        return _("%(width)d × %(height)d px") % {"width": width, "height": height}
    return _("%(width).1f × %(height).1f mm") % {
        "width": width * pixel_spacing_um / 1000,
        "height": height * pixel_spacing_um / 1000,
    }
