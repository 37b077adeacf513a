"""A search by a part of a name, a number or an accession number: the same rows as looking through all, by an index."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from cad_platform.accounts.models import Role
from cad_platform.core.actor import Actor
from cad_platform.core.parts import by_index
from cad_platform.patients.models import Patient
from cad_platform.patients.person_name import groups_of
from cad_platform.patients.selectors import named
from cad_platform.reading import search
from cad_platform.reading.models import WorklistSearch
from cad_platform.reading.worklist import WorklistFilters, worklist
from tests import factories as make

pytestmark = pytest.mark.django_db

NAMES = {
    "HN-77": "Müller^Anna",
    "hn-78": "Lindqvist^Sara",
    "A%1_b\\c": "Wang^XiaoMing=王^小明",
    "S-4": "欧阳^美丽",
    "S-5": "O'Brien^Síle",
    "S-6": "김^희중",
    "S-7": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "S-8": "X^Y",
}


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def patients(reader: Actor) -> dict[str, Patient]:
    assert reader.user is not None
    return {key: make.patient(reader.user.site, name=name, patient_id=key) for key, name in NAMES.items()}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Anna Muller", {"HN-77"}),
        ("Muller Anna", {"HN-77"}),
        ("Müller, Anna", {"HN-77"}),
        ("mueller", {"HN-77"}),
        ("ULLE", {"HN-77"}),
        ("王", {"A%1_b\\c"}),
        ("小明", {"A%1_b\\c"}),
        ("王小明", {"A%1_b\\c"}),
        ("Wang 小明", {"A%1_b\\c"}),
        ("王晓明", set()),
        ("欧阳美丽", {"S-4"}),
        ("obrien", {"S-5"}),
        ("希중", set()),
        ("희중", {"S-6"}),
        ("たろう", {"S-7"}),
        ("太", {"S-7"}),
        ("x", {"A%1_b\\c", "S-8"}),
        ("xy", set()),
        ("", set()),
        ("%", set()),
        ("_", set()),
        ("\\", set()),
    ],
)
def test_a_name_is_found_by_any_part_of_it(patients: Any, query: str, expected: set[str]) -> None:
    found = Patient.objects.filter(named(query, ""))
    assert set(found.values_list("patient_id", flat=True)) == expected


def _plan(found: Any) -> str:
    with connection.cursor() as cursor, by_index():
        cursor.execute(f"EXPLAIN {found.query.sql_with_params()[0]}", found.query.sql_with_params()[1])
        return "\n".join(row[0] for row in cursor.fetchall())


def test_the_database_has_an_index_for_each(patients: Any) -> None:
    assert "patient_name_parts" in _plan(Patient.objects.filter(named("王", "")))
    assert "worklist_search_parts" in _plan(WorklistSearch.objects.filter(text__part="anna", site_id=1))


def test_a_transaction_goes_on_as_it_was(db: None) -> None:
    with by_index():
        pass
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('enable_seqscan'), current_setting('work_mem')")
        assert cursor.fetchone() == ("on", "4MB")


def test_the_list_finds_each_word_in_name_number_or_accession_number(reader: Actor, patients: Any) -> None:
    assert reader.user is not None
    site = reader.user.site
    anna = make.study(site, patient=patients["HN-77"], accession_number="A-1")
    wang = make.study(site, patient=patients["A%1_b\\c"], accession_number="A-2")

    def found(query: str) -> set[str]:
        page = worklist(reader, WorklistFilters(state="all", search=query))
        return {study.study_instance_uid for study in page.studies}

    both = {anna.study_instance_uid, wang.study_instance_uid}
    assert found("a-") == both
    assert found("a-2 小明") == found("%1") == found("王") == {wang.study_instance_uid}
    assert found("Anna Müller hn-77 A-1") == {anna.study_instance_uid}
    assert found("Anna A-2") == set()
    assert found("77-hn") == found("1-a") == set(), "a number is not put together of its parts"
    assert found("A%2") == set(), "a percent sign is one"


def test_a_corrected_name_is_found_at_once(reader: Actor, patients: Any) -> None:
    assert reader.user is not None
    make.study(reader.user.site, patient=patients["HN-77"])
    assert worklist(reader, WorklistFilters(search="anna")).total == 1
    patients["HN-77"].name_groups = groups_of("Meier^Berta")
    patients["HN-77"].save()
    assert worklist(reader, WorklistFilters(search="anna")).total == 0
    assert worklist(reader, WorklistFilters(search="berta meier")).total == 1


def test_what_very_many_have_is_found_without_a_list_of_them(
    reader: Actor, patients: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader.user is not None
    for key in ("HN-77", "hn-78", "S-4"):
        make.study(reader.user.site, patient=patients[key])
    every = worklist(reader, WorklistFilters(state="all", search="n")).studies
    monkeypatch.setattr(search, "_FEW", 1)
    assert worklist(reader, WorklistFilters(state="all", search="n")).studies == every and len(every) >= 2


def test_another_sites_patients_are_not_looked_through(reader: Actor, patients: Any) -> None:
    elsewhere = make.site()
    make.study(elsewhere, patient=make.patient(elsewhere, name="Müller^Anna"), accession_number="A-9")
    assert worklist(reader, WorklistFilters(state="all", search="muller")).total == 0
    assert worklist(reader, WorklistFilters(state="all", search="a-9")).total == 0


def test_a_merged_record_is_found_by_both(reader: Actor, patients: Any) -> None:
    assert reader.user is not None
    study = make.study(reader.user.site, patient=patients["HN-77"])

    def found(query: str) -> bool:
        return worklist(reader, WorklistFilters(search=query)).total == 1

    assert found("anna") and not found("hn-78")
    merged = patients["hn-78"]
    merged.merged_into = study.patient
    merged.save()
    assert found("anna") and found("hn-78") and found("lindqvist muller")
    merged.merged_into = None
    merged.save()
    assert found("anna") and not found("hn-78")
