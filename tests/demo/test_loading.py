"""The demo's cases go through the real API, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from cad_platform.demo.cases import Case, CaseImage
from cad_platform.demo.collected import collected_cases
from cad_platform.demo.credentials import seed
from cad_platform.demo.loading import Loader
from cad_platform.demo.synthetic import synthetic_cases
from cad_platform.studies.models import Instance, Study


@pytest.fixture
def demo_file(live_server: Any, tmp_path: Path) -> Path:
    path = tmp_path / "demo.json"
    seed(path, live_server.url)
    return path


@pytest.fixture
def loader(demo_file: Path) -> Loader:
    known = json.loads(demo_file.read_text())
    return Loader(known["url"], known["token"], say=lambda line: None)


def ignore(case: Case, images: list[CaseImage]) -> None:
    """Nobody checks the models here."""


def one_of(modality: str) -> Case:
    return next(case for case in synthetic_cases() if case.modality == modality)


def test_every_case_has_an_identity_of_its_own() -> None:
    cases = synthetic_cases()
    assert {case.modality for case in cases} == {"US", "MG", "SM"}
    assert len({case.study_instance_uid for case in cases}) == len(cases)
    assert len({case.patient_id for case in cases}) == len(cases)
    assert max(len(case.study_instance_uid) for case in cases) <= 64


def test_nobody_takes_a_synthetic_case_for_a_person() -> None:
    for case in synthetic_cases():
        assert "synthetic" in case.patient_name and "synthetic" in case.procedure


@pytest.mark.django_db(transaction=True)
@pytest.mark.long
def test_a_case_of_each_modality_is_posted_once(loader: Loader) -> None:
    cases = [one_of("US"), one_of("MG"), one_of("SM")]
    first = loader.load(cases, ignore)
    assert [outcome.status for outcome in first] == [201, 201, 201], [outcome.reason for outcome in first]
    assert [outcome.status for outcome in loader.load(cases, ignore)] == [200, 200, 200]
    assert set(Study.objects.values_list("study_instance_uid", flat=True)) == {
        case.study_instance_uid for case in cases
    }
    views = Instance.objects.filter(series__study__modality="MG").values_list("laterality", "view_position")
    assert set(views) == {("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")}


@pytest.mark.django_db(transaction=True)
def test_a_refused_case_says_why_and_the_others_are_loaded(loader: Loader, tmp_path: Path) -> None:
    text = tmp_path / "not-an-image.png"
    text.write_text("no picture")
    bad = Case(
        key="test/bad",
        modality="US",
        patient_id="BAD",
        patient_name="Bad (synthetic)",
        birth_date=None,
        procedure="synthetic",
        images=lambda folder: [CaseImage(text, "picture.png")],
    )
    refused, posted = loader.load([bad, one_of("US")], ignore)
    assert refused.refused and refused.reason
    assert posted.status == 201


@pytest.mark.django_db(transaction=True)
def test_the_command_keeps_the_truth_beside_the_credentials(
    demo_file: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = str(demo_file.parent / "nowhere")
    monkeypatch.setattr(
        "cad_platform.demo.management.commands.load_demo_cases.synthetic_cases", lambda: [one_of("US")]
    )
    monkeypatch.setattr("cad_platform.demo.management.commands.load_demo_cases._READY_SECONDS", 0)
    call_command("load_demo_cases", demo_json=str(demo_file))
    (truth,) = json.loads((demo_file.parent / "demo-truth.json").read_text()).values()
    assert truth["truth"]["lesion"] == "malignant"
    (image,) = truth["images"].values()
    assert image["label"] == "malignant" and len(image["boxes"]) == 1


def test_without_a_token_the_command_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="seed_demo"):
        call_command("load_demo_cases", demo_json=str(tmp_path / "demo.json"))


def test_real_cases_are_complete_and_keep_their_answer_out_of_the_file_name(
    shared_data: Path, tmp_path: Path
) -> None:
    cases = collected_cases(shared_data)
    assert {case.modality for case in cases} == {"US", "MG", "SM"}
    exam = next(case for case in cases if case.key.startswith("cbis_ddsm"))
    views = {(image.laterality, image.view) for image in exam.images(tmp_path)}
    assert views == {("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")}
    for case in cases:
        for image in case.images(tmp_path):
            assert image.path.is_file()
            assert not any(word in image.file_name for word in ("benign", "malignant", "normal", "SOB_"))


def test_without_the_collections_there_are_no_real_cases(tmp_path: Path) -> None:
    assert collected_cases(tmp_path) == []
