"""What a reader has already: `ETag` and `If-None-Match` of a study (RFC 9110 8.8.3, 13.1.2)."""

from __future__ import annotations

import hashlib

from django.utils.translation import get_language
from rest_framework.request import Request

from cad_platform.core.actor import Actor
from cad_platform.reporting.revision import Revision


def entity_tag(request: Request, actor: Actor, revision: Revision) -> str:
    """A strong entity tag of what the actor would be answered about a study of that revision."""
    facts = [request.build_absolute_uri("/"), get_language(), actor.role, revision.digest]
    return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the reader says that it has that revision."""
    known = request.headers.get("If-None-Match", "")
    return any(each.strip().removeprefix("W/") in {tag, "*"} for each in known.split(","))
