"""Signed verdicts are measured again by the clock, and who is in charge is told when one got worse; by command, too."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cad_platform.accounts.models import Role, Site
from cad_platform.core.actor import Actor
from cad_platform.quality import acceptance, acceptance_repeated, acceptance_run
from cad_platform.quality.models import Acceptance, Alert
from cad_platform.registry import thresholds
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.services import withdraw
from tests import factories
from tests.quality.test_acceptance import (  # noqa: F401  (fixtures)
    administrator,
    measured,
    reported,
    site,
    studies,
    table,
    version,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed(administrator: Actor, version: ModelVersion, site: Site) -> Acceptance:  # noqa: F811
    asked = measured(acceptance.ask(administrator, version, site, table(studies(site))), reported(2.5, 100))
    return acceptance.sign(factories.actor(Role.CLINICAL_LEAD, site), asked.pk, "seen")


def test_every_thirty_days_with_the_cases_that_are_left(signed: Acceptance, site: Site) -> None:  # noqa: F811
    gone = signed.cases.first()
    assert gone is not None
    withdraw(factories.actor(Role.RADIOLOGIST, site), gone.study, "wrong patient")
    later = timezone.now() + acceptance_repeated.EVERY
    assert acceptance_repeated.repeat() == 0
    assert (acceptance_repeated.repeat(later), acceptance_repeated.repeat(later)) == (1, 0), "once at a time"
    again = Acceptance.objects.get(asked_by=None)
    assert again.cases.count() == 49 and again.source == signed.source
    ModelVersion.objects.filter(pk=signed.model_version_id).update(state="retired", is_default=False)
    assert acceptance_repeated.repeat(later + timedelta(days=99)) == 0


def test_a_verdict_that_got_worse_raises_one_alert_and_a_good_one_ends_it(signed: Acceptance) -> None:
    def repetition(**report: Any) -> None:
        row = Acceptance.objects.create(
            model_version=signed.model_version, site=signed.site, source=signed.source
        )
        measured(row, reported(**report))

    repetition(area=2.5, patients=100)
    assert not Alert.objects.exists(), "as good as signed"
    repetition(area=0.0)
    repetition(area=0.0)
    alert = Alert.objects.get()
    assert (alert.rule.measure, alert.site, alert.ended_at) == ("acceptance", signed.site, None)
    assert alert.evidence == {"signed": signed.verdict, "measured": "do_not_switch_on"}
    repetition(area=2.5, patients=100)
    alert.refresh_from_db()
    assert alert.ended_at is not None


def test_the_command_asks_signs_proposes_and_puts_in_force(
    version: ModelVersion,  # noqa: F811
    site: Site,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = factories.user(Role.ADMINISTRATOR), factories.user(Role.CLINICAL_LEAD, site)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: factories.PASSWORD)
    # What is laid out for the laboratory's process, and what that does, is test_acceptance_measured.py's.
    monkeypatch.setattr(acceptance_run, "_lay_out", lambda row, place, files: ([], 50))
    report = reported(2.5, 100).as_json() | {"curves": [], "left_out": []}
    monkeypatch.setattr(acceptance_run, "_measured", lambda row, place: ("", dict(report)))

    def told(*words: str, user: Any = None) -> str:
        out = io.StringIO()
        call_command("acceptance", *words, *(["--user", user.username] if user else []), stdout=out)
        return out.getvalue()

    file = tmp_path / "known.csv"
    file.write_text("study,label\nNONE,benign\n")
    ask = ("measure", version.name, version.version, "--site", site.code, "--table", str(file))
    with pytest.raises(CommandError, match="line 2: the site has no study"):
        told(*ask, user=one)
    file.write_text(table(studies(site)))
    assert "the AUC is" in told(*ask, user=one)
    key = str(Acceptance.objects.get().pk)
    with pytest.raises(CommandError, match="another person signs it"):
        told("sign", key, "--note", "seen", user=one)
    assert "signed by" in told("sign", key, "--note", "seen", user=other)
    assert "are proposed" in told("propose", key, user=one)
    with pytest.raises(CommandError, match="another person signs them"):
        told("force", key, user=one)
    assert "are in force" in told("force", key, user=other)
    assert thresholds.in_force(version, site.pk) is not None
    assert "are withdrawn" in told("withdraw", key, "--reason", "a new scanner", user=other)
    assert key in told("list") and thresholds.in_force(version, site.pk) is None
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "another")
    with pytest.raises(CommandError, match="no such person"):
        told("sign", key, "--note", "seen", user=other)
