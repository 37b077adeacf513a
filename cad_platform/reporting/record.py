"""The canonical record of a signed report: the bytes that a signature binds (21 CFR 11.70)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from cad_platform.accounts.models import User
from cad_platform.reporting.models import Report, Signature


def canonical_record(
    report: Report, *, signer: User, printed_name: str, role: str, meaning: str, signed_at: datetime
) -> bytes:
    """JSON with sorted keys and no white space: study, content, what the models said and what readers decided of it,
    the contradictions that it was signed under with their reasons, and the signer with name, role, meaning and time.
    An addendum holds the hash of what it amends. From 2.3 on (`record` 2) also whose report it is, as printed."""
    study = report.study
    record: dict[str, Any] = {
        "record": 1,
        "report": str(report.pk),
        "kind": report.kind,
        "amends": report.amends.content_hash if report.amends else None,
        "study_instance_uid": study.study_instance_uid,
        "site": study.site_id,
        "content": report.content,
        "ai_summary": report.ai_summary,
        "signer": {"id": signer.pk, "printed_name": printed_name, "role": role},
        "meaning": meaning,
        "signed_at": signed_at.astimezone(UTC).isoformat(timespec="microseconds"),
    }
    if report.particulars:
        record |= {"record": 2, "particulars": report.particulars}
    if report.overrides:  # none had any before 2.3, and their hashes hold
        record["overrides"] = report.overrides
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def content_hash(record: bytes) -> str:
    """SHA-256 of a canonical record, as 64 hexadecimal digits: what is printed and what a signature binds."""
    return hashlib.sha256(record).hexdigest()


def hash_matches(report: Report, signature: Signature) -> bool:
    """Whether the stored report is still what was signed."""
    record = canonical_record(
        report,
        signer=signature.signer,
        printed_name=signature.printed_name,
        role=signature.role,
        meaning=signature.meaning,
        signed_at=signature.signed_at,
    )
    return content_hash(record) == report.content_hash == signature.content_hash
