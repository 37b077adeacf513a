"""The navigation is what the apps contribute, and everybody starts at its first page."""

from __future__ import annotations

import ast
import re

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from cad_platform.accounts.models import Role
from cad_platform.accounts.rules import PERMISSIONS
from cad_platform.web.navigation import entries, entries_of, links
from embedded.state import REPOSITORY
from tests import factories

CLINICIAN = ["worklist", "demographics-reviews", "patient-merges", "consents", "retention", "reanalyses"]
SEEN = {
    Role.RADIOLOGIST: CLINICIAN,
    Role.PATHOLOGIST: CLINICIAN,
    Role.SONOGRAPHER: CLINICIAN,
    Role.INTEGRATOR: ["worklist"],
    Role.CLINICAL_LEAD: [
        "worklist",
        "demographics-reviews",
        "patient-merges",
        "consents",
        "retention",
        "models",
        "leaderboard",
        "acceptances",
        "datasets",
        "reanalyses",
    ],
    Role.ADMINISTRATOR: [
        "jobs",
        "models",
        "leaderboard",
        "fleet",
        "acceptances",
        "quality",
        "datasets",
        "reader-studies",
        "reanalyses",
        "users",
        "roles",
        "sites",
        "retention-policies",
        "webhooks",
        "tokens",
        "audit",
    ],
}
#: What stands beside the brand, where that is not all of it.
TOP = {Role.ADMINISTRATOR: ["jobs", "models", "reanalyses", "users", "audit"]}
for _role in (Role.RADIOLOGIST, Role.PATHOLOGIST, Role.SONOGRAPHER):
    TOP[_role] = ["worklist", "demographics-reviews", "reanalyses"]
TOP[Role.CLINICAL_LEAD] = ["worklist", "demographics-reviews", "models", "reanalyses"]


def test_every_entry_leads_somewhere_and_asks_a_permission_that_exists() -> None:
    for entry in entries():
        try:
            reverse(entry.name)
        except NoReverseMatch:
            pytest.fail(f"{entry.name} names no page")
        assert entry.permission in PERMISSIONS
    positions = [entry.position for entry in entries()]
    assert len(set(positions)) == len(positions)


@pytest.mark.django_db
@pytest.mark.parametrize("role", SEEN)
def test_a_role_sees_its_pages_and_starts_at_the_first(role: str) -> None:
    site = None if role == Role.ADMINISTRATOR else factories.site()
    actor = factories.actor(role, site)
    assert [entry.name for entry in entries_of(actor)] == SEEN[role]
    browser = Client()
    browser.force_login(actor.user)
    home = browser.get(reverse("home"))
    assert (home.status_code, home["Location"]) == (302, reverse(SEEN[role][0]))
    page = browser.get(home["Location"]).content.decode()
    assert rows_of(page)["Main"] == TOP.get(role, SEEN[role])
    assert f'<a href="{reverse(SEEN[role][0])}" aria-current="page">' in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("group", "pages"),
    [
        (
            "Models",
            ["models", "leaderboard", "fleet", "acceptances", "quality", "datasets", "reader-studies"],
        ),
        ("Administration", ["users", "roles", "sites", "retention-policies", "webhooks", "tokens"]),
    ],
)
def test_a_group_s_pages_show_each_other(group: str, pages: list[str]) -> None:
    """Ten names side by side did not fit: the last could not be seen."""
    browser = Client()
    browser.force_login(factories.actor(Role.ADMINISTRATOR, None).user)
    for name in pages:
        page = browser.get(reverse(name)).content.decode()
        assert rows_of(page) == {"Main": TOP[Role.ADMINISTRATOR], group: pages}
        assert f'<a href="{reverse(pages[0])}" aria-current="true">{group}</a>' in page
        assert page.count('aria-current="page"') == 1


def rows_of(page: str) -> dict[str, list[str]]:
    """The names of the pages that each row of the navigation leads to."""
    named = {reverse(entry.name): entry.name for entry in entries()}
    rows = re.findall(r'<nav class="shell-nav[^"]*" aria-label="([^"]*)">(.*?)</nav>', page, re.DOTALL)
    return {label: [named[url] for url in re.findall(r'<a href="([^"]*)"', links)] for label, links in rows}


def test_a_group_of_one_page_is_that_page() -> None:
    alone = [entry for entry in entries() if entry.name in {"worklist", "fleet"}]
    assert [(link.label, link.current, link.pages) for link in links(alone, "fleet")] == [
        ("Worklist", "", []),
        ("Fleet", "page", []),
    ]


def test_the_shell_names_no_page_of_another_app() -> None:
    names = {entry.name for entry in entries()}
    said = {
        node.value
        for path in (REPOSITORY / "cad_platform" / "web").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert names & said == set()
