"""The forms that allauth's pages take passwords with."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as account
from django import forms
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts import one_time, sign_ins
from cad_platform.accounts.forms import PlainForm


class SignInForm(account.LoginForm):  # type: ignore[misc]
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        user = self.user
        if user is not None and one_time.is_expired(user):
            sign_ins.record_expired(user, self.request)
            raise forms.ValidationError(
                _("This one-time password is no longer valid. Ask your administrator for a new one."),
                code="one_time_expired",
            )
        return cleaned


class ChangePasswordForm(account.ChangePasswordForm):  # type: ignore[misc]
    def clean_password1(self) -> str:
        password = str(self.cleaned_data["password1"])
        if self.user.check_password(password):
            raise forms.ValidationError(_("Choose another password than the present one."), code="same")
        return password


class OwnPasswordForm(PlainForm):
    """A password of one's own in place of the one that an administrator gave."""

    password1 = forms.CharField(
        label=_("New password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    password2 = forms.CharField(
        label=_("New password, once more"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "password1" in cleaned and cleaned["password1"] != cleaned.get("password2"):
            self.add_error("password2", _("The two are not the same."))
        return cleaned


class UnlockForm(PlainForm):
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
