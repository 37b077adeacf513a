"""Local acceptance: have a version measured on a site's own known cases, and sign the verdict. Two people: who asks
answers for the cases, another person signs what came of them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import KNOWN_CASES_SITE, Site
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.quality import acceptance_cases, picking
from cad_platform.quality.models import Acceptance, AcceptanceCase
from cad_platform.registry import lifecycle, thresholds
from cad_platform.registry.models import ModelVersion, SiteThresholds
from cad_platform.studies.typed_text import reason_of

Source = Acceptance.Source
#: Somebody has asked for a measurement. Payload: `acceptance_id`.
ASKED_TOPIC = "acceptance.asked"
LONGEST_NOTE = 2000
#: A measurement that nobody has worked on for so long is asked for anew by whoever asks again.
_LOST_AFTER = timedelta(minutes=30)
#: What was not examined is not run on patients' images.
_MEASURABLE = frozenset({ModelVersion.State.VERIFIED, ModelVersion.State.APPROVED})


@transaction.atomic
def ask(
    actor: Actor,
    version: ModelVersion,
    site: Site,
    table: str | None = None,
    studies: Sequence[str] | None = None,
) -> Acceptance:
    """Have a version measured on known cases of a site; a worker does it. Asked again while it is measured, the
    measurement under way is answered and nothing new begun.

    Parameters
    ----------
    table
        CSV of the cases (`acceptance_cases.read_table`).
    studies
        Known studies that a person picked, by accession number or UID (`picking.picked`). Without both: all that the
        platform knows.

    Raises
    ------
    NotPermitted
    Conflict
        The version is not verified, or is retired.
    Invalid
        The cases are not as they should be; each line that is wrong is named.
    """
    require(actor, "model.manage")
    row = lifecycle.locked(version)
    if row.state not in _MEASURABLE:
        raise Conflict(
            _("%(version)s is measured once it is verified, and until it is retired.") % {"version": row},
            code="wrong_state",
        )
    open_one = Acceptance.objects.filter(model_version=row, site=site, state=Acceptance.State.WAITING).first()
    if open_one is not None:
        if (open_one.told_at or open_one.asked_at) < timezone.now() - _LOST_AFTER:
            outbox.publish(ASKED_TOPIC, acceptance_id=str(open_one.pk))
        return open_one
    if table is not None and studies is not None:
        raise Invalid(
            _("The known cases were not taken."),
            errors=(FieldError(_("Either a table or picked studies."), "table"),),
        )
    if table is not None:
        return begin(actor, row, site, Source.TABLE, acceptance_cases.read_table(row, site, table))
    if studies is not None:
        return begin(actor, row, site, Source.PICKED, picking.picked(row, site, studies))
    return begin(actor, row, site, Source.PLATFORM, picking.of_platform(row, site))


def begin(
    actor: Actor, version: ModelVersion, site: Site, source: str, cases: list[acceptance_cases.KnownCase]
) -> Acceptance:
    """Write what is asked for, and say so to the workers. The caller holds the version's row."""
    made = Acceptance.objects.create(model_version=version, site=site, source=source, asked_by=actor.user)
    AcceptanceCase.objects.bulk_create(
        AcceptanceCase(acceptance=made, study_id=case.study_id, label=case.label, side=case.side)
        for case in cases
    )
    record_of(actor, "acceptance.ask", made, cases=len(cases), source=source)
    outbox.publish(ASKED_TOPIC, acceptance_id=str(made.pk))
    return made


@transaction.atomic
def sign(actor: Actor, acceptance_id: uuid.UUID, note: str) -> Acceptance:
    """The second person's signature under a verdict, whatever it is.

    Raises
    ------
    NotPermitted, NotFound
        Neither administrator nor clinical lead of the site.
    Conflict
        `wrong_state`: not measured, or signed already. `same_person`: who asked for it does not sign it.
        `by_the_clock`: nobody answers for the cases of a repetition, which is watched and not signed.
    Invalid
        No note.
    """
    require(actor, "model.approve")
    row = of(acceptance_of_site(actor).select_for_update(of=("self",)), acceptance_id)
    if row.state != Acceptance.State.MEASURED or row.signed_by_id is not None:
        raise Conflict(
            _("There is nothing to sign: it is not measured, or signed already."), code="wrong_state"
        )
    if row.asked_by_id is None:
        raise Conflict(
            _("The clock asked for it: a repetition is watched and not signed. Ask for a measurement."),
            code="by_the_clock",
        )
    if row.asked_by_id == actor.user.pk:
        raise Conflict(_("You have asked for it: another person signs it."), code="same_person")
    said = reason_of(note, longest=LONGEST_NOTE)
    if not said:
        raise Invalid(
            _("The verdict was not signed."), errors=(FieldError(_("This field is required."), "note"),)
        )
    row.signed_by, row.signed_at, row.note = actor.user, timezone.now(), said
    row.save(update_fields=["signed_by", "signed_at", "note"])
    record_of(actor, "acceptance.sign", row, verdict=row.verdict, note=said)
    return row


def propose_thresholds(actor: Actor, acceptance_id: uuid.UUID) -> SiteThresholds:
    """Propose the site's own thresholds that a measurement led to. They take effect once another person has signed them
    (`registry.thresholds.sign`).

    Raises
    ------
    NotPermitted, NotFound
    Conflict
        `wrong_state`: the verdict is not signed yet, there are too few cases, or nothing is proposed.
    """
    found = acceptance(actor, acceptance_id)
    proposed = (found.report or {}).get("proposal")
    if found.signed_by_id is None or found.verdict == Acceptance.Verdict.TOO_FEW or not proposed:
        raise Conflict(
            _("Thresholds are proposed from a measurement with enough cases whose verdict is signed."),
            code="wrong_state",
        )
    return thresholds.propose(actor, found.model_version, found.site, proposed["thresholds"], found.pk)


def acceptances(actor: Actor, version: ModelVersion | None = None) -> QuerySet[Acceptance]:
    """Those that the actor may see, the latest first: administrators all, a clinical lead those of the site. Raises
    `NotPermitted`."""
    require(actor, "model.view")
    found = (
        acceptance_of_site(actor)
        .select_related("model_version", "site", "asked_by", "signed_by")
        .defer("model_version__card", "model_version__metrics")
    )
    return found if version is None else found.filter(model_version=version)


def acceptance(actor: Actor, acceptance_id: uuid.UUID) -> Acceptance:
    """One. Raises `NotFound` or `NotPermitted`."""
    return of(acceptances(actor), acceptance_id)


def measurable(actor: Actor) -> QuerySet[ModelVersion]:
    """The versions that can be measured. Raises `NotPermitted`."""
    require(actor, "model.manage")
    return ModelVersion.objects.filter(state__in=_MEASURABLE).order_by("name", "-registered_at")


def sites(actor: Actor) -> QuerySet[Site]:
    """Where a version can be measured. Raises `NotPermitted`."""
    require(actor, "model.manage")
    return Site.objects.exclude(code=KNOWN_CASES_SITE).order_by("code")


def site_called(code: str) -> Site:
    """Raises `Invalid`."""
    found = Site.objects.exclude(code=KNOWN_CASES_SITE).filter(code=code).first()
    if found is None:
        raise Invalid(
            _("The known cases were not taken."), errors=(FieldError(_("There is no such site."), "site"),)
        )
    return found


def acceptance_of_site(actor: Actor) -> QuerySet[Acceptance]:
    """All rows that are not another site's."""
    found = Acceptance.objects.all()
    return found if actor.site_id is None else found.filter(site=actor.site_id)


def of(found: QuerySet[Acceptance], acceptance_id: uuid.UUID) -> Acceptance:
    """The one row. Raises `NotFound`."""
    row = found.filter(pk=acceptance_id).first()
    if row is None:
        raise NotFound(_("There is no such measurement."))
    return row


def record_of(actor: Actor, action: str, row: Acceptance, **detail: Any) -> None:
    """Record what happened to an acceptance."""
    version = row.model_version
    record(
        actor, action, object_type="acceptance", object_id=row.pk, site_id=row.site_id,
        name=version.name, version=version.version, **detail,
    )  # fmt: skip
