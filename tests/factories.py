"""Rows to start a test from. Each returns a saved object; what a test does not care about has a default."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from datetime import date
from typing import Any

from django.db import transaction
from django.utils import timezone

from cad_platform import modalities
from cad_platform.accounts.models import Role, Site, User
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.core.actor import Actor
from cad_platform.patients.models import Patient
from cad_platform.reading import report_standing
from cad_platform.reading.models import FindingDecision
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting.models import Report, Signature
from cad_platform.studies.models import Instance, Series, StoredFile, Study

PASSWORD = "a long enough password 7"
_number = itertools.count(1)


def site(code: str = "") -> Site:
    code = code or f"site-{next(_number)}"
    return Site.objects.create(code=code, name=f"Hospital {code}")


def user(role: str = Role.RADIOLOGIST, at: Site | None = None, **fields: Any) -> User:
    username = fields.pop("username", f"{role}{next(_number)}")
    return User.objects.create_user(
        username=username,
        password=PASSWORD,
        role=role,
        site=None if role == Role.ADMINISTRATOR else at or site(),
        **{"first_name": "Ruth", "last_name": f"Adeyemi {username}", **fields},
    )


def actor(role: str = Role.RADIOLOGIST, at: Site | None = None, **fields: Any) -> Actor:
    return Actor.of_user(user(role, at, **fields), request_id="test-request", address="127.0.0.1")


def patient(at: Site, **fields: Any) -> Patient:
    defaults = {
        "patient_id": f"P-{next(_number)}",
        "name": "Okafor^Amara",
        "birth_date": date(1961, 4, 2),
        "sex": "F",
    }
    return Patient.objects.create(site=at, **{**defaults, **fields})


def study(at: Site, modality: str = "MG", **fields: Any) -> Study:
    defaults: dict[str, Any] = {
        "patient": fields.pop("patient", None) or patient(at),
        "study_instance_uid": f"2.25.{uuid.uuid4().int}",
        "accession_number": f"ACC-{next(_number)}",
        "state": Study.State.COMPLETE,
        "content_hash": uuid.uuid4().hex * 2,
        "study_date": date(2026, 11, 20),
        "completed_at": timezone.now(),
    }
    return Study.objects.create(site=at, modality=modality, **{**defaults, **fields})


def stored_file(content: bytes | None = None) -> StoredFile:
    """A row only; tests about bytes put them into the storage themselves."""
    digest = hashlib.sha256(content if content is not None else uuid.uuid4().bytes).hexdigest()
    return StoredFile.objects.create(sha256=digest, size=len(content or b""), media_type="image/png")


def instance(of: Study, laterality: str = "L", view: str = "CC", **fields: Any) -> Instance:
    series = Series.objects.create(
        study=of, series_instance_uid=f"2.25.{uuid.uuid4().int}", modality=of.modality
    )
    defaults: dict[str, Any] = {
        "sop_instance_uid": f"2.25.{uuid.uuid4().int}",
        "kind": Instance.Kind.IMAGE,
        "file": stored_file(),
        "file_name": "image.png",
        "rows": 2000,
        "columns": 1500,
        "pixel_spacing_um": 100.0,
    }
    return Instance.objects.create(
        site=of.site, series=series, laterality=laterality, view_position=view, **{**defaults, **fields}
    )


def model_version(
    name: str = "mammography", modality: str = "MG", version: str = "1.0.0", is_default: bool = True
) -> ModelVersion:
    return ModelVersion.objects.get_or_create(
        name=name,
        version=version,
        defaults={
            "modality": modality,
            "manifest": {"title": name.capitalize(), "positive_class": "malignant"},
            "weights_sha256": "ab" * 32,
            "is_default": is_default,
            "state": ModelVersion.State.APPROVED,
            "came_with_installation": True,
        },
    )[0]


def succeeded_job(of: Study, probability: float = 0.87, by: ModelVersion | None = None) -> AnalysisJob:
    version = by or model_version(modalities.get(of.modality).champion, of.modality)
    result = {
        "contract_version": "1.0",
        "model": {
            "name": version.name,
            "version": version.version,
            "weights_sha256": "ab" * 32,
            "preprocessing_sha256": "cd" * 32,
        },
        "probabilities": {"malignant": probability, "normal": 1 - probability},
        "breasts": {},
        "images": [],
        "flags": ["uncertain"],
        "thresholds": {"sensitivity_90": 0.42},
        "timings": {"model_ms": 12.0, "total_ms": 80.0},
    }
    return AnalysisJob.objects.create(
        study=of,
        model_version=version,
        content_hash=of.content_hash,
        state=AnalysisJob.State.SUCCEEDED,
        result=result,
        score=probability,
        finished_at=timezone.now(),
    )


def finding(on: Instance, job: AnalysisJob | None = None, **fields: Any) -> Finding:
    study_of = on.series.study
    number = Finding.objects.filter(study=study_of).count() + 1
    defaults = {"label": "mass", "score": 0.87 if job else None, "box": [100, 200, 220, 290]}
    return Finding.objects.create(
        study=study_of, instance=on, job=job, number=number, **{**defaults, **fields}
    )


def decision(of: Finding, reader: User, verdict: str = "accepted", **fields: Any) -> FindingDecision:
    return FindingDecision.objects.create(finding=of, reader=reader, verdict=verdict, **fields)


@transaction.atomic
def signed_rows(of: Study, by: Actor, content: dict[str, Any]) -> Report:
    """The rows that signing leaves, without the seconds that a printed page takes."""
    made = Report.objects.create(
        study=of, content=content, state=Report.State.SIGNED, content_hash="ab" * 32, created_by=by.user
    )
    Signature.objects.create(
        report=made, signer=by.user, printed_name=by.user.printed_name, role=by.role, meaning="authorship",
        content_hash=made.content_hash,
    )  # fmt: skip
    report_standing.report_signed(of, made.signature.signed_at, {}, category=content.get("assessment", ""))
    return made
