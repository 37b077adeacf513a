"""Users and tokens, signing in and out. Of allauth only what this platform offers is reachable: accounts are
made by administrators, so there is no sign-up and no reset by e-mail."""

from allauth.account import views as account
from django.urls import URLPattern, path

from cad_platform.accounts import preferences, role_views, session_views, views
from cad_platform.accounts.session_states import ALL_STATES, PasswordDue, SessionLocked, reachable_in

#: Whoever is signed out signs in, and whoever is not the page's person may do so too.
_sign_in = reachable_in(*ALL_STATES)(account.login)
_sign_out = reachable_in(SessionLocked, PasswordDue)(account.logout)

urlpatterns: list[URLPattern] = [
    path("users/", views.users, name="users"),
    path("users/new/", views.new_user, name="new-user"),
    path("users/<int:user_id>/", views.user, name="user"),
    path("users/<int:user_id>/password", views.user_password, name="user-password"),
    path("users/<int:user_id>/access", views.user_access, name="user-access"),
    path("roles/", role_views.roles, name="roles"),
    path("roles/<int:user_id>/", role_views.person, name="person-roles"),
    path("sites/", views.sites, name="sites"),
    path("sites/new/", views.new_site, name="new-site"),
    path("sites/<int:site_id>/", views.site, name="site"),
    path("sites/<int:site_id>/access", views.site_access, name="site-access"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<uuid:token_id>/revoke", views.revoke_token, name="revoke-token"),
    path("keyboard/", preferences.keyboard, name="keyboard"),
    path("session/", session_views.session_state, name="session-state"),
    path("session/activity", session_views.activity, name="session-activity"),
    path("session/lock", session_views.lock_session, name="session-lock"),
    path("session/unlock/", session_views.unlock, name="session-unlock"),
    path("password/own/", session_views.own_password, name="own-password"),
    path("session/hand-over", session_views.hand_over, name="session-hand-over"),
    path("login/", _sign_in, name="account_login"),
    path("logout/", _sign_out, name="account_logout"),
    path("inactive/", account.account_inactive, name="account_inactive"),
    path("signup/", account.signup, name="account_signup"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account.password_change, name="account_change_password"),
]
