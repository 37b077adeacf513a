"""Forms about consent and data sets. They read what was typed; the services decide whether it may be."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from cad_platform import modalities
from cad_platform.accounts.forms import PlainForm
from cad_platform.learning.gathering import can_be_gathered
from cad_platform.learning.models import Consent
from cad_platform.learning.trainings import recipes


class ConsentForm(PlainForm):
    """Who said what. Sent in a body: no address names a patient."""

    patient_id = forms.CharField(label=_("Patient ID"), max_length=256)
    issuer = forms.CharField(
        label=_("Its issuer"),
        max_length=256,
        required=False,
        help_text=_("Blank: your own site, where nobody else has this id."),
    )
    state = forms.ChoiceField(label=_("What she says"), choices=Consent.State.choices)
    source = forms.ChoiceField(label=_("How it was said"), choices=Consent.Source.choices)


def _gathered() -> list[tuple[str, object]]:
    return [(code, modalities.get(code).name) for code in modalities.codes() if can_be_gathered(code)]


class TrainingForm(PlainForm):
    """What is to learn from a version."""

    recipe = forms.ChoiceField(label=_("Recipe"), choices=lambda: [(name, name) for name in recipes()])
    variant = forms.CharField(
        label=_("Variant"), max_length=40, required=False, help_text=_("Blank: the recipe as it stands.")
    )


class DatasetForm(PlainForm):
    """Of which images the next version is made."""

    modality = forms.ChoiceField(label=_("Modality"), choices=_gathered)
