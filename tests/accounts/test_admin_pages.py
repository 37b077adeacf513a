"""The administrators' pages: who gets in, and what they do there."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts import services, tokens
from cad_platform.accounts.models import ApiToken, Role, Scope, Site, User
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from tests import factories
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)
NEW_PASSWORD = "another fine password 9"


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def administrator() -> Actor:
    return factories.actor(Role.ADMINISTRATOR)


@pytest.fixture
def browser(administrator: Actor) -> Client:
    return signed_in(administrator.user)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


ADMINISTRATORS_PAGES = ["users", "new-user", "tokens", "models", "jobs", "audit", "audit-export"]
CLINICIANS_PAGES = ["demographics-reviews", "worklist"]


@pytest.mark.parametrize("role", Role.values)
def test_each_role_opens_its_own_pages_and_no_others(role: str) -> None:
    browser = signed_in(factories.user(role))
    clinician = role not in {Role.INTEGRATOR, Role.ADMINISTRATOR}
    for page in ADMINISTRATORS_PAGES:
        # A clinical lead looks at the models, to approve them.
        leads = role == Role.CLINICAL_LEAD and page == "models"
        expected = 200 if role == Role.ADMINISTRATOR or leads else 403
        assert browser.get(reverse(page)).status_code == expected, page
    answer = browser.get(reverse("demographics-reviews"))
    assert answer.status_code == (200 if clinician else 403)


@pytest.mark.parametrize("page", ADMINISTRATORS_PAGES + CLINICIANS_PAGES)
def test_nobody_enters_without_signing_in(page: str) -> None:
    answer = Client().get(reverse(page))
    assert answer.status_code == 302 and answer["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("role", [role for role in Role.values if role != Role.ADMINISTRATOR])
def test_only_administrators_change_users_and_tokens(role: str, site: Site) -> None:
    browser, victim = signed_in(factories.user(role, site)), factories.user(Role.RADIOLOGIST, site)
    token, _plaintext = tokens.issue(Actor.system("test"), victim, name="gateway")
    for url in (
        reverse("new-user"),
        reverse("user", args=[victim.pk]),
        reverse("user-password", args=[victim.pk]),
        reverse("user-access", args=[victim.pk]),
        reverse("tokens"),
        reverse("revoke-token", args=[token.pk]),
    ):
        assert browser.post(url, {"access": "deactivate"}).status_code == 403, url
    token.refresh_from_db()
    assert token.is_active


@pytest.mark.parametrize("role", [role for role in Role.values if role != Role.ADMINISTRATOR])
def test_the_services_refuse_whoever_is_no_administrator(role: str, site: Site) -> None:
    actor, victim = factories.actor(role, site), factories.user(Role.RADIOLOGIST, site)
    for act in (
        lambda: services.create_site(actor, code="new", name="New"),
        lambda: services.create_user(actor, username="x", password=PASSWORD, role=role, site=site),
        lambda: services.update_user(actor, victim, role=role, site=site),
        lambda: services.set_password(actor, victim, NEW_PASSWORD),
        lambda: services.deactivate_user(actor, victim),
        lambda: services.activate_user(actor, victim),
        lambda: services.unlock_user(actor, victim),
    ):
        with pytest.raises(NotPermitted):
            act()


def test_a_new_user_can_sign_in(browser: Client, site: Site) -> None:
    form = {
        "username": "dr.new",
        "password": NEW_PASSWORD,
        "role": Role.RADIOLOGIST,
        "site": site.pk,
        "first_name": "Nora",
        "last_name": "New",
    }
    answer = browser.post(reverse("new-user"), form)
    user = User.objects.get(username="dr.new")
    assert answer["Location"] == reverse("user", args=[user.pk])
    assert Client().login(username="dr.new", password=NEW_PASSWORD)
    assert AuditEvent.objects.filter(action="user.create", object_id=str(user.pk)).exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": "password1234"}, "password"),
        ({"site": ""}, "site"),
        ({"role": Role.ADMINISTRATOR}, "site"),
        ({"username": "taken"}, "username"),
        ({"username": "with space"}, "username"),
    ],
)
def test_a_refused_user_is_told_at_the_field(
    change: dict[str, str], field: str, browser: Client, site: Site
) -> None:
    factories.user(Role.RADIOLOGIST, site, username="taken")
    form = {"username": "dr.new", "password": NEW_PASSWORD, "role": Role.RADIOLOGIST, "site": site.pk}
    answer = browser.post(reverse("new-user"), form | change)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert f'id="id_{field}_error"' in answer.content.decode()


def test_a_role_changes_with_its_site_or_not_at_all(browser: Client, site: Site) -> None:
    user = factories.user(Role.RADIOLOGIST, site)
    url = reverse("user", args=[user.pk])
    said = {"role": Role.ADMINISTRATOR, "reason": "Runs the platform now."}
    assert browser.post(url, {**said, "site": site.pk}).status_code == 422
    assert browser.post(url, {**said, "site": "", "reason": ""}).status_code == 422
    assert browser.post(url, {**said, "site": ""}).status_code == 302
    user.refresh_from_db()
    assert (user.role, user.site) == (Role.ADMINISTRATOR, None)


def test_deactivating_ends_sessions_and_refuses_tokens(browser: Client, site: Site) -> None:
    user = factories.user(Role.INTEGRATOR, site)
    theirs = signed_in(user)
    _token, plaintext = tokens.issue(Actor.system("test"), user, name="gateway")
    browser.post(reverse("user-access", args=[user.pk]), {"access": "deactivate"})
    assert theirs.get(reverse("home")).status_code == 302
    assert "login" in theirs.get(reverse("home"))["Location"]
    assert tokens.find(plaintext) is None
    assert not Client().login(username=user.username, password=PASSWORD)
    browser.post(reverse("user-access", args=[user.pk]), {"access": "activate"})
    assert Client().login(username=user.username, password=PASSWORD)


def test_a_new_password_ends_the_old_sessions(browser: Client, site: Site) -> None:
    user = factories.user(Role.RADIOLOGIST, site)
    theirs = signed_in(user)
    answer = browser.post(reverse("user-password", args=[user.pk]), {"password": NEW_PASSWORD})
    assert answer.status_code == 302
    assert "login" in theirs.get(reverse("worklist"))["Location"]
    assert Client().login(username=user.username, password=NEW_PASSWORD)


def test_nobody_locks_themselves_out(administrator: Actor, browser: Client) -> None:
    with pytest.raises(Conflict):
        services.deactivate_user(administrator, administrator.user)
    answer = browser.post(reverse("user-access", args=[administrator.user.pk]), {"access": "deactivate"})
    assert answer.status_code == 409
    administrator.user.refresh_from_db()
    assert administrator.user.is_active


def test_a_token_is_shown_once_and_stored_as_a_hash(browser: Client, site: Site) -> None:
    user = factories.user(Role.INTEGRATOR, site)
    form = {
        "name": "PACS gateway",
        "user": user.pk,
        "scopes": [Scope.STUDIES_READ],
        "expires_on": (timezone.localdate() + timedelta(days=30)).isoformat(),
    }
    page = browser.post(reverse("tokens"), form)
    plaintext = page.context["plaintext"]
    token = tokens.find(plaintext)
    assert token is not None and token.scopes == [Scope.STUDIES_READ]
    assert timedelta(days=30) <= token.expires_at - timezone.now() <= timedelta(days=31)
    assert plaintext in page.content.decode()
    assert plaintext not in browser.get(reverse("tokens")).content.decode()
    assert not ApiToken.objects.filter(token_hash=plaintext).exists()
    browser.post(reverse("revoke-token", args=[token.pk]))
    assert tokens.find(plaintext) is None
    assert AuditEvent.objects.filter(action="token.revoke", object_id=str(token.pk)).exists()


def test_a_token_needs_a_scope_and_a_future(browser: Client, site: Site) -> None:
    user = factories.user(Role.INTEGRATOR, site)
    past = {"name": "x", "user": user.pk, "scopes": [Scope.STUDIES_READ], "expires_on": "2020-01-01"}
    answer = browser.post(reverse("tokens"), past)
    assert answer.status_code == 422 and not ApiToken.objects.exists()
    assert browser.post(reverse("tokens"), past | {"scopes": []}).status_code == 422


def test_unknown_objects_answer_404(browser: Client) -> None:
    assert browser.get(reverse("user", args=[999_999])).status_code == 404
    assert browser.post(reverse("revoke-token", args=[uuid.uuid4()])).status_code == 404
    assert browser.get(reverse("job", args=[uuid.uuid4()])).status_code == 404
    assert browser.get(reverse("model", args=[999_999])).status_code == 404


def test_signing_in_and_failing_to_is_recorded(site: Site) -> None:
    user = factories.user(Role.RADIOLOGIST, site)
    page = Client()
    page.post(reverse("account_login"), {"login": user.username, "password": "wrong"})
    page.post(reverse("account_login"), {"login": "nobody-here", "password": "wrong"})
    page.post(reverse("account_login"), {"login": user.username, "password": PASSWORD})
    page.post(reverse("account_logout"))
    recorded = AuditEvent.objects.filter(action__startswith="user.sign").order_by("pk")
    assert [(event.action, event.actor_label, event.outcome) for event in recorded] == [
        ("user.sign_in", user.username, "wrong_password"),
        ("user.sign_in", "unknown", "wrong_password"),
        ("user.sign_in", user.username, "success"),
        ("user.sign_out", user.username, "success"),
    ]


def test_too_many_failed_sign_ins_wait_for_an_administrator(browser: Client, site: Site) -> None:
    user = factories.user(Role.RADIOLOGIST, site)
    page, wrong = Client(), {"login": user.username, "password": "wrong"}
    for _ in range(6):
        page.post(reverse("account_login"), wrong)
    right = {"login": user.username, "password": PASSWORD}
    assert page.post(reverse("account_login"), right).status_code == 200
    browser.post(reverse("user-access", args=[user.pk]), {"access": "unlock"})
    assert page.post(reverse("account_login"), right).status_code == 302


def test_a_system_process_may_set_up_people() -> None:
    system = Actor.system("demo")
    site = services.create_site(system, code="riverside", name="Riverside")
    user = services.create_user(
        system, username="dr.a", password=PASSWORD, role=Role.RADIOLOGIST, site=site, language="zh-hans"
    )
    assert user.check_password(PASSWORD)
    with pytest.raises(Conflict):
        services.create_site(system, code="riverside", name="Again")
    with pytest.raises(Invalid):
        services.create_user(system, username="dr.a", password=PASSWORD, role=Role.RADIOLOGIST, site=site)


class TestSites:
    def test_an_administrator_says_how_a_site_s_files_are_read(self, browser: Client, site: Site) -> None:
        answer = browser.post(
            reverse("site", args=[site.pk]),
            {
                **browser.get(reverse("site", args=[site.pk])).context["form"].initial,
                "default_issuer": " CITY ",
                "default_character_set": "GB18030",
            },
        )
        assert answer.status_code == 302
        site.refresh_from_db()
        assert (site.default_issuer, site.default_character_set) == ("CITY", "GB18030")
        assert AuditEvent.objects.filter(action="site.update", object_id=str(site.pk)).count() == 1
        assert "GB18030" in browser.get(reverse("sites")).content.decode()

    def test_only_character_sets_that_there_are(self, browser: Client, site: Site) -> None:
        answer = browser.post(
            reverse("site", args=[site.pk]), {"name": site.name, "default_character_set": "KLINGON"}
        )
        assert answer.status_code == 422
        site.refresh_from_db()
        assert site.default_character_set == ""

    def test_nobody_else_opens_them(self, site: Site) -> None:
        reader = signed_in(factories.user(Role.RADIOLOGIST, site))
        assert reader.get(reverse("sites")).status_code == 403
        assert reader.post(reverse("site", args=[site.pk]), {"name": "x"}).status_code == 403
