"""How far two versions agree, of a hundred thousand studies that both have looked at: what it takes of time and memory.

`python -m pytest tests/analysis/test_agreement_at_scale.py --long -s` prints it.
"""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections.abc import Callable

import psycopg
import pytest
from django.db import models

from cad_platform.accounts.models import Role
from cad_platform.analysis import comparing
from cad_platform.analysis.models import AnalysisJob, KnownTruth, ShadowResult
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]
STUDIES, KNOWN = 100_000, 1000


def copied(owner: psycopg.Connection, row: models.Model, times: int, **other: str) -> None:
    """Insert a row `times` more, with other values (SQL, of `n`) in some columns; no trigger sees it."""
    table = row._meta.db_table
    names = [field.column for field in row._meta.concrete_fields if field.column]
    values = ", ".join(other.get(name, f"one.{name}") for name in names)
    owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    owner.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} AS one, "
        f"generate_series(1, {times}) AS n WHERE one.id = %s",
        [row.pk],
    )
    owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def identity(prefix: str) -> str:
    """A UUID of `n`."""
    return f"('{prefix}-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid"


@pytest.fixture
def versions(owner_url: str) -> tuple[ModelVersion, ModelVersion]:
    """A champion whose results are shown and a challenger in shadow, with as many studies of one site."""
    champion = factories.model_version("ultrasound", "US")
    challenger = ModelVersion.objects.create(
        name=champion.name, version="99.0.0", modality="US", manifest=champion.manifest,
        weights_sha256="ab" * 32, state=ModelVersion.State.APPROVED, came_with_installation=True,
    )  # fmt: skip
    study: Study = factories.study(factories.site(), "US")
    job = factories.succeeded_job(study, 0.5, by=champion)
    seen = ShadowResult.objects.create(
        study=study, content_hash=study.content_hash, model_version=challenger, result={}, score=0.5,
        state=ShadowResult.State.SUCCEEDED,
    )  # fmt: skip
    known = KnownTruth.objects.create(study=study, positive=True, source="table")
    of_study, of_job = identity("00000001"), identity("00000002")
    first = seen.pk + 1
    with psycopg.connect(owner_url, autocommit=True) as owner:
        copied(owner, study, STUDIES, id=of_study, study_instance_uid="'2.25.' || n")
        copied(owner, job, STUDIES, id=of_job, study_id=of_study, score="(n %% 1000) / 1000.0")
        score = "((n * 7) %% 1000) / 1000.0"
        copied(owner, seen, STUDIES, id=f"{first} + n", study_id=of_study, score=score)
        copied(owner, known, KNOWN, id=f"{known.pk} + n", study_id=of_study, positive="n %% 2 = 0")
        owner.execute("ANALYZE")
    return challenger, champion


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and the most MB that Python held at once for it."""
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    tracemalloc.start()
    work()
    held = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return seconds, held


def test_it_takes_seconds_and_little_memory(versions: tuple[ModelVersion, ModelVersion]) -> None:
    assert AnalysisJob.objects.count() == ShadowResult.objects.count() == STUDIES + 1
    lead = factories.actor(Role.CLINICAL_LEAD, Study.objects.first().site)  # type: ignore[union-attr]
    page = spent(lambda: comparing.agreement(factories.actor(Role.ADMINISTRATOR), *versions))
    gallery = spent(lambda: comparing.disagreements(lead, *versions))
    asked = spent(lambda: comparing.compare(*(each.pk for each in versions)))
    print(f"\nof {STUDIES} studies: agreement {page[0]:.2f} s, {page[1]:.1f} MB; disagreements {gallery[0]:.2f} s, "
          f"{gallery[1]:.1f} MB; comparison {asked[0]:.2f} s, {asked[1]:.1f} MB; "
          f"process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")  # fmt: skip
    for seconds, held in (page, gallery, asked):
        assert seconds < 5 and held < 5
