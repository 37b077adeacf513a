"""A row of joined tables is what Django's own query gives."""

from __future__ import annotations

from typing import Any

import pytest

from cad_platform.accounts.models import Role, Site, User
from cad_platform.core.joined import Joined
from tests import factories

pytestmark = pytest.mark.django_db
PEOPLE = Joined(
    (User, Site),
    "accounts_user LEFT JOIN accounts_site ON accounts_site.id = accounts_user.site_id"
    " WHERE accounts_user.username = %s",
)


def test_objects_are_those_that_django_reads() -> None:
    made = factories.user(Role.RADIOLOGIST, factories.site())

    found = PEOPLE.first([made.username])

    assert found is not None
    user, site = found
    read = User.objects.select_related("site").get(pk=made.pk)
    pairs: list[tuple[Any, Any]] = [(user, read), (site, read.site)]
    for mine, theirs in pairs:
        assert type(mine) is type(theirs)
        assert {f.attname: getattr(mine, f.attname) for f in mine._meta.concrete_fields} == {
            f.attname: getattr(theirs, f.attname) for f in theirs._meta.concrete_fields
        }
        assert not mine._state.adding and mine._state.db == theirs._state.db


def test_who_belongs_nowhere_has_no_site_and_nobody_is_nothing() -> None:
    made = factories.user(Role.ADMINISTRATOR)

    assert PEOPLE.first([made.username]) == [made, None]
    assert PEOPLE.first(["nobody' OR 'a' = 'a"]) is None


def test_question_is_one_statement(django_assert_num_queries: Any) -> None:
    made = factories.user(Role.RADIOLOGIST, factories.site())

    with django_assert_num_queries(1):
        PEOPLE.first([made.username])
