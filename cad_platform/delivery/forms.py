"""The form for a new webhook."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.forms import PlainForm
from cad_platform.accounts.models import Site
from cad_platform.delivery.models import Event


class WebhookForm(PlainForm):
    site = forms.ModelChoiceField(label=_("Site"), queryset=Site.objects.none())
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_(
            "https, at a host that the operator allows (CAD_WEBHOOK_ALLOWED_HOSTS); for alerts also "
            "mailto:person@hospital.example (CAD_MAIL_ALLOWED_DOMAINS)."
        ),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"), choices=Event.choices, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, sites: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]
