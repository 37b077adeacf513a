"""Why something is done to a record: never without a reason."""

from __future__ import annotations

from django.utils.translation import gettext as _

from cad_platform.core.errors import FieldError, Invalid
from cad_platform.studies.typed_text import reason_of

LONGEST = 2000


def reason_given(text: str) -> str:
    """The reason, cleaned and trimmed. Raises `Invalid` where there is none or it is too long."""
    reason = reason_of(text, longest=LONGEST)
    if not reason:
        raise Invalid(
            _("Say in at most 2000 characters why."), errors=(FieldError(_("A reason is needed."), "reason"),)
        )
    return reason
