"""Acceptances are repeated by the clock: a signed verdict is measured again every thirty days, and an alert says when
it got worse."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from cad_platform.accounts.models import Site
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid
from cad_platform.quality import acceptance, picking
from cad_platform.quality.acceptance_cases import KnownCase
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import Acceptance, AlertRule, Measure
from cad_platform.quality.watching import settle
from cad_platform.registry import lifecycle
from cad_platform.registry.models import ModelVersion

EVERY = timedelta(days=30)
#: From the best to the worst.
_STEPS = {verdict: step for step, verdict in enumerate(Acceptance.Verdict)}


def repeat(at: datetime | None = None) -> int:
    """Have each version measured again whose verdict at a site was signed, and whose last measurement there is thirty
    days old; returns how many. One that is not approved any more is left alone."""
    at = at or timezone.now()
    signed = Acceptance.objects.filter(
        signed_by__isnull=False, model_version__state=ModelVersion.State.APPROVED
    ).order_by()
    keys = signed.values_list("model_version", "site").distinct()
    return sum(_repeat(version, site, at) for version, site in sorted(keys))


@transaction.atomic
def _repeat(version_id: int, site_id: int, at: datetime) -> bool:
    version = lifecycle.locked(ModelVersion.objects.get(pk=version_id))
    own = Acceptance.objects.filter(model_version=version, site=site_id)
    if own.filter(asked_at__gt=at - EVERY).exists() or own.filter(state=Acceptance.State.WAITING).exists():
        return False
    last = _signed(version_id, site_id)
    if last is None:
        return False
    site = Site.objects.get(pk=site_id)
    cases = [
        KnownCase(case.study_id, case.label, case.side)
        for case in last.cases.filter(study__withdrawn_at=None, study__site=site)
    ]
    if last.source == Acceptance.Source.PLATFORM:
        try:
            cases = picking.of_platform(version, site)
        except Invalid:
            return False  # studies went, and too few are left to say anything
    acceptance.begin(Actor.system("quality"), version, site, last.source, cases)
    return True


def watch(found: Acceptance) -> bool:
    """Raise an alert where a repetition came out worse than what was signed, or end the one that there is. True where
    one was raised."""
    rule = AlertRule.objects.filter(measure=Measure.ACCEPTANCE, is_on=True).first()
    if rule is None or found.asked_by_id is not None or found.state != Acceptance.State.MEASURED:
        return False
    signed = _signed(found.model_version_id, found.site_id)
    if signed is None:
        return False
    worse = max(0, _STEPS[Acceptance.Verdict(found.verdict)] - _STEPS[Acceptance.Verdict(signed.verdict)])
    evidence = {"signed": signed.verdict, "measured": found.verdict}
    return settle(
        rule,
        found.site_id,
        found.model_version_id,
        Measured(worse, worse >= rule.threshold, evidence),
        timezone.now(),
    )


def _signed(version_id: int, site_id: int) -> Acceptance | None:
    """The latest verdict that was signed."""
    found = Acceptance.objects.filter(model_version=version_id, site=site_id, signed_by__isnull=False)
    return found.order_by("-signed_at").first()
