"""Words that several modalities share."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cad_platform.modalities.modality import BandWords, Words

#: For a probability of malignancy.
MALIGNANCY = BandWords(
    unknown=_("Analysed"),
    below=_("Not suspicious"),
    low=_("Low suspicion"),
    middle=_("Suspicious"),
    high=_("Highly suspicious"),
)

_LABELS: dict[str, Words] = {
    "mass": _("Mass"),
    "cyst": _("Cyst"),
    "calcifications": _("Calcifications"),
    "architectural_distortion": _("Architectural distortion"),
    "asymmetry": _("Asymmetry"),
    "lymph_node": _("Lymph node"),
    "skin_change": _("Skin change"),
    "other": _("Other"),
}


def labels(*names: str) -> dict[str, Words]:
    """These of the labels that readers of several modalities use, in this order, with their words."""
    return {name: _LABELS[name] for name in names}
