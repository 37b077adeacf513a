"""Histopathology: whole slides, and photographs through a microscope."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from cad_platform.modalities.modality import BandWords, Modality, ReportProfile
from cad_platform.modalities.shared import labels

MODALITY = Modality(
    code="SM",
    name=_("Histopathology"),
    position=30,
    sop_classes=frozenset(
        {
            "1.2.840.10008.5.1.4.1.1.77.1.6",  # VL Whole Slide Microscopy
            "1.2.840.10008.5.1.4.1.1.77.1.2",  # VL Microscopic
            "1.2.840.10008.5.1.4.1.1.77.1.3",  # VL Slide-Coordinates Microscopic
        }
    ),
    file_kinds=frozenset({"dicom", "image", "slide"}),
    signers=frozenset({"pathologist"}),
    drafters=frozenset({"pathologist"}),
    labels={
        "invasive_carcinoma": _("Invasive carcinoma"),
        "idc": _("Invasive ductal carcinoma (IDC)"),
        "carcinoma_in_situ": _("Carcinoma in situ"),
        "atypia": _("Atypia"),
        "not_idc": _("Not IDC"),
        "artefact": _("Artefact"),
        **labels("other"),
    },
    reject_reasons=(
        _("No tumour here"),
        _("In situ only"),
        _("Inflammation or stroma"),
        _("Fold, blur or pen"),
        _("Outside the tissue"),
    ),
    # The network tells invasive ductal carcinoma from everything else: class 0 is "not IDC", never "benign".
    bands=BandWords(
        unknown=_("Analysed"),
        below=_("Not IDC"),
        low=_("Low suspicion of IDC"),
        middle=_("Suspicious for IDC"),
        high=_("Highly suspicious for IDC"),
    ),
    report=ReportProfile(
        kind="histopathology", title=_("Breast histopathology report"), has_assessment=False
    ),
    photographs=True,
    champion="histopathology",
    phantoms=("tissue", "slide"),
)
