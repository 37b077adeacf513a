"""Forms of the administrators' pages. They read what was typed; `services` decides whether it may be."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.models import CHARACTER_SETS, FALSE_MARK_RATES, Role, Scope, Site, User
from cad_platform.accounts.services import MAX_IDLE_LOCK_MINUTES
from cad_platform.core.errors import PlatformError


class PlainForm(forms.Form):
    """Controls in the design's classes; refusals of a service at their fields."""

    required_css_class = "is-required"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            is_choice = isinstance(field.widget, forms.Select)
            if not isinstance(field.widget, forms.CheckboxSelectMultiple):
                field.widget.attrs.setdefault("class", "select" if is_choice else "input")

    def refuse(self, problem: PlatformError) -> None:
        """Show a refusal: each reason at its field, the rest above the form."""
        for error in problem.errors:
            self.add_error(error.field if error.field in self.fields else None, error.reason)
        if not problem.errors:
            self.add_error(None, problem.detail)


def _one_time_password() -> forms.CharField:
    return forms.CharField(
        label=_("One-time password"),
        strip=False,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "Leave it empty and one is made up and shown once. The person chooses their own with it within 72 hours, "
            "and can do nothing else before."
        ),
    )


class UserForm(PlainForm):
    """A person's role, site and printed name."""

    first_name = forms.CharField(label=_("Given name"), max_length=150, required=False)
    last_name = forms.CharField(label=_("Family name"), max_length=150, required=False)
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
    site = forms.ModelChoiceField(
        label=_("Site"),
        queryset=Site.objects.none(),
        required=False,
        empty_label=_("None (administrators)"),
    )
    professional_id = forms.CharField(
        label=_("Professional id"),
        max_length=64,
        required=False,
        help_text=_("Printed under signatures, for instance a registration number."),
    )

    reason = forms.CharField(
        label=_("Why the role changes"),
        max_length=2000,
        required=False,
        help_text=_("Needed where the role or the site becomes another; it is kept."),
    )

    def __init__(self, *args: Any, sites: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]


class NewUserForm(UserForm):
    username = forms.CharField(
        label=_("Username"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    password = _one_time_password()
    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES, required=False)

    reason = None  # type: ignore[assignment]

    field_order = ["username", "password", "first_name", "last_name", "role", "site"]


class RoleForm(PlainForm):
    """Which role a person has from now on, where, and why."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
    site = forms.ModelChoiceField(
        label=_("Site"),
        queryset=Site.objects.none(),
        required=False,
        empty_label=_("None (administrators)"),
    )
    reason = forms.CharField(label=_("Reason"), max_length=2000)

    def __init__(self, *args: Any, sites: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"].queryset = sites  # type: ignore[attr-defined]


class PasswordForm(PlainForm):
    password = _one_time_password()


class SiteForm(PlainForm):
    """How a site's files are read where they do not say so themselves, and how many marks its readers see."""

    name = forms.CharField(label=_("Name"), max_length=200)
    default_issuer = forms.CharField(
        label=_("Issuer of its patient ids"),
        max_length=256,
        required=False,
        help_text=_(
            "What the site's own files call it (0010,0021). The same number of another issuer is another patient."
        ),
    )
    default_character_set = forms.ChoiceField(
        label=_("Character set of its devices"),
        choices=[("", _("None: unnamed ones are not read")), *CHARACTER_SETS.items()],
        required=False,
        help_text=_("For names that are not ASCII and come without a character set."),
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_(
            "Printed with every time of a report, and used on its pages: Europe/London, Asia/Shanghai. Blank: that of "
            "the installation."
        ),
    )
    idle_lock_minutes = forms.IntegerField(
        label=_("Lock after minutes without use"),
        min_value=0,
        max_value=MAX_IDLE_LOCK_MINUTES,
        required=False,
        help_text=_(
            "A workplace where nobody uses keys or pointer for so long is covered until its person, or somebody else, "
            "signs in. 0: never."
        ),
    )
    false_marks_per_exam = forms.TypedChoiceField(
        label=_("False marks in an exam"),
        coerce=float,
        choices=[(rate, f"{rate:g}") for rate in FALSE_MARK_RATES],
        help_text=_(
            "How many marks of the models that turn out to be nothing the readers bear, on average. Fewer hide more of "
            "the faint marks until they are asked for."
        ),
    )


class NewSiteForm(PlainForm):
    """A hospital or department. How its files are read is said on its page afterwards."""

    name = forms.CharField(label=_("Name"), max_length=200)
    code = forms.SlugField(
        label=_("Code"),
        max_length=40,
        help_text=_("Short, and never changed: letters, digits and hyphens. It stands in lists and exports."),
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        required=False,
        widget=forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Blank: that of the installation."),
    )


class TokenForm(PlainForm):
    """A new token; the last day is inclusive."""

    name = forms.CharField(
        label=_("Name"), max_length=100, help_text=_("Which system uses it, for instance “PACS gateway”.")
    )
    user = forms.ModelChoiceField(
        label=_("Acts for"), queryset=User.objects.none(), help_text=_("The token sees this user's site.")
    )
    scopes = forms.MultipleChoiceField(
        label=_("May"), choices=Scope.choices, widget=forms.CheckboxSelectMultiple
    )
    expires_on = forms.DateField(
        label=_("Last day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    def __init__(self, *args: Any, users: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["user"].queryset = users  # type: ignore[attr-defined]
        in_a_year = timezone.localdate() + timedelta(days=364)
        self.fields["expires_on"].initial = in_a_year
        self.fields["expires_on"].widget.attrs["min"] = timezone.localdate().isoformat()

    @property
    def expires_at(self) -> datetime:
        """The end of the last day, UTC."""
        return datetime.combine(self.cleaned_data["expires_on"] + timedelta(days=1), time.min, UTC)
