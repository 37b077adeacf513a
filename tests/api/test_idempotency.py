"""Idempotency-Key: the first answer again, and no second study, whatever happens in between."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.utils import timezone

from cad_platform.analysis.models import AnalysisJob
from cad_platform.api.idempotency import Key, forget_expired
from cad_platform.api.models import IdempotentAnswer
from cad_platform.studies.models import Study
from tests import factories
from tests.posted_files import STUDY, Hospital, dicom, png, reasons, token_for


@pytest.fixture
def hospital(db: None) -> Hospital:
    return Hospital()


def test_the_same_key_and_body_give_the_first_answer(hospital: Hospital) -> None:
    first = hospital.post(**{"Idempotency-Key": "k-1"})
    again = hospital.post(**{"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true" and again["Location"] == first["Location"]
    assert Study.objects.count() == 1


def test_the_same_json_spelt_differently_is_the_same_body(hospital: Hospital) -> None:
    files = {"a.png": png()}
    hospital.post('{"modality":"US","patient":{"id":"P"}}', files, **{"Idempotency-Key": "k"})
    again = hospital.post('{ "patient": {"id": "P"}, "modality": "US" }', files, **{"Idempotency-Key": "k"})
    assert again.status_code == 201 and again["Idempotency-Replayed"]


@pytest.mark.parametrize(
    ("study", "files"),
    [
        ({**STUDY, "priority": "stat"}, {"a.png": png()}),
        (STUDY, {"a.png": png(7)}),
        (STUDY, {"b.png": png()}),
    ],
)
def test_the_same_key_with_another_body_is_422(
    hospital: Hospital, study: Any, files: dict[str, bytes]
) -> None:
    hospital.post(**{"Idempotency-Key": "k"})
    answer = hospital.post(study, files, **{"Idempotency-Key": "k"})
    assert (answer.status_code, reasons(answer)) == (422, [("Idempotency-Key", None)])
    assert Study.objects.count() == 1


def test_a_refusal_is_an_answer_too(hospital: Hospital) -> None:
    files = {"a.dcm": dicom(PatientID=None)}
    first = hospital.post(None, files, **{"Idempotency-Key": "k"})
    again = hospital.post(None, files, **{"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (422, 422)
    assert again["Content-Type"] == "application/problem+json"
    assert again["Idempotency-Replayed"] == "true" and again.json() == first.json()


def test_a_key_belongs_to_its_token(hospital: Hospital) -> None:
    assert hospital.post(**{"Idempotency-Key": "k"}).status_code == 201
    other = Hospital(hospital.site)
    assert other.post(STUDY, {"b.png": png(3)}, **{"Idempotency-Key": "k"}).status_code == 201


@pytest.mark.parametrize("key", ["", "k" * 256, "k\tk"])
def test_a_key_that_cannot_be_kept_is_422(hospital: Hospital, key: str) -> None:
    assert hospital.post(**{"Idempotency-Key": key}).status_code == 422


def test_it_is_kept_for_seven_days(hospital: Hospital) -> None:
    hospital.post(**{"Idempotency-Key": "k"})
    kept = IdempotentAnswer.objects.get()
    assert kept.expires_at - kept.created_at == pytest.approx(timedelta(days=7), abs=timedelta(seconds=5))
    assert forget_expired() == 0
    IdempotentAnswer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert hospital.post(**{"Idempotency-Key": "k"}).status_code == 200  # by its bytes, no longer by its key
    IdempotentAnswer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert forget_expired() == 1


def test_the_kept_answer_names_no_patient(hospital: Hospital) -> None:
    hospital.post(None, {"a.dcm": dicom()}, **{"Idempotency-Key": "k"})
    assert "Okafor" not in str(IdempotentAnswer.objects.get().body)


@pytest.mark.django_db(transaction=True)
def test_while_the_first_request_runs_the_second_is_409() -> None:
    hospital = Hospital()
    token = hospital.user.api_tokens.get()
    running, done = threading.Event(), threading.Event()

    def first() -> None:
        try:
            with Key(token, "k", "f").held():
                running.set()
                done.wait(20)
        finally:
            connection.close()

    other = threading.Thread(target=first)
    other.start()
    assert running.wait(20)
    try:
        answer = hospital.post(**{"Idempotency-Key": "k"})
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:cad:problem:still_running"
    finally:
        done.set()
        other.join()
    assert hospital.post(**{"Idempotency-Key": "k"}).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_a_token_made_later_does_not_inherit_keys() -> None:
    hospital = Hospital()
    hospital.post(**{"Idempotency-Key": "k"})
    hospital.client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token_for(hospital.user)}"
    assert hospital.client.get("/api/v1/studies").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_answer_that_is_kept_is_the_one_that_was_given() -> None:
    """Also where the study's last job ends between the commit and the answer."""
    hospital = Hospital()
    hospital.post()
    job = AnalysisJob.objects.create(
        study=Study.objects.get(),
        model_version=factories.model_version("ultrasound", "US"),
        content_hash=Study.objects.get().content_hash,
        state=AnalysisJob.State.REQUESTED,
    )

    def end_it() -> None:
        AnalysisJob.objects.filter(pk=job.pk).update(state=AnalysisJob.State.FAILED, reason="Ended.")

    def when_kept(**_: Any) -> None:
        transaction.on_commit(end_it)

    post_save.connect(when_kept, sender=IdempotentAnswer)
    try:
        first = hospital.post(**{"Idempotency-Key": "k"})
    finally:
        post_save.disconnect(when_kept, sender=IdempotentAnswer)
    assert hospital.get().json()["results"][0]["state"] == "analysed"
    again = hospital.post(**{"Idempotency-Key": "k"})
    assert (first.json()["state"], again.json()["state"]) == ("complete", "complete")
