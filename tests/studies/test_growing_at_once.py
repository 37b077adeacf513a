"""Images of one study that come at once, while it is completed and read: nothing is lost and nothing is twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from cad_platform.core.models import OutboxEvent
from cad_platform.studies import services
from cad_platform.studies.models import Instance, KeptAside, Series, Study, StudyCorrection
from tests import factories
from tests.posted_files import Hospital, dicom
from tests.studies.test_receive_safety import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_four_images_one_post_each_at_once_are_one_study() -> None:
    hospital = Hospital()
    files = [dicom(number) for number in range(4)]
    answers = at_once(
        *(lambda data=data, n=n: hospital.post(None, {f"{n}.dcm": data}) for n, data in enumerate(files))
    )
    assert [answer.status_code for answer in answers] == [201] * 4
    assert sorted(answer.json()["created"] for answer in answers) == [False] * 3 + [True]
    assert (Study.objects.count(), Series.objects.count(), Instance.objects.count()) == (1, 1, 4)
    study = Study.objects.get()
    assert study.state == Study.State.RECEIVING
    assert OutboxEvent.objects.filter(topic="study.complete").count() == 1


def test_the_same_images_twice_at_once_in_other_groups() -> None:
    hospital = Hospital()
    a, b, c = (dicom(number) for number in range(3))
    answers = at_once(
        *(
            lambda files=files: hospital.post(None, files)
            for files in [{"a": a, "b": b}, {"b": b, "c": c}, {"c": c, "a": a}] * 2
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert (Study.objects.count(), Instance.objects.count()) == (1, 3)


def test_an_image_that_comes_while_the_study_is_completed_is_in_it_or_opens_it_again() -> None:
    hospital = Hospital()
    hospital.post({"complete": False}, {"a.dcm": dicom(1)})
    Study.objects.update(quiet_at=timezone.now() - timedelta(seconds=1))
    answers = at_once(
        services.complete_quiet,
        services.complete_quiet,
        lambda: hospital.post({"complete": False}, {"b.dcm": dicom(2)}),
    )
    assert answers[2].status_code == 201
    assert answers[0] + answers[1] <= 1  # never announced twice
    study = Study.objects.get()
    assert Instance.objects.count() == 2 and study.state == Study.State.RECEIVING
    assert OutboxEvent.objects.filter(topic="study.complete").count() == answers[0] + answers[1]


def test_one_correction_sent_twice_at_once_is_made_once() -> None:
    hospital = Hospital()
    data = dicom(1, ImageLaterality=None)
    hospital.post({"images": [{"file": "a", "laterality": "R"}]}, {"a": data})
    correction = {"images": [{"file": "a", "laterality": "L"}], "correction": {"reason": "wrong side"}}
    answers = at_once(*[lambda: hospital.post(correction, {"a": data})] * 4)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert StudyCorrection.objects.count() == 1 and Study.objects.get().version == 2


def test_a_report_and_an_image_of_it_at_once() -> None:
    hospital = Hospital()
    hospital.post(None, {"a.dcm": dicom(1)})
    no_pixels = dict.fromkeys(("Rows", "Columns", "PixelData", "BitsAllocated"))
    report = dicom(0, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Modality="SR", **no_pixels)
    answers = at_once(
        *[lambda: hospital.post(None, {"sr": report})] * 3,
        lambda: hospital.post(None, {"b.dcm": dicom(2)}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201, 201]
    assert (KeptAside.objects.count(), Instance.objects.count()) == (1, 2)


def test_a_study_that_is_withdrawn_while_its_image_comes_is_never_half_withdrawn() -> None:
    hospital = Hospital()
    files = {"a.dcm": dicom(1)}
    hospital.post(None, files)
    study, actor = Study.objects.get(), factories.actor(at=hospital.site)
    answers = at_once(
        lambda: services.withdraw(actor, study, "wrong"),
        lambda: hospital.post(None, {**files, "b.dcm": dicom(2)}),
    )
    assert answers[1].status_code == 201
    study.refresh_from_db()
    active = set(Instance.objects.values_list("active", flat=True))
    assert active == {study.withdrawn_at is None} and Instance.objects.count() == 2
