"""Forms of rules and alerts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.forms import PlainForm
from cad_platform.accounts.models import Site, User
from cad_platform.analysis.tables import TableRefused, decoded
from cad_platform.quality import acceptance_cases, signed_readings
from cad_platform.quality.models import Acceptance
from cad_platform.quality.reader_studies import LONGEST_NAME, LONGEST_TABLE
from cad_platform.quality.services import NOTE_LENGTH
from cad_platform.registry.models import ModelVersion


class RuleForm(PlainForm):
    threshold = forms.FloatField(label=_("Threshold"), widget=forms.NumberInput(attrs={"step": "any"}))
    owner = forms.ModelChoiceField(
        label=_("In charge"),
        queryset=User.objects.none(),
        required=False,
        empty_label=_("every administrator"),
    )
    is_on = forms.TypedChoiceField(
        label=_("Watched"),
        choices=[("yes", _("Yes")), ("no", _("No"))],
        coerce=lambda value: value == "yes",
    )

    def __init__(self, *args: Any, owners: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner"].queryset = owners  # type: ignore[attr-defined]
        self.fields["owner"].label_from_instance = lambda user: user.printed_name  # type: ignore[attr-defined]


class NoteForm(PlainForm):
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"class": "textarea", "rows": 4}),
        help_text=_("What came of it. Name no patient."),
    )


class AcceptanceForm(PlainForm):
    """Which version is measured where, on which known cases."""

    version = forms.ModelChoiceField(label=_("Model version"), queryset=ModelVersion.objects.none())
    site = forms.ModelChoiceField(label=_("Site"), queryset=Site.objects.none())
    source = forms.ChoiceField(
        label=_("Known cases"),
        choices=[choice for choice in Acceptance.Source.choices if choice[0] != Acceptance.Source.PICKED],
    )
    table = forms.FileField(
        label=_("Table (CSV)"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        help_text=_(
            "Columns study (accession number or study instance UID) and label; a column side (L or R) where a study "
            "with disease shows both breasts. From 50 to 500 studies of the site."
        ),
    )

    def __init__(self, *args: Any, versions: Any, sites: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]
        self.fields["site"].label_from_instance = lambda site: site.name  # type: ignore[attr-defined]

    def text(self) -> str | None:
        """The table as text; None where the platform's own knowledge was chosen. Says at the field what is wrong, and
        raises `ValidationError` then."""
        if self.cleaned_data["source"] == Acceptance.Source.PLATFORM:
            return None
        file = self.cleaned_data["table"]
        if file is None:
            raise forms.ValidationError(_("Choose the table of known cases."))
        if file.size > acceptance_cases.LONGEST_TABLE:
            raise forms.ValidationError(_("The table is larger than 1 MB."))
        try:
            return decoded(file.read())
        except TableRefused as error:
            raise forms.ValidationError(list(error.reasons)) from None


class PickForm(PlainForm):
    """Of which version and site, and which of its known studies are shown."""

    version = forms.ModelChoiceField(label=_("Model version"), queryset=ModelVersion.objects.none())
    site = forms.ModelChoiceField(label=_("Site"), queryset=Site.objects.none())
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    device = forms.CharField(label=_("Device contains"), required=False, max_length=128)
    label = forms.ChoiceField(
        label=_("Label"),
        required=False,
        choices=[("", _("All")), ("positive", _("with the disease")), ("negative", _("without"))],
    )
    source = forms.ChoiceField(
        label=_("Known from"),
        required=False,
        choices=[("", _("All")), ("pathology", _("Signed pathology")), ("table", _("Table"))],
    )
    search = forms.CharField(label=_("Accession number or UID"), required=False, max_length=64)

    def __init__(self, *args: Any, versions: Any, sites: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["version"].queryset = versions  # type: ignore[attr-defined]
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]
        self.fields["site"].label_from_instance = lambda site: site.name  # type: ignore[attr-defined]


class SignedReadingsForm(PickForm):
    """Of which version, site and days the signed reports are compared with the scores."""

    name = forms.CharField(label=_("Name of the study"), max_length=LONGEST_NAME)
    answer = forms.ChoiceField(
        label=_("What readers had in view"), choices=list(signed_readings.ANSWERS.items())
    )
    device = label = search = None  # type: ignore[assignment]
    field_order = ("name", "version", "site", "answer", "since", "until", "source")


class SignatureForm(PlainForm):
    note = forms.CharField(
        label=_("What you have looked at, and what follows"),
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"class": "textarea", "rows": 3}),
        help_text=_("Name no patient."),
    )


class ReaderStudyForm(PlainForm):
    name = forms.CharField(label=_("Name of the study"), max_length=LONGEST_NAME)
    table = forms.FileField(
        label=_("Table (CSV)"),
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        help_text=_(
            "Columns reader, modality, case, truth (1 or 0) and score, one row a reading, none missing. At most 20,000 "
            "readings and 2 MB. Name no patient."
        ),
    )
    design = forms.ChoiceField(
        label=_("Who read which case, with every modality"),
        choices=[
            ("crossed", _("Every reader has read every case")),
            (
                "nested",
                _("Each case was read by one reader: readers have cases of their own (nested in readers)"),
            ),
        ],
        initial="crossed",
        widget=forms.RadioSelect,
    )

    def text(self) -> str:
        """The table. Raises `ValidationError` with what is wrong with it."""
        file = self.cleaned_data["table"]
        if file.size > LONGEST_TABLE:
            raise forms.ValidationError(_("The table is larger than 2 MB."))
        try:
            return decoded(file.read())
        except TableRefused as error:
            raise forms.ValidationError(list(error.reasons)) from None
