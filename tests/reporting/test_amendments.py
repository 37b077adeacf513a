"""An addendum says why, what it changes and what counts now; its original says that it was amended."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Site
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid
from cad_platform.reporting import amendments, services, signing
from cad_platform.reporting.content import parse
from cad_platform.reporting.document import document_of
from cad_platform.reporting.models import Report
from cad_platform.reporting.record import hash_matches
from cad_platform.studies.models import Study
from tests import factories as make
from tests.factories import PASSWORD
from tests.reporting.test_content import COMPLETE_MG, COMPLETE_SM
from tests.reporting.test_services import pdf_of, signed_report

pytestmark = pytest.mark.django_db

SUSPICIOUS = COMPLETE_MG | {
    "left": "4C",
    "assessment": "4C",
    "recommendation": "tissue_diagnosis",
    "recommendation_text": "Core biopsy of the left breast.",
    "impression": "Spiculated mass of the left breast.",
}
#: Everything that follows from a benign biopsy.
BENIGN: dict[str, Any] = {
    "kind": "addendum",
    "reason": "The biopsy was benign.",
    "text": "Histology: fibroadenoma, concordant.",
    "left": "2",
    "assessment": "2",
    "recommendation": "routine",
    "impression": "Fibroadenoma of the left breast.",
}


@pytest.fixture
def site() -> Site:
    return make.site()


@pytest.fixture
def reader(site: Site) -> Actor:
    return make.actor(Role.RADIOLOGIST, site)


@pytest.fixture
def study(site: Site) -> Study:
    return make.study(site)


@pytest.fixture
def original(reader: Actor, study: Study) -> Report:
    return signed_report(reader, study, SUSPICIOUS)


def draft_of(reader: Actor, study: Study, content: dict[str, Any]) -> Report:
    opened = services.open_addendum(reader, study)
    return services.save_draft(reader, opened.pk, content, opened.revision).report


def signed_addendum(reader: Actor, study: Study, content: dict[str, Any]) -> Report:
    draft = draft_of(reader, study, content)
    signing.sign(reader, draft.pk, password=PASSWORD, revision=draft.revision)
    return Report.objects.get(pk=draft.pk)


def refused_fields(reader: Actor, study: Study, content: dict[str, Any]) -> list[str]:
    draft = draft_of(reader, study, content)
    with pytest.raises((Invalid, Conflict)) as refusal:
        signing.sign(reader, draft.pk, password=PASSWORD, revision=draft.revision)
    return [error.field for error in refusal.value.errors]


def text_of(report: Report) -> str:
    return "".join("".join(page.extract_text().split()) for page in pdf_of(report).pages)


def test_an_addendum_says_why(reader: Actor, study: Study, original: Report) -> None:
    assert refused_fields(reader, study, {"kind": "addendum", "text": "Seen again."}) == ["reason"]


@pytest.mark.parametrize(
    ("left_out", "field"),
    [
        ({"left": ""}, "assessment"),  # the exam is as serious as its more serious breast
        ({"recommendation": ""}, "recommendation"),  # 4C → 2 with the biopsy left standing
        ({"assessment": "", "recommendation": ""}, "assessment"),
        ({"recommendation": "other"}, "recommendation_text"),
    ],
)
def test_an_amendment_leaves_nothing_that_contradicts_it(
    left_out: dict[str, str], field: str, reader: Actor, study: Study, original: Report
) -> None:
    assert field in refused_fields(reader, study, BENIGN | left_out)


def test_what_counts_now_is_the_report_with_what_was_changed(
    reader: Actor, study: Study, original: Report
) -> None:
    addendum = signed_addendum(reader, study, BENIGN)
    now = amendments.counting(original)
    assert now == parse(
        SUSPICIOUS
        | {"left": "2", "assessment": "2", "recommendation": "routine", "impression": BENIGN["impression"]}
        # What was said of the old recommendation goes with it.
        | {"recommendation_text": "", "findings": []}
    )
    original.refresh_from_db()
    for report in (original, addendum):
        assert hash_matches(report, report.signature)
    assert original.content["assessment"] == "4C", "what was signed stays"


def test_the_addendum_prints_its_reason_and_each_field_before_and_after(
    reader: Actor, study: Study, original: Report
) -> None:
    addendum = signed_addendum(reader, study, BENIGN)
    (changed,) = [s for s in document_of(addendum, addendum.signature)["sections"] if s["kind"] == "changes"]
    assert [(row["label"], row["before"], row["after"]) for row in changed["rows"]] == [
        ("Left breast", "4C – high suspicion for malignancy", "2 – benign"),
        ("Whole exam", "4C – high suspicion for malignancy", "2 – benign"),
        ("Recommendation", "Tissue diagnosis", "Routine screening"),
        ("Details of the recommendation", "Core biopsy of the left breast.", "—"),
        ("Impression", "Spiculated mass of the left breast.", "Fibroadenoma of the left breast."),
    ]
    assert changed["rows"][-1]["parts"] == (
        ("removed", "Spiculated mass"),
        ("added", "Fibroadenoma"),
        ("same", " of the left breast."),
    )
    text = text_of(addendum)
    for words in (
        "Thebiopsywasbenign.",
        "Histology:fibroadenoma",
        "4C–highsuspicionformalignancy2–benign",
        "TissuediagnosisRoutinescreening",
        "SpiculatedmassFibroadenomaoftheleftbreast.",
        f"Amendsthereportsigned{document_of(original, original.signature)['signature']['at']}".replace(
            " ", ""
        ),
        original.content_hash[:12],
    ):
        assert words in text, words


def test_a_second_addendum_is_told_from_the_first(reader: Actor, study: Study, original: Report) -> None:
    first = signed_addendum(reader, study, BENIGN)
    again = {"kind": "addendum", "reason": "Second opinion.", "text": "Excision advised.", "left": "4A"}
    second = signed_addendum(
        reader, study, again | {"assessment": "4A", "recommendation": "tissue_diagnosis"}
    )
    said = [(each.addendum, each.words) for each in amendments.amendments_of(original)]
    assert said[1] == (
        second,
        "Left breast: 2 → 4A; BI-RADS 2 → 4A; Recommendation: Routine screening → Tissue diagnosis",
    )
    assert said[0][0] == first and "BI-RADS 4C → 2" in said[0][1]
    assert amendments.conclusion(amendments.counting(original)) == "4A"
    # What the first changed stays told as it was then.
    assert amendments.conclusion(amendments.before(first)) == "4C"


def test_a_diagnosis_is_amended_with_its_words(site: Site) -> None:
    pathologist, study = make.actor(Role.PATHOLOGIST, site), make.study(site, "SM")
    original = signed_report(pathologist, study, COMPLETE_SM)
    changed = {
        "kind": "addendum",
        "reason": "Recut.",
        "text": "Deeper levels.",
        "diagnosis": "not_diagnostic",
    }
    assert "diagnosis_text" in refused_fields(pathologist, study, changed)
    signed_addendum(
        pathologist, study, changed | {"diagnosis": "", "diagnosis_text": "Invasive, NST, grade 2."}
    )
    assert parse(original.content).diagnosis_text != amendments.counting(original).diagnosis_text  # type: ignore[attr-defined]
    assert refused_fields(pathologist, study, changed | {"assessment": "2"}) == [
        "assessment",
        "diagnosis_text",
    ]


def test_the_case_shows_the_newest_first_and_marks_the_original(
    reader: Actor, study: Study, original: Report, client: Client
) -> None:
    client.force_login(reader.user)
    url = f"/reports/study/{study.study_instance_uid}/editor"
    assert "Superseded in part" not in client.get(url).content.decode()
    opened = services.open_addendum(reader, study)
    form = client.get(url).content.decode()
    assert "Now: 4C – high suspicion for malignancy" in form and "Now: Tissue diagnosis" in form
    services.discard_draft(reader, opened.pk)
    addendum = signed_addendum(reader, study, BENIGN)
    page = client.get(url).content.decode()
    assert page.index(f'id="signed-{addendum.pk}"') < page.index(f'id="signed-{original.pk}"')
    banner = page[page.index("signed__amended") : page.index(f'id="signed-{original.pk}"')]
    assert f"by {reader.user.printed_name}: Left breast: 4C → 2; BI-RADS 4C → 2" in banner
    assert f'href="#signed-{addendum.pk}"' in banner
    assert "<del>Spiculated mass</del><ins>Fibroadenoma</ins>" in page
    assert page.count("Superseded in part") == 1


def test_a_corrected_patient_is_told_on_the_signed_report(
    reader: Actor, study: Study, original: Report, client: Client
) -> None:
    assert study.patient is not None
    study.patient.name = "Okonkwo^Amara"
    study.patient.save()
    client.force_login(reader.user)
    page = client.get(f"/reports/study/{study.study_instance_uid}/editor").content.decode()
    assert "corrected after signing: Patient: Okafor, Amara → Okonkwo, Amara" in page


def test_the_api_says_what_counts_now(reader: Actor, study: Study, original: Report) -> None:
    system = make.user(Role.INTEGRATOR, study.site)
    _, token = tokens.issue(Actor.system("test"), system, name="PACS", scopes=("studies:read",))

    def answer() -> Any:
        url = f"/api/v1/studies/{study.study_instance_uid}"
        return Client().get(url, HTTP_AUTHORIZATION=f"Bearer {token}").json()

    assert (answer()["report"]["category"], answer()["report"]["amended_by"]) == ("4C", [])
    addendum = signed_addendum(reader, study, BENIGN)
    said = answer()
    assert said["report"]["category"] == said["report"]["content"]["assessment"] == "2"
    assert said["report"]["amended_by"] == [str(addendum.pk)] and said["report"]["amended_at"]
    first, second = said["reports"]
    assert first["content"]["assessment"] == "4C"
    (amendment,) = first["amendments"]
    assert (amendment["addendum"], amendment["reason"]) == (str(addendum.pk), "The biopsy was benign.")
    assert {"field": "assessment", "before": "4C", "after": "2"} in amendment["changes"]
    assert second["amendments"] == []


def test_in_chinese_characters_are_told_apart(reader: Actor, study: Study, original: Report) -> None:
    with translation.override("zh-hans"):
        addendum = signed_addendum(reader, study, BENIGN)
        (told,) = amendments.amendments_of(original)
        assert told.words.startswith("左乳：4C → 2；BI-RADS 4C → 2") and "reworded" not in told.words
        assert "Before" not in str(document_of(addendum, addendum.signature)["sections"])
    assert amendments.told_apart("左乳肿块", "右乳肿块") == (
        ("removed", "左"),
        ("added", "右"),
        ("same", "乳肿块"),
    )


@given(st.text(max_size=80), st.text(max_size=80))
def test_both_texts_can_be_read_out_of_what_is_told_apart(old: str, new: str) -> None:
    parts = amendments.told_apart(old, new)
    assert "".join(words for kind, words in parts if kind != "added") == old
    assert "".join(words for kind, words in parts if kind != "removed") == new


def test_two_long_texts_are_told_apart_in_time() -> None:
    old = "\n".join(f"line {number} of a text" for number in range(1200))
    parts = amendments.told_apart(old, old.replace("line 600 ", "row 600 "))
    assert ("added", "row 600 of a text\n") in parts


def test_the_worklist_shows_the_category_that_counts(
    reader: Actor, study: Study, original: Report, client: Client
) -> None:
    client.force_login(reader.user)

    def row() -> str:
        page = client.get("/worklist/?state=all").content.decode()
        return page[page.index(study.accession_number) :]

    assert "BI-RADS 4C" in row() and "Amended" not in row()
    signed_addendum(reader, study, BENIGN)
    assert "BI-RADS 2" in row() and "Amended" in row()
    # One that changes nothing leaves the category.
    signed_addendum(reader, study, {"kind": "addendum", "reason": "Late priors.", "text": "Seen in 2024."})
    assert "BI-RADS 2" in row()
