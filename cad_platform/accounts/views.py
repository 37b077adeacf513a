"""The administrators' pages about users and tokens."""

from __future__ import annotations

import uuid
from typing import Any
from zoneinfo import available_timezones

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.accounts import one_time, selectors, services
from cad_platform.accounts import tokens as bearer_tokens
from cad_platform.accounts.forms import NewSiteForm, NewUserForm, PasswordForm, SiteForm, TokenForm, UserForm
from cad_platform.accounts.models import User
from cad_platform.accounts.reauthentication import signing_is_locked
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import PlatformError
from cad_platform.core.request_keys import done_once

PAGE_SIZE = 50


@login_required
@never_cache
@require_GET
def users(request: HttpRequest) -> HttpResponse:
    found = selectors.users(actor_of(request))
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "accounts/users.html", {"nav": "users", "page": page})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def new_user(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    form = NewUserForm(request.POST or None, sites=selectors.open_sites(actor))
    if request.method == "POST" and form.is_valid():
        password = form.cleaned_data["password"] or one_time.made_up()
        try:
            user = services.create_user(actor, **{**form.cleaned_data, "password": password})
        except PlatformError as problem:
            form.refuse(problem)
        else:
            if not form.cleaned_data["password"]:
                return _user_page(request, user, one_time_password=password)
            messages.success(request, _("%(name)s can sign in now.") % {"name": user.username})
            return redirect("user", user.pk)
    return render(request, "accounts/new_user.html", {"nav": "users", "form": form}, status=_status(form))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def user(request: HttpRequest, user_id: int) -> HttpResponse:
    """One user: role, site and name; below it what may be done about their access."""
    actor = actor_of(request)
    person = selectors.user_by_id(actor, user_id)
    initial = {name: getattr(person, name, "") for name in UserForm.base_fields}
    form = UserForm(request.POST or None, sites=selectors.open_sites(actor, person), initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_user(actor, person, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("Saved."))
            return redirect("user", user_id)
    return _user_page(request, person, form=form, status=_status(form))


def _user_page(
    request: HttpRequest, person: User, *, form: UserForm | None = None, status: int = 200, **context: Any
) -> HttpResponse:
    actor = actor_of(request)
    initial = {name: getattr(person, name, "") for name in UserForm.base_fields}
    context = {
        "nav": "users",
        "person": person,
        "form": form or UserForm(sites=selectors.open_sites(actor, person), initial=initial),
        "password_form": PasswordForm(),
        "is_self": person.pk == request.user.pk,
        "signing_locked": signing_is_locked(person),
        "signing_rests": one_time.signing_rests(person),
        "may_release": actor.user is not None and actor.user.pk not in (person.password_set_by_id, person.pk),
        **context,
    }
    return render(request, "accounts/user.html", context, status=status)


@login_required
@require_POST
@done_once
def user_password(request: HttpRequest, user_id: int) -> HttpResponse:
    actor = actor_of(request)
    person = selectors.user_by_id(actor, user_id)
    form = PasswordForm(request.POST)
    if form.is_valid():
        password = form.cleaned_data["password"] or one_time.made_up()
        try:
            services.set_password(actor, person, password)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            if not form.cleaned_data["password"]:
                person = selectors.user_by_id(actor, user_id)
                return _user_page(request, person, one_time_password=password)
            messages.success(request, _("The password is set and open sessions have ended."))
            return redirect("user", user_id)
    return _user_page(request, person, password_form=form, status=422)


@login_required
@require_POST
@done_once
def user_access(request: HttpRequest, user_id: int) -> HttpResponse:
    """Deactivate, activate, unlock, or let sign again after a reset."""
    actor = actor_of(request)
    person = selectors.user_by_id(actor, user_id)
    wanted = request.POST.get("access")
    if wanted == "deactivate":
        services.deactivate_user(actor, person)
        messages.success(request, _("Deactivated: sessions have ended and tokens are refused."))
    elif wanted == "activate":
        services.activate_user(actor, person)
        messages.success(request, _("Activated."))
    elif wanted == "release":
        services.release_signing(actor, person)
        messages.success(request, _("%(name)s can sign again.") % {"name": person.printed_name})
    elif wanted == "unlock":
        services.unlock_user(actor, person)
        messages.success(request, _("Unlocked."))
    return redirect("user", user_id)


@login_required
@never_cache
@require_GET
def sites(request: HttpRequest) -> HttpResponse:
    found = selectors.sites(actor_of(request))
    return render(request, "accounts/sites.html", {"nav": "sites", "sites": found})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def new_site(request: HttpRequest) -> HttpResponse:
    """One more hospital or department; then its own page, which says how its files are read."""
    actor = actor_of(request)
    selectors.sites(actor)
    form = NewSiteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_site(actor, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("The site is made."))
            return redirect("site", made.pk)
    context = {"nav": "sites", "form": form, "zones": sorted(available_timezones())}
    return render(request, "accounts/new_site.html", context, status=_status(form))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def site(request: HttpRequest, site_id: int) -> HttpResponse:
    """One site: how its files are read where they do not say so themselves."""
    actor = actor_of(request)
    hospital = selectors.site_by_id(actor, site_id)
    initial = {name: getattr(hospital, name) for name in SiteForm.base_fields}
    form = SiteForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_site(actor, site_id, **form.cleaned_data)
        except PlatformError as problem:
            form.refuse(problem)
        else:
            messages.success(request, _("Saved."))
            return redirect("sites")
    context = {"nav": "sites", "site": hospital, "form": form, "zones": sorted(available_timezones())}
    return render(request, "accounts/site.html", context, status=_status(form))


@login_required
@require_POST
@done_once
def site_access(request: HttpRequest, site_id: int) -> HttpResponse:
    """Deactivate or activate."""
    actor = actor_of(request)
    if request.POST.get("access") == "activate":
        services.activate_site(actor, site_id)
        messages.success(request, _("Activated."))
    else:
        services.deactivate_site(actor, site_id)
        messages.success(request, _("Deactivated: nobody of the site is let in, and its tokens are refused."))
    return redirect("site", site_id)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@done_once
def tokens(request: HttpRequest) -> HttpResponse:
    """The tokens, and a form for a new one. Its plaintext is shown in this answer and never again."""
    actor = actor_of(request)
    form = TokenForm(request.POST or None, users=selectors.token_users(actor))
    plaintext = ""
    if request.method == "POST" and form.is_valid():
        try:
            token, plaintext = bearer_tokens.issue(
                actor,
                form.cleaned_data["user"],
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                expires_at=form.expires_at,
            )
        except PlatformError as problem:
            form.refuse(problem)
        else:
            form = TokenForm(users=selectors.token_users(actor))
            messages.success(request, _("The token “%(name)s” is made.") % {"name": token.name})
    page = Paginator(selectors.tokens(actor), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"nav": "tokens", "page": page, "form": form, "plaintext": plaintext}
    return render(request, "accounts/tokens.html", context, status=_status(form))


@login_required
@require_POST
@done_once
def revoke_token(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    token = bearer_tokens.revoke(actor_of(request), token_id)
    messages.success(request, _("The token “%(name)s” is refused from now on.") % {"name": token.name})
    return redirect("tokens")


def _status(form: Any) -> int:
    return 422 if form.is_bound and form.errors else 200
