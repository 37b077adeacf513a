"""What readers measure: kept once, the newest state wins, one's own until it is in the report, then fixed."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.db import connection

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted, PlatformError
from cad_platform.reading import annotations, report_standing
from cad_platform.reading.annotation_presenter import annotation_answer, annotation_views
from cad_platform.reading.case_revision import revision_of
from cad_platform.reading.models import Annotation
from cad_platform.reading.view_answers import AnnotationDrawn
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.services import withdraw
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def image(reader: Actor) -> Instance:
    return make.instance(make.study(reader.user.site))


def drawn(on: Instance, **changes: Any) -> AnnotationDrawn:
    state: dict[str, Any] = {
        "image": str(on.pk),
        "kind": "length",
        "points": [[10, 10], [40, 50]],
        "revision": 1,
    }
    return AnnotationDrawn.model_validate(state | changes)


def keep(actor: Actor, on: Instance, key: uuid.UUID | None = None, **changes: Any) -> Annotation:
    return annotations.keep(actor, on.series.study, key or uuid.uuid4(), drawn(on, **changes))


def seen(actor: Actor, study: Study) -> list[Annotation]:
    return annotations.annotations_of(actor, study)


def test_a_length_is_told_by_the_image_s_scale(reader: Actor, image: Instance) -> None:
    Instance.objects.filter(pk=image.pk).update(pixel_spacing_um=100.0, facts={})
    image.refresh_from_db()
    kept = keep(reader, image)
    assert annotation_answer(kept, reader.user).words == "5.0 mm"
    Instance.objects.filter(pk=image.pk).update(pixel_spacing_um=None, facts={})
    kept = seen(reader, image.series.study)[0]
    assert annotation_answer(kept, reader.user).words == "50 px (no scale)"


def test_a_length_across_two_calibrations_has_no_millimetres(reader: Actor, image: Instance) -> None:
    regions = [
        {"x0": 0, "y0": 0, "x1": 20, "y1": 100, "spacing_um": [100, 200]},
        {"x0": 20, "y0": 0, "x1": 90, "y1": 100, "spacing_um": [50, 50]},
    ]
    Instance.objects.filter(pk=image.pk).update(facts={"regions": regions})
    keep(reader, image)
    keep(reader, image, points=[[30, 10], [30, 10.5]])
    keep(reader, image, points=[[5, 10], [5, 60]])
    words = [annotation_answer(each, reader.user).words for each in seen(reader, image.series.study)]
    assert words == ["50 px (no scale)", "25 µm", "10.0 mm"]


def test_what_comes_twice_is_kept_once_and_an_older_state_never_wins(reader: Actor, image: Instance) -> None:
    key = uuid.uuid4()
    keep(reader, image, key)
    keep(reader, image, key)
    assert Annotation.objects.count() == 1
    keep(reader, image, key, points=[[1, 1], [2, 2]], revision=3)
    late = keep(reader, image, key, points=[[7, 7], [9, 9]], revision=2)
    assert late.points == [[1, 1], [2, 2]]
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["annotation.draw", "annotation.change"]


def test_what_was_taken_away_comes_back(reader: Actor, image: Instance) -> None:
    key = uuid.uuid4()
    keep(reader, image, key)
    keep(reader, image, key, revision=2, removed=True)
    assert seen(reader, image.series.study) == []
    keep(reader, image, key, revision=3, removed=False)
    assert [each.pk for each in seen(reader, image.series.study)] == [key]
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["annotation.draw", "annotation.remove", "annotation.bring_back"]


@pytest.mark.parametrize(
    "changes",
    [
        {"points": [[5, 5], [5, 5]]},
        {"points": [[-9, 5], [-1, 5]]},
        {"frame": 3},
        {"note": "n" * 201},
        {"image": "nothing"},
    ],
)
def test_what_does_not_fit_the_image_is_refused(
    reader: Actor, image: Instance, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        keep(reader, image, **changes)


def test_points_are_cut_to_the_image_and_notes_cleaned(reader: Actor, image: Instance) -> None:
    kept = keep(reader, image, points=[[-5, 3.14159], [1e6, 1e6]], note=" spiculated\n\0 margin ")
    assert kept.points == [[0, 3.14], [image.columns, image.rows]]
    assert kept.note == "spiculated margin"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"image": "x", "kind": "circle", "points": [[0,0],[1,1]], "revision": 1}',
        '{"image": "x", "kind": "length", "points": [[0,0],[NaN,1]], "revision": 1}',
        '{"image": "x", "kind": "length", "points": [[0,0],[1,1],[2,2]], "revision": 1}',
        '{"image": "x", "kind": "length", "points": [[0,0],[1,1]], "revision": 0}',
        '{"image": "x", "kind": "length", "points": [[0,0],[1,1]], "revision": 1, "author": 4}',
        '{"image": "x", "kind": "arrow", "points": [[0,0],[1,1]], "revision": 1, "note": "'
        + "n" * 5000
        + '"}',
    ],
)
def test_only_what_is_a_measurement_is_read(text: str) -> None:
    with pytest.raises(Invalid):
        annotations.parsed(text)


def test_they_are_the_reader_s_own_until_they_are_in_the_report(reader: Actor, image: Instance) -> None:
    study = image.series.study
    colleague = make.actor(Role.RADIOLOGIST, reader.user.site)
    kept = keep(reader, image)
    keep(colleague, image)
    assert [each.author for each in seen(colleague, study)] == [colleague.user]
    with pytest.raises(NotFound):
        annotations.report(colleague, study, kept.pk, in_report=True)
    before = revision_of(colleague, study.study_instance_uid)
    annotations.report(reader, study, kept.pk, in_report=True)
    assert revision_of(colleague, study.study_instance_uid) != before
    views = annotation_views(seen(colleague, study), colleague.user, {image.pk: "L CC"})
    assert [(view.author, view.is_own, view.in_report) for view in views] == [
        (reader.user.printed_name, False, True),
        ("", True, False),
    ]
    # It is still the reader's; but whoever writes the report may leave it out.
    with pytest.raises(NotFound):
        keep(colleague, image, kept.pk, revision=9, removed=True)
    annotations.report(colleague, study, kept.pk, in_report=False)
    assert len(seen(colleague, study)) == 1


def test_what_is_in_a_signed_report_stays(reader: Actor, image: Instance) -> None:
    study = image.series.study
    reported, private = keep(reader, image), keep(reader, image)
    annotations.report(reader, study, reported.pk, in_report=True)
    report_standing.draft_begun(study)
    report_standing.report_signed(study, reported.made_at, {})
    for change in (
        lambda: annotations.report(reader, study, reported.pk, in_report=False),
        lambda: annotations.report(reader, study, private.pk, in_report=True),
        lambda: keep(reader, image, reported.pk, revision=2, removed=True),
        lambda: keep(reader, image, reported.pk, revision=2, points=[[1, 1], [2, 2]]),
    ):
        with pytest.raises(Conflict):
            change()
    # One's own are no part of it: who looks at an earlier exam measures in it.
    keep(reader, image, private.pk, revision=2, removed=True)
    keep(reader, image)
    report_standing.draft_begun(study)
    annotations.report(reader, study, reported.pk, in_report=False)


def test_a_withdrawn_study_takes_none(reader: Actor, image: Instance) -> None:
    withdraw(reader, image.series.study, "wrong patient")
    with pytest.raises(Conflict):
        keep(reader, image)


def test_an_image_of_another_study_and_another_s_key_are_refused(reader: Actor, image: Instance) -> None:
    other = make.instance(make.study(reader.user.site))
    with pytest.raises(Invalid):
        annotations.keep(reader, image.series.study, uuid.uuid4(), drawn(other))
    key = keep(reader, image).pk
    with pytest.raises(NotFound):
        keep(reader, other, key, revision=2)


@pytest.mark.parametrize("role", [Role.INTEGRATOR, Role.ADMINISTRATOR])
def test_only_who_reads_at_the_pages_measures(reader: Actor, image: Instance, role: Role) -> None:
    other = make.actor(role, None if role == Role.ADMINISTRATOR else reader.user.site)
    with pytest.raises(NotPermitted):
        keep(other, image)


def test_into_the_report_goes_only_what_a_drafter_says(reader: Actor) -> None:
    pathologist = make.actor(Role.PATHOLOGIST, reader.user.site)
    image = make.instance(make.study(reader.user.site, "MG"))
    kept = keep(pathologist, image)
    with pytest.raises(NotPermitted):
        annotations.report(pathologist, image.series.study, kept.pk, in_report=True)


def test_another_site_knows_nothing_of_it(reader: Actor, image: Instance) -> None:
    kept = keep(reader, image)
    stranger = make.actor(Role.RADIOLOGIST, make.site())
    for attempt in (
        lambda: keep(stranger, image),
        lambda: annotations.report(stranger, image.series.study, kept.pk, in_report=True),
        lambda: seen(stranger, image.series.study),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_there_is_an_end_to_how_many(reader: Actor, image: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "MOST_DRAWN", 2)
    monkeypatch.setattr(annotations, "MOST_REPORTED", 1)
    first, second = keep(reader, image), keep(reader, image)
    with pytest.raises(Invalid):
        keep(reader, image)
    annotations.report(reader, image.series.study, first.pk, in_report=True)
    with pytest.raises(Invalid):
        annotations.report(reader, image.series.study, second.pk, in_report=True)


@pytest.mark.django_db(transaction=True)
def test_one_that_is_sent_twice_at_once_is_one_and_the_newest_state_stays(
    reader: Actor, image: Instance
) -> None:
    key = uuid.uuid4()
    problems: list[Exception] = []
    together = threading.Barrier(8)

    def send(revision: int) -> None:
        try:
            together.wait()
            keep(reader, image, key, points=[[revision, 0], [revision, 50]], revision=revision)
        except (PlatformError, threading.BrokenBarrierError) as problem:
            problems.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(revision,)) for revision in (1, 1, 2, 2, 3, 3, 4, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    kept = Annotation.objects.get()
    assert (kept.revision, kept.points) == (4, [[4, 0], [4, 50]])
