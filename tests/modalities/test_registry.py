"""The registry of modalities: what may be registered, and what each one must say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cad_platform import modalities
from cad_platform.modalities.modality import Modality


@pytest.fixture
def mammography() -> Modality:
    return modalities.get("MG")


@pytest.fixture(autouse=True)
def _registry_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modalities, "_modalities", dict(modalities._modalities))


def test_each_file_of_the_folder_is_a_modality() -> None:
    assert modalities.codes() == ("MG", "US", "SM")
    assert [str(name) for _code, name in modalities.choices()] == [
        "Mammography",
        "Ultrasound",
        "Histopathology",
    ]


def test_a_new_one_stands_where_it_says(mammography: Modality) -> None:
    modalities.register(replace(mammography, code="MR", position=15, sop_classes=frozenset()))
    assert modalities.codes() == ("MG", "MR", "US", "SM")


def test_an_unknown_code_is_named() -> None:
    assert not modalities.is_registered("CT")
    with pytest.raises(modalities.UnknownModality, match="'CT'; known: MG, US, SM"):
        modalities.get("CT")
    assert (modalities.name_of("CT"), modalities.name_of("US")) == ("CT", "Ultrasound")


def test_neither_a_code_nor_a_sop_class_has_two_modalities(mammography: Modality) -> None:
    with pytest.raises(ValueError, match="two modalities have the code MG"):
        modalities.register(replace(mammography, sop_classes=frozenset()))
    with pytest.raises(ValueError, match=r"MR claims 1\.2\.840.*, which MG has"):
        modalities.register(replace(mammography, code="MR"))


@pytest.mark.parametrize("code", ["", "mg", "MG ", "A" * 17, "M-G", "乳"])
def test_a_code_has_the_form_that_dicom_gives_it(mammography: Modality, code: str) -> None:
    with pytest.raises(ValueError, match="no DICOM code"):
        replace(mammography, code=code)


@pytest.mark.parametrize("code", ["M", "MRTOYBREAST", "A" * 16, "IVUS 2", "X_1"])
def test_dicoms_codes_have_up_to_16_characters(mammography: Modality, code: str) -> None:
    assert replace(mammography, code=code).code == code


def test_somebody_signs_and_may_also_draft(mammography: Modality) -> None:
    with pytest.raises(ValueError, match="somebody must sign"):
        replace(mammography, signers=frozenset())
    with pytest.raises(ValueError, match="whoever signs also drafts"):
        replace(mammography, signers=frozenset({"pathologist"}))


def test_only_histopathology_takes_slides() -> None:
    assert [modality.code for modality in modalities.taking("slide")] == ["SM"]
    assert [modality.code for modality in modalities.taking("image")] == ["MG", "US", "SM"]
