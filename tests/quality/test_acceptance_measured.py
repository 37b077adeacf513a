"""Measuring as a worker does it: known cases of the platform, real pixels in the storage, the laboratory's own process
with the served weights. Minutes, so only with `--long`."""

from __future__ import annotations

import io
import re
from typing import Literal

import pytest
from django.db import transaction
from PIL import Image

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import KnownTruth
from cad_platform.core.models import OutboxEvent
from cad_platform.core.queues import ACCEPTANCE_TASK, SLIDE, route
from cad_platform.quality import acceptance, acceptance_pages, acceptance_words
from cad_platform.quality.models import Acceptance
from cad_platform.quality.tasks import measure_acceptance
from cad_platform.registry import services
from cad_platform.registry.models import ModelVersion
from cad_platform.studies import storage
from cad_platform.studies.models import Study
from imaging.phantoms import ultrasound
from tests import factories
from tests.registry.conftest import Store, store  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.django_db, pytest.mark.long, pytest.mark.timeout(900)]


def study_with_pixels(site: object, number: int, kind: Literal["benign", "malignant"]) -> Study:
    study = factories.study(site, "US")  # type: ignore[arg-type]
    content = ultrasound.phantom(number, kind).pixels
    png = io.BytesIO()
    Image.fromarray(content).save(png, "PNG")
    with transaction.atomic():
        file = storage.store_bytes(png.getvalue(), "image/png")
    factories.instance(
        study, "LR"[number % 2], view="", kind="image", file=file, rows=content.shape[0], columns=content.shape[1],
        pixel_spacing_um=80.0, facts={"manufacturer": ("Alpha", "Beta")[number % 3 == 0]},
    )  # fmt: skip
    return study


def test_from_known_cases_to_the_verdict_by_the_laboratorys_process(store: Store) -> None:  # noqa: F811
    (version,) = services.register_from_store(factories.actor(Role.ADMINISTRATOR)).versions
    ModelVersion.objects.filter(pk=version.pk).update(state="approved", came_with_installation=True)
    site = factories.site()
    for number in range(52):
        kind: Literal["benign", "malignant"] = "malignant" if number % 2 else "benign"
        KnownTruth.objects.create(
            study=study_with_pixels(site, number, kind), positive=kind == "malignant", source="table"
        )
    asked = acceptance.ask(factories.actor(Role.ADMINISTRATOR), version, site)
    event = OutboxEvent.objects.get(topic=acceptance.ASKED_TOPIC)
    assert route(ACCEPTANCE_TASK)["queue"] == SLIDE
    assert measure_acceptance(**event.payload) == Acceptance.State.MEASURED
    asked.refresh_from_db()
    assert (asked.whole, asked.done) == (52, 52)
    report = asked.report
    assert report is not None
    assert (
        report["images"] + len(report["not_read"]) == 52
        and report["weights_sha256"] == version.weights_sha256
    )
    page = acceptance_pages.page_of(asked)
    assert [curve.name for curve in page.curves] == ["roc", "reliability"]
    assert {row.kind for row in page.groups} >= {"Side", "Vendor"}
    assert len(page.points) == 3 and page.shift and page.calibration
    for sentence in (*report["reasons"], *report["conditions"], *report["notes"]):
        assert acceptance_words.is_known(sentence), sentence
    assert not re.search(r"2\.25\.\d+|ACC-|P-\d", str(report)), "no patient, no study"
    print(asked.verdict, page.auc, page.counts)
    assert measure_acceptance(**event.payload) == Acceptance.State.MEASURED, "what comes twice is done once"
