"""Breast ultrasound: single pictures and cine loops."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cad_platform.modalities.modality import Modality, ReportProfile
from cad_platform.modalities.shared import MALIGNANCY, labels

MODALITY = Modality(
    code="US",
    name=_("Ultrasound"),
    position=20,
    sop_classes=frozenset(
        {
            "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
            "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound, retired
            "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame
            "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame, retired
            "1.2.840.10008.5.1.4.1.1.6.2",  # Enhanced US Volume
        }
    ),
    signers=frozenset({"radiologist"}),
    drafters=frozenset({"radiologist", "sonographer"}),
    labels=labels("mass", "cyst", "architectural_distortion", "lymph_node", "skin_change", "other"),
    reject_reasons=(
        _("Normal tissue"),
        _("Simple cyst"),
        _("Shadow or reverberation"),
        _("Benign finding, known"),
        _("Caliper or text"),
    ),
    bands=MALIGNANCY,
    report=ReportProfile(kind="imaging", title=_("Breast ultrasound report")),
    champion="ultrasound",
    phantoms=("ultrasound",),
)
