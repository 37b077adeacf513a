"""Forms about records. They read what was typed; the services decide whether it may be."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.forms import PlainForm
from cad_platform.records.merging import LONGEST_REASON


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
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 3, "class": "textarea"}),
    )


class MergeForm(ReasonForm):
    """The two records that were compared, and why they are one."""

    kept_id = forms.UUIDField(widget=forms.HiddenInput)
    gone_id = forms.UUIDField(widget=forms.HiddenInput)
