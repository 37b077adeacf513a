"""The forms of the fleet's pages. They read what was typed; `services` and `loading` decide whether it may be."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.forms import PlainForm
from cad_platform.modelserver.loading import MOST_WORKERS
from cad_platform.modelserver.models import ModelHost


class HostForm(PlainForm):
    """Fields as `services.add_host` calls them."""

    url = forms.CharField(label=_("Address"), max_length=300, help_text="https://gpu-2:8443")
    protocol = forms.ChoiceField(label=_("Protocol"), choices=ModelHost.Protocol.choices, required=False)
    name = forms.CharField(
        label=_("Name"), max_length=120, required=False, help_text=_("Its address where left empty.")
    )
    management_url = forms.CharField(
        label=_("Management address"),
        max_length=300,
        required=False,
        help_text=_("Without it workers are neither counted nor changed, and tokens not renewed."),
    )
    metrics_url = forms.CharField(
        label=_("Address of its counters"),
        max_length=300,
        required=False,
        help_text=_("They prove that a drained server is idle."),
    )
    key_file = forms.CharField(
        label=_("Token file"),
        max_length=500,
        required=False,
        help_text=_("Its path, as the platform's processes see it; no token is typed here."),
    )
    ca_file = forms.CharField(
        label=_("Certificates of your authority"), max_length=500, required=False, help_text=_("A path, too.")
    )
    server_name = forms.CharField(
        label=_("Name in its certificate"),
        max_length=255,
        required=False,
        help_text=_("Where the address is a number."),
    )

    def clean_protocol(self) -> str:
        """What almost every server speaks, where nothing was chosen."""
        return self.cleaned_data["protocol"] or ModelHost.Protocol.TORCHSERVE.value


class LoadForm(PlainForm):
    """A version that a host is to load."""

    model = forms.CharField(label=_("Model"), max_length=60)
    version = forms.CharField(label=_("Version"), max_length=40)
    workers = forms.IntegerField(label=_("Workers"), min_value=1, max_value=MOST_WORKERS, initial=1)


class ScaleForm(PlainForm):
    """How many workers a version is to have."""

    minimum = forms.IntegerField(label=_("At least"), min_value=1, max_value=MOST_WORKERS)
    maximum = forms.IntegerField(label=_("At most"), min_value=1, max_value=MOST_WORKERS)
