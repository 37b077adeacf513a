"""Users and tokens, signing in and out. Of allauth only what this platform offers is reachable: accounts are
made by administrators, so there is no sign-up and no reset by e-mail."""

from allauth.account import views as account
from django.urls import URLPattern, path

from cad_platform.accounts import preferences, views

urlpatterns: list[URLPattern] = [
    path("users/", views.users, name="users"),
    path("users/new/", views.new_user, name="new-user"),
    path("users/<int:user_id>/", views.user, name="user"),
    path("users/<int:user_id>/password", views.user_password, name="user-password"),
    path("users/<int:user_id>/access", views.user_access, name="user-access"),
    path("sites/", views.sites, name="sites"),
    path("sites/<int:site_id>/", views.site, name="site"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<uuid:token_id>/revoke", views.revoke_token, name="revoke-token"),
    path("keyboard/", preferences.keyboard, name="keyboard"),
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("signup/", account.signup, name="account_signup"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account.password_change, name="account_change_password"),
]
