"""What reading is told of a report is what the report is, after each service and for reports of earlier releases."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from cad_platform.accounts.models import Role
from cad_platform.core.actor import Actor
from cad_platform.reading import report_standing
from cad_platform.reading.models import ReportStanding
from cad_platform.reporting import services, signing
from cad_platform.reporting.models import Report, Signature
from cad_platform.studies.models import Study
from tests import factories
from tests.factories import PASSWORD
from tests.migrations import sql_of
from tests.reporting.test_content import COMPLETE_MG

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader() -> Actor:
    return factories.actor(Role.RADIOLOGIST, factories.site())


@pytest.fixture
def study(reader: Actor) -> Study:
    study = factories.study(reader.user.site)
    factories.succeeded_job(study)
    return study


def as_reports_say(study: Study) -> tuple[bool, Any, Any]:
    """Whether there is a draft; the latest signature's time, and the states of the jobs that it holds."""
    latest = Signature.objects.filter(report__study=study).order_by("-signed_at").first()
    return (
        Report.objects.filter(study=study, state="draft").exists(),
        latest and latest.signed_at,
        latest and {job["id"]: job["state"] for job in latest.report.ai_summary["jobs"]},
    )


def as_reading_was_told(study: Study) -> tuple[bool, Any, Any]:
    told = ReportStanding.objects.get(study=study)
    return told.has_draft, told.signed_at, told.signed_jobs


def sign(reader: Actor, draft: Report) -> None:
    signing.sign(reader, draft.pk, password=PASSWORD, revision=draft.revision)


def test_each_step_of_a_report_is_said_downwards(reader: Actor, study: Study) -> None:
    assert report_standing.standing_of(study) is None
    draft = services.open_draft(reader, study)
    seen = [as_reading_was_told(study)]
    assert seen[-1] == as_reports_say(study) == (True, None, None)
    services.discard_draft(reader, draft.pk)
    assert as_reading_was_told(study) == as_reports_say(study) == (False, None, None)
    draft = services.open_draft(reader, study)
    sign(reader, services.save_draft(reader, draft.pk, COMPLETE_MG, draft.revision).report)
    signed = as_reading_was_told(study)
    assert signed == as_reports_say(study)
    assert signed[0] is False and len(signed[2]) == 1
    addendum = services.open_addendum(reader, study)
    assert as_reading_was_told(study) == as_reports_say(study) == (True, *signed[1:])
    services.discard_draft(reader, addendum.pk)
    assert as_reading_was_told(study) == as_reports_say(study) == signed


def test_outside_a_transaction_nothing_is_said(study: Study) -> None:
    with pytest.raises(RuntimeError, match="in the transaction"):
        report_standing.draft_begun(study)


def test_the_reports_of_earlier_releases_are_told_too(
    reader: Actor, study: Study, superuser_url: str
) -> None:
    signed = services.open_draft(reader, study)
    sign(reader, services.save_draft(reader, signed.pk, COMPLETE_MG, signed.revision).report)
    services.open_addendum(reader, study)
    begun, untouched = factories.study(reader.user.site), factories.study(reader.user.site)
    services.open_draft(reader, begun)
    told = [as_reading_was_told(study), as_reading_was_told(begun)]
    with psycopg.connect(superuser_url) as database:
        database.execute("DELETE FROM reading_reportstanding")
        database.execute(sql_of("reporting", "0003_standing_said_downwards"))
    assert [as_reading_was_told(study), as_reading_was_told(begun)] == told
    assert report_standing.standing_of(untouched) is None


def test_the_category_of_what_was_signed_before_is_told_too(
    reader: Actor, study: Study, superuser_url: str
) -> None:
    signed = services.open_draft(reader, study)
    sign(reader, services.save_draft(reader, signed.pk, COMPLETE_MG, signed.revision).report)
    told = report_standing.standing_of(study)
    assert told is not None and (told.category, told.is_amended) == ("4B", False)
    with psycopg.connect(superuser_url) as database:
        database.execute("UPDATE reading_reportstanding SET category = '', is_amended = true")
        database.execute(sql_of("reporting", "0006_standing_said_with_category"))
    again = report_standing.standing_of(study)
    assert again is not None and (again.category, again.is_amended) == ("4B", False)
