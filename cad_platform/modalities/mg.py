"""Mammography, tomosynthesis included."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cad_platform.modalities.modality import ImageRules, Modality, ReportProfile
from cad_platform.modalities.shared import MALIGNANCY, labels

MODALITY = Modality(
    code="MG",
    name=_("Mammography"),
    position=10,
    sop_classes=frozenset(
        {
            "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography X-Ray, for presentation
            "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray, for processing
            "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis
            "1.2.840.10008.5.1.4.1.1.13.1.4",  # Breast Projection X-Ray, for presentation
            "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection X-Ray, for processing
        }
    ),
    signers=frozenset({"radiologist"}),
    drafters=frozenset({"radiologist", "sonographer"}),
    labels=labels(
        "mass",
        "calcifications",
        "architectural_distortion",
        "asymmetry",
        "lymph_node",
        "skin_change",
        "other",
    ),
    reject_reasons=(
        _("Normal tissue"),
        _("Overlapping tissue"),
        _("Benign finding, known"),
        _("Artefact or marker"),
        _("Outside the breast"),
    ),
    bands=MALIGNANCY,
    report=ReportProfile(kind="imaging", title=_("Mammography report"), has_density=True),
    images=ImageRules(
        views=("CC", "MLO", "XCC", "XCCL", "XCCM", "FB", "ML", "LM", "LMO", "SIO", "ISO"),
        # A magnified, spot or tangential exposure shows a part of the breast at another scale; a cleavage view shows
        # parts of both. Rolled, implant-displaced and partial views show the breast as the network has learnt it.
        unread_modifiers=frozenset({"S", "M", "TAN", "CV", "AT", "AX", "IMF"}),
        has_chest_wall=True,
    ),
    hanging="mammography",
    champion="mammography",
    phantoms=("mammography",),
)
