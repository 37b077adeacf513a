"""Having a version verified: a worker examines it in a process of its own with limits (`python -m inference verify`),
and asks the model servers for it. What passes everything is verified; nobody approves anything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.core import outbox, proofs
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from cad_platform.registry import lifecycle
from cad_platform.registry.history import record_of
from cad_platform.registry.models import Comparison, ModelVersion, Verification
from cad_platform.registry.switching import prove

VERIFY_TOPIC = "model.verify"
#: What of the environment the examination sees: no address, no password, no key.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "CAD_MODEL_TRUST", "MALLOC_ARENA_MAX")
_SECONDS = 1800
#: A request that nobody has answered by then is sent again by whoever asks again.
_LOST_AFTER = timedelta(minutes=5)
State = ModelVersion.State


@transaction.atomic
def request(actor: Actor, version: ModelVersion) -> Verification:
    """Have a version examined; asked again while it is, nothing new is begun.

    Raises
    ------
    NotPermitted
    Conflict
        It is approved or retired.
    """
    require(actor, "model.manage")
    row = lifecycle.locked(version)
    if row.state not in {State.UPLOADED, State.VERIFIED}:
        raise Conflict(
            _("%(version)s is approved or retired already.") % {"version": row}, code="wrong_state"
        )
    waiting, is_new = Verification.objects.get_or_create(
        version=row, state=Verification.State.WAITING, defaults={"requested_by": actor.user}
    )
    if is_new:
        record_of(actor, "model.verify", row)
    if is_new or waiting.requested_at < timezone.now() - _LOST_AFTER:
        outbox.publish(VERIFY_TOPIC, verification_id=str(waiting.pk))
    return waiting


def run(verification_id: uuid.UUID | str) -> str:
    """Examine the version of a request, and write what came of it; does nothing where that is done already. Returns the
    state of the request."""
    asked = Verification.objects.select_related("version").get(pk=verification_id)
    if asked.state != Verification.State.WAITING:
        return asked.state
    version = asked.version
    default = ModelVersion.objects.filter(name=version.name, is_default=True).exclude(pk=version.pk).first()
    said = examined(version, default)
    checks = [*said["checks"], _served(version)]
    return _keep(asked, checks, default, said.get("reference"))


def examined(version: ModelVersion, default: ModelVersion | None) -> dict[str, Any]:
    """What a process of its own says of the version's files and network."""
    command = [
        sys.executable, "-P", "-m", "inference", "verify", version.name, "--version", version.version, "--json",
        "--store", str(settings.MODEL_STORE), *(["--against", default.version] if default else []),
    ]  # fmt: skip
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(
            command, cwd=settings.BASE_DIR, env={**environment, "PYTHONPATH": str(settings.BASE_DIR)},
            capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return dict(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, OSError, ValueError) as error:
        return {
            "checks": [
                {"check": "examination", "passed": False, "said": f"it did not end ({type(error).__name__})"}
            ]
        }


def latest(version: ModelVersion) -> Verification | None:
    """The newest examination of a version."""
    return version.verifications.first()


def _served(version: ModelVersion) -> dict[str, Any]:
    try:
        prove(version)
    except proofs.ProbeFailed as error:
        return {"check": "served", "passed": False, "said": str(error)}
    return {"check": "served", "passed": True, "said": "a model server answers for it"}


@transaction.atomic
def _keep(
    asked: Verification,
    checks: list[dict[str, Any]],
    default: ModelVersion | None,
    reference: dict[str, Any] | None,
) -> str:
    version = lifecycle.locked(asked.version)
    row = Verification.objects.select_for_update().get(pk=asked.pk)
    if row.state != Verification.State.WAITING:
        return row.state
    passed = all(check["passed"] for check in checks)
    row.state = Verification.State.PASSED if passed else Verification.State.FAILED
    row.checks, row.ended_at = checks, timezone.now()
    row.save()
    if passed and default is not None and reference is not None:
        figures = {name: reference[name] for name in ("auc", "auc_against", "low", "positives", "negatives")}
        Comparison.objects.create(version=version, against=default, **figures)
    if passed and version.state == State.UPLOADED:
        lifecycle.move(version, State.VERIFIED)
    elif not passed and version.state == State.VERIFIED:
        # Who has approved it already has approved these bytes: it is asked for once.
        lifecycle.move(version, State.UPLOADED)
    version.save(update_fields=["state"])
    record_of(Actor.system("worker"), "model.verify", version, state=version.state, passed=passed)
    return row.state
