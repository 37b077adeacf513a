"""Measurements that were put into the report: its lines, its signed record and its document say them, frozen."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import pytest
from django.db import connection
from django.utils import translation

from cad_platform.accounts.models import Role
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, PlatformError
from cad_platform.reading import annotations
from cad_platform.reading.models import Annotation
from cad_platform.reading.view_answers import AnnotationDrawn
from cad_platform.reporting import services, signing
from cad_platform.reporting.ai_summary import headings_of, summary_of
from cad_platform.reporting.document import document_of
from cad_platform.reporting.models import Report
from cad_platform.reporting.record import hash_matches
from cad_platform.studies.models import Instance, Study
from tests import factories
from tests.factories import PASSWORD
from tests.reporting.test_content import COMPLETE_MG

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signer() -> Actor:
    return factories.actor(Role.RADIOLOGIST, factories.site())


@pytest.fixture
def study(signer: Actor) -> Study:
    return factories.study(signer.user.site)


@pytest.fixture
def image(study: Study) -> Instance:
    return factories.instance(study, pixel_spacing_um=100.0)


def draw(actor: Actor, on: Instance, key: uuid.UUID | None = None, **changes: Any) -> Annotation:
    state: dict[str, Any] = {
        "image": str(on.pk),
        "kind": "length",
        "points": [[10, 10], [133, 10]],
        "revision": 1,
    }
    drawn = AnnotationDrawn.model_validate(state | changes)
    return annotations.keep(actor, on.series.study, key or uuid.uuid4(), drawn)


def reported(actor: Actor, on: Instance, **changes: Any) -> Annotation:
    drawn = draw(actor, on, **changes)
    return annotations.report(actor, on.series.study, drawn.pk, in_report=True)


def saved_draft(actor: Actor, study: Study) -> Report:
    draft = services.open_draft(actor, study)
    return services.save_draft(actor, draft.pk, draft.content | COMPLETE_MG, draft.revision).report


def test_one_in_the_report_is_a_line_with_the_reader_s_words(
    signer: Actor, study: Study, image: Instance
) -> None:
    length = reported(signer, image)
    reported(signer, image, kind="arrow", note="skin retraction")
    draw(signer, image)
    draft = saved_draft(signer, study)
    lines = draft.content["findings"]
    assert [line["heading"] for line in lines] == ["L CC · length 12.3 mm", "L CC · arrow · skin retraction"]
    lines[0]["text"] = "longest axis of the mass"
    draft = services.save_draft(signer, draft.pk, draft.content, draft.revision).report
    assert draft.content["findings"][0]["text"] == "longest axis of the mass"
    # It is measured anew: the heading follows, the words stay.
    draw(signer, image, length.pk, points=[[10, 10], [60, 10]], revision=2)
    draft = services.save_draft(signer, draft.pk, draft.content, draft.revision).report
    assert draft.content["findings"][0]["heading"] == "L CC · length 5.0 mm"
    assert draft.content["findings"][0]["text"] == "longest axis of the mass"
    # Taken out, the reader's own words stay as a line of their own.
    annotations.report(signer, study, length.pk, in_report=False)
    draft = services.save_draft(signer, draft.pk, draft.content, draft.revision).report
    assert [(line["heading"], line["text"]) for line in draft.content["findings"]] == [
        ("L CC · arrow · skin retraction", ""),
        ("", "longest axis of the mass"),
    ]


def test_the_signed_record_and_the_document_hold_it(signer: Actor, study: Study, image: Instance) -> None:
    kept = reported(signer, image, note="spiculated")
    draft = saved_draft(signer, study)
    signature = signing.sign(signer, draft.pk, password=PASSWORD, revision=draft.revision)
    report = Report.objects.select_related("study__patient", "study__site", "amends").get(pk=draft.pk)
    assert hash_matches(report, signature)
    [measured] = report.ai_summary["measurements"]
    assert (measured["id"], measured["points"], measured["image"]["spacing_um"]) == (
        str(kept.pk),
        [[10.0, 10.0], [133.0, 10.0]],
        [100.0, 100.0],
    )
    printed = json.dumps(document_of(report, signature), ensure_ascii=False)
    assert "L CC · length 12.3 mm · spiculated" in printed
    with translation.override("zh-hans"):
        in_chinese = json.dumps(document_of(report, signature)["sections"], ensure_ascii=False)
    assert "L CC · 长度 12.3 mm · spiculated" in in_chinese
    with pytest.raises(Conflict):
        annotations.report(signer, study, kept.pk, in_report=False)
    with pytest.raises(Conflict):
        draw(signer, image, kept.pk, revision=2, removed=True)


def test_a_record_of_before_measurements_still_has_its_words_and_its_hash(
    signer: Actor, study: Study, image: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = signing.summary_of

    def as_before(of: Study) -> dict[str, Any]:
        return {name: value for name, value in real(of).items() if name != "measurements"}

    monkeypatch.setattr(signing, "summary_of", as_before)
    draft = saved_draft(signer, study)
    signature = signing.sign(signer, draft.pk, password=PASSWORD, revision=draft.revision)
    report = Report.objects.select_related("study__patient", "study__site", "amends").get(pk=draft.pk)
    assert hash_matches(report, signature)
    assert headings_of(report.ai_summary) == {}
    assert document_of(report, signature)["title"]


def test_put_in_since_the_draft_was_saved_it_is_looked_at_first(
    signer: Actor, study: Study, image: Instance
) -> None:
    draft = saved_draft(signer, study)
    reported(signer, image)
    with pytest.raises(Conflict) as refused:
        signing.sign(signer, draft.pk, password=PASSWORD, revision=draft.revision)
    assert refused.value.code == "findings_changed"


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.4])
def test_signing_and_taking_out_at_once_never_leave_a_record_that_was_not_so(
    signer: Actor, study: Study, image: Instance, delay: float
) -> None:
    kept = reported(signer, image)
    draft = saved_draft(signer, study)
    outcome: dict[str, Any] = {}

    def take_out() -> None:
        try:
            threading.Event().wait(delay)
            annotations.report(signer, study, kept.pk, in_report=False)
            outcome["taken"] = True
        except PlatformError as problem:
            outcome["taken"] = problem
        finally:
            connection.close()

    other = threading.Thread(target=take_out)
    other.start()
    try:
        signing.sign(signer, draft.pk, password=PASSWORD, revision=draft.revision)
        outcome["signed"] = True
    except PlatformError as problem:
        outcome["signed"] = problem
    other.join()
    # One of them came first, and the other was told.
    assert (outcome["signed"] is True) != (outcome["taken"] is True)
    report = Report.objects.get(pk=draft.pk)
    if outcome["signed"] is True:
        assert [each["id"] for each in report.ai_summary["measurements"]] == [str(kept.pk)]
        assert [each["id"] for each in summary_of(study)["measurements"]] == [str(kept.pk)]
