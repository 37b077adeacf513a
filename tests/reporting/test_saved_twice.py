"""A save whose answer got lost is sent again, or followed by the next one: that is no other writer."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid
from cad_platform.core.request_keys import KeyReused
from cad_platform.reporting import services
from cad_platform.reporting.drafts import StaleRevision
from cad_platform.reporting.models import Report
from tests import factories
from tests.reading.test_sent_twice import at_once
from tests.reporting.test_content import COMPLETE_MG
from tests.reporting.test_pages import save, signed_in, started

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def writer() -> Actor:
    return factories.actor(Role.RADIOLOGIST, factories.site())


@pytest.fixture
def colleague(writer: Actor) -> Actor:
    return factories.actor(Role.RADIOLOGIST, writer.user.site)


@pytest.fixture
def draft(writer: Actor) -> Report:
    return services.open_draft(writer, factories.study(writer.user.site))


def saved(by: Actor, draft: Report, words: str, revision: int, key: UUID | None, **more: Any) -> Any:
    content = {**COMPLETE_MG, "impression": words}
    return services.save_draft(by, draft.pk, content, revision, request_key=key, **more)


def words_of(draft: Report) -> str:
    return str(Report.objects.get(pk=draft.pk).content["impression"])


def test_the_same_save_again_is_answered_as_it_was(writer: Actor, draft: Report) -> None:
    key = uuid4()
    revisions = [saved(writer, draft, "One", 0, key).report.revision for _ in range(3)]
    assert revisions == [1, 1, 1]
    assert AuditEvent.objects.filter(action="report.save_draft").count() == 1


def test_the_same_save_at_the_same_moment_is_one(writer: Actor, draft: Report) -> None:
    key = uuid4()
    outcomes = at_once(*[lambda: saved(writer, draft, "One", 0, key).report.revision] * 3)
    assert outcomes == [1, 1, 1]


@pytest.mark.parametrize("came", [[], [0], [1], [0, 1]], ids=["none", "first", "second", "both"])
def test_a_save_after_those_whose_answers_got_lost_is_no_conflict(
    writer: Actor, draft: Report, came: list[int]
) -> None:
    keys = [uuid4(), uuid4()]
    for number in came:
        saved(writer, draft, f"Words {number}", 0, keys[number], follows=keys[:number])
    last = saved(writer, draft, "All words", 0, uuid4(), follows=keys)
    assert words_of(draft) == "All words" and last.report.revision == len(came) + 1


def test_a_save_that_comes_after_its_successor_changes_nothing(writer: Actor, draft: Report) -> None:
    first, second = uuid4(), uuid4()
    saved(writer, draft, "All words", 0, second, follows=[first])
    with pytest.raises(StaleRevision):
        saved(writer, draft, "Words", 0, first)
    assert words_of(draft) == "All words"


def test_a_colleague_in_between_is_a_conflict_and_both_texts_can_be_kept(
    writer: Actor, colleague: Actor, draft: Report
) -> None:
    lost = uuid4()
    saved(writer, draft, "Mass.", 0, lost)
    saved(colleague, draft, "Mass.\n\nSeen by me too.", 1, uuid4())
    with pytest.raises(StaleRevision):
        saved(writer, draft, "Mass. Biopsy.", 0, uuid4(), follows=[lost])
    assert saved(writer, draft, "Mass.", 0, lost).report.revision == 1, "what came again is known still"
    saved(writer, draft, "Mass. Biopsy.", 0, uuid4(), follows=[lost], keep_both=True)
    assert words_of(draft) == "Mass.\n\nSeen by me too.\n\nMass. Biopsy."


def test_nobody_saves_under_a_colleagues_key(writer: Actor, colleague: Actor, draft: Report) -> None:
    key = uuid4()
    saved(writer, draft, "One", 0, key)
    with pytest.raises(KeyReused):
        saved(colleague, draft, "One", 0, key)
    with pytest.raises(StaleRevision):
        saved(colleague, draft, "Two", 0, uuid4(), follows=[key])


def test_over_http_the_answer_names_the_save_that_counts(writer: Actor) -> None:
    browser = signed_in(writer.user)
    draft = started(browser, factories.study(writer.user.site))
    first, second = str(uuid4()), str(uuid4())
    assert save(browser, draft, 0, request_key=first).json()["revision"] == 1
    assert save(browser, draft, 0, request_key=first).json()["revision"] == 1
    follows = save(browser, draft, 0, request_key=second, follows=[str(uuid4()), first], impression="More")
    assert follows.json()["revision"] == 2
    present = browser.post(f"/reports/{draft.pk}/presence").json()
    assert (present["revision"], present["saved_key"]) == (2, second)
    page = browser.get(f"/reports/study/{draft.study.study_instance_uid}/editor").content.decode()
    assert f'data-saved-key="{second}"' in page
    assert save(browser, draft, 2, request_key="no key").json()["errors"][0]["field"] == "request_key"


def test_a_refused_save_may_be_put_right_under_its_key(writer: Actor, draft: Report) -> None:
    key = uuid4()
    with pytest.raises(Invalid):
        services.save_draft(writer, draft.pk, {"kind": "imaging", "density": "z"}, 0, request_key=key)
    assert saved(writer, draft, "One", 0, key).report.revision == 1
