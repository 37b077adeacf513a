"""Forms about records. They read what was typed; the services decide whether it may be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.forms import PlainForm
from cad_platform.accounts.models import Site
from cad_platform.records.models import ErasureRequest
from cad_platform.records.reasons import LONGEST
from cad_platform.records.retention import MOST_YEARS


class TwoIdsForm(PlainForm):
    """Which two records. Sent in a body: no address names a patient."""

    kept = forms.CharField(label=_("Patient id that stays"), max_length=256)
    kept_issuer = forms.CharField(
        label=_("Its issuer"), max_length=256, required=False, help_text=_("Blank: your own site.")
    )
    gone = forms.CharField(label=_("Patient id that becomes the same"), max_length=256)
    gone_issuer = forms.CharField(
        label=_("Its issuer"), max_length=256, required=False, help_text=_("Blank: your own site.")
    )


class ReasonForm(PlainForm):
    """Why something is done."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 3, "class": "textarea"}),
    )


class MergeForm(ReasonForm):
    """The two records that were compared, and why they are one."""

    kept_id = forms.UUIDField(widget=forms.HiddenInput)
    gone_id = forms.UUIDField(widget=forms.HiddenInput)


class HoldForm(ReasonForm):
    """Whose record is held, and why. Sent in a body: no address names a patient."""

    patient_id = forms.CharField(label=_("Patient ID"), max_length=256)
    issuer = forms.CharField(
        label=_("Its issuer"), max_length=256, required=False, help_text=_("Blank: your own site.")
    )

    field_order = ["patient_id", "issuer", "reason"]


class ErasureForm(HoldForm):
    """Whose record is to go, who asked for it, and why."""

    on_behalf = forms.ChoiceField(label=_("Who asked"), choices=ErasureRequest.OnBehalf.choices)

    field_order = ["patient_id", "issuer", "on_behalf", "reason"]


class PolicyForm(PlainForm):
    """For how many years a site keeps records."""

    site = forms.ChoiceField(label=_("Site"))
    years = forms.IntegerField(
        label=_("Years after the last visit"),
        min_value=1,
        max_value=MOST_YEARS,
        required=False,
        help_text=_("Blank: nothing falls due."),
    )

    def __init__(self, *args: Any, sites: Iterable[Site], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"].choices = [(site.pk, site.name) for site in sites]  # type: ignore[attr-defined]
