"""What the manifests of the models that come with the platform say of them, in the reader's language: titles, intended
use, training data. A manifest is bound to its weights by a hash and stays English; a site's own model says it as it
does.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop

from cad_platform.core.sentences import Sentences

_SAID = Sentences(
    {},
    also=(
        gettext_noop("Mammography: abnormality of a view, masses and their malignancy"),
        gettext_noop("Breast ultrasound: lesion and malignancy"),
        gettext_noop("Histopathology: invasive ductal carcinoma in H&E"),
        gettext_noop("Research only. Not a medical device; a clinician decides."),
        gettext_noop(
            "Learned from mini-MIAS: research only (MIAS licence agreement; Suckling et al. 1994); and from "
            "CBIS-DDSM: CC BY 3.0 (Sawyer-Lee et al. 2016, Lee et al. 2017)"
        ),
        gettext_noop("Learned from BUSI: CC BY 4.0 (Al-Dhabyani et al. 2020)"),
        gettext_noop("Learned from IDC patches: CC0 (Cruz-Roa 2014, Janowczyk and Madabhushi 2016)"),
    ),
)


def manifest_words(text: str) -> str:
    """A sentence of a manifest in the language in use; one that is not known here as it is."""
    return _SAID.words(text) or text
