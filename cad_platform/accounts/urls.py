"""Signing in and out. Of allauth only what this platform offers is reachable: accounts are made by
administrators, so there is no sign-up and no reset by e-mail."""

from allauth.account import views as account
from django.urls import URLPattern, path

urlpatterns: list[URLPattern] = [
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("signup/", account.signup, name="account_signup"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account.password_change, name="account_change_password"),
]
