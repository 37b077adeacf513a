"""Why an image has no scale, or not every scale that its file gives: words for the image, the case page and the API.

Pure: it reads no rows.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from imaging.description import ImageFacts, ScaleRemark

Words = str | Promise

#: By the code of `imaging.description.ScaleRemark`: a few words for the image, where it has no scale because of this.
_SHORT: dict[str, Words] = {
    "implausible_spacing": gettext_lazy("impossible spacing"),
    "correction_unknown": gettext_lazy("unclear whether corrected for magnification"),
    "magnification_unknown": gettext_lazy("magnification unknown"),
    "frames_differ": gettext_lazy("frames of different sizes"),
    "region_outside": gettext_lazy("region outside the picture"),
}
_SENTENCES: dict[str, Words] = {
    "implausible_spacing": gettext_lazy(
        "%(attribute)s says %(value)s, which no pixel of such an image measures: not used."
    ),
    "implausible_magnification": gettext_lazy(
        "%(attribute)s gives a magnification of %(value)s, which no device has: not used."
    ),
    "correction_unknown": gettext_lazy(
        "%(attribute)s does not say whether it is corrected for the magnification of %(value)s: not used."
    ),
    "magnification_unknown": gettext_lazy(
        "A magnification view that does not say its factor, or says several: lengths at the breast cannot be told from "
        "%(attribute)s."
    ),
    "frames_differ": gettext_lazy(
        "%(attribute)s differ from frame to frame: no one number is true of the image."
    ),
    "region_outside": gettext_lazy("An ultrasound region lies outside the picture, or is no area: not used."),
}
#: As the standard writes the attributes.
_ATTRIBUTES = {
    "PixelSpacing": "Pixel Spacing",
    "ImagerPixelSpacing": "Imager Pixel Spacing",
    "NominalScannedPixelSpacing": "Nominal Scanned Pixel Spacing",
    "PixelMeasuresSequence": "Pixel Measures",
    "ImagedVolumeWidth": "Imaged Volume Width",
    "SequenceOfUltrasoundRegions": "Ultrasound Regions",
    "EstimatedRadiographicMagnificationFactor": "Estimated Radiographic Magnification Factor",
    "DistanceSourceToPatient": "Distance Source to Patient",
}


def sentences(facts: ImageFacts, *, has_scale: bool) -> list[str]:
    """What of the scale was refused or left open, and why; where there is none, at least one."""
    found = [_sentence(remark) for remark in facts.scale_remarks]
    if has_scale or any(remark.code in _SHORT for remark in facts.scale_remarks):
        return found
    if facts.regions:
        return [*found, _("The ultrasound regions of this image give no lengths.")]
    return [*found, _("The file does not say how large a pixel is.")]


def short_reason(facts: ImageFacts, *, has_scale: bool) -> str:
    """A few words beside "no scale"; empty where there is one, or the file just says nothing."""
    if has_scale:
        return ""
    return next((str(_SHORT[each.code]) for each in facts.scale_remarks if each.code in _SHORT), "")


def _sentence(remark: ScaleRemark) -> str:
    return str(_SENTENCES[remark.code]) % {
        "attribute": _ATTRIBUTES.get(remark.attribute, remark.attribute),
        "value": remark.value,
    }
