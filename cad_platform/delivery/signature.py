"""The signature of a webhook's message, as the Standard Webhooks specification has it: receivers verify it with a
library, or in three lines (docs/integrators.md)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import datetime

from django.conf import settings


def secret_of(webhook_id: uuid.UUID) -> str:
    """The secret that the receiver was given, `whsec_…`. Derived from the platform's own key: whoever reads the
    database or a backup has none of them."""
    return f"whsec_{base64.b64encode(_key(webhook_id)).decode()}"


def headers_of(webhook_id: uuid.UUID, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove message, time and sender: an old message sent again by somebody else is seen."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    proof = base64.b64encode(hmac.digest(_key(webhook_id), signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{proof}",
    }


def _key(webhook_id: uuid.UUID) -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), b"webhook " + webhook_id.bytes, hashlib.sha256)
