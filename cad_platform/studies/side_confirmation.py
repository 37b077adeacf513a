"""A person says which breast an image shows, where what was sent is not sure or is wrong: with a reason, appended,
audited.

Called by the case page and the API. Its transaction holds the study's row, as every writer of a case does.
"""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, Invalid, NotFound
from cad_platform.studies import corrections, selectors
from cad_platform.studies.models import Instance, SideConfirmation
from cad_platform.studies.services import lock_study
from cad_platform.studies.typed_text import reason_of


@transaction.atomic
def confirm_side(actor: Actor, image: Instance, side: str, reason: str) -> SideConfirmation:
    """Say which side counts for an image. A newer word supersedes an older one; a side that differs from the one used
    so far makes a new version of the study, which is analysed again.

    Parameters
    ----------
    image
        As `selectors.image` gave it.
    side
        L or R.
    reason
        Plain text of at most 2000 characters.

    Raises
    ------
    NotPermitted
        The role may not, or a token asks: a hospital's system sends a correction.
    Invalid
        No side, or no reason.
    NotFound
        There is no such image.
    Conflict
        The study is withdrawn.
    """
    study = image.series.study
    require(actor, "study.confirm_side", study)
    if side not in ("L", "R"):
        raise Invalid(_("Choose left or right."), errors=(FieldError(_("L or R."), "side"),))
    reason = reason_of(reason, longest=2000)
    if not reason:
        raise Invalid(
            _("Say in at most 2000 characters how you know the side."),
            errors=(FieldError(_("A reason is needed."), "reason"),),
        )
    locked = lock_study(study.pk)
    if locked is None:
        raise NotFound(_("There is no such image at your site."))
    if locked.withdrawn_at is not None:
        raise Conflict(_("The study is withdrawn."))
    stands = next((found for found in selectors.sorted_images(locked) if found.instance.pk == image.pk), None)
    if stands is None:
        raise NotFound(_("There is no such image at your site."))
    confirmation = SideConfirmation.objects.create(
        id=uuid.uuid4(), instance=image, side=side, said=stands.side.said, reason=reason, by=actor.user
    )
    changed = side != stands.side.laterality
    if changed:
        corrections.side_put_right(actor, locked, stands.instance, stands.side.laterality, side, reason)
    record(
        actor,
        "image.confirm_side",
        object_type="image",
        object_id=image.pk,
        study=str(locked.pk),
        side=side,
        before=stands.side.laterality,
        changed=changed,
    )
    return confirmation
