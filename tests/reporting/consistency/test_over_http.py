"""Each contradiction that the review names, as the page meets it: the readiness tells it with two places, the signature
is refused, and nothing is signed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.reporting import services
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Instance, Study, StudyCorrection
from cad_platform.studies.opening import open_image
from tests import factories as make
from tests.reporting.sign_dialog import readiness, sign
from tests.reporting.test_amendments import BENIGN, SUSPICIOUS
from tests.reporting.test_content import COMPLETE_MG, COMPLETE_SM
from tests.reporting.test_pages import save, signed_in, started
from tests.reporting.test_services import signed_report

pytestmark = pytest.mark.django_db

RIGHT_4C = COMPLETE_MG | {"right": "4C", "left": "1", "assessment": "4C"}
CALM = COMPLETE_MG | {"left": "1", "assessment": "2", "recommendation": "routine", "impression": "Benign."}


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def study(reader: Actor) -> Study:
    made = make.study(reader.user.site)
    for side in ("L", "R"):
        make.instance(made, side, "CC")
    return made


@pytest.fixture
def browser(reader: Actor) -> Client:
    return signed_in(reader.user)


def written(browser: Client, study: Study, content: dict[str, Any]) -> Report:
    draft = started(browser, study)
    save(browser, draft, 0, **{name: value for name, value in content.items() if value is not None})
    draft.refresh_from_db()
    return draft


def told(browser: Client, draft: Report, severity: str = "stop", **asked: str) -> dict[str, dict[str, Any]]:
    """What the readiness says of this severity, by the rule's id."""
    found = [
        each for each in readiness(browser, draft, **asked)["contradictions"] if each["severity"] == severity
    ]
    assert all(len(each["places"]) >= 2 and each["sentence"] for each in found)
    return {each["rule"]: each for each in found}


def refused(browser: Client, draft: Report, rule: str, **fields: str) -> None:
    """The rule is told, and keeps the report from being signed."""
    assert rule in told(browser, draft, **fields)
    answer = sign(browser, draft, **fields)
    assert answer.status_code == 409
    assert answer.json()["type"].rsplit(":", 1)[1] in ("contradiction", "side_unconfirmed")
    assert answer.json()["errors"]
    draft.refresh_from_db()
    assert draft.state == Report.State.DRAFT


def accepted_masses(study: Study, reader: Actor, side: str) -> None:
    job = make.succeeded_job(study)
    image = study.series.get(instances__laterality=side).instances.get()
    for box in ([100, 200, 220, 290], [500, 600, 640, 720]):
        make.decision(make.finding(image, job, box=box), reader.user)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (
            RIGHT_4C | {"impression": "Mass right breast. Biopsy of the LEFT breast."},
            "action_against_category_of_breast",
        ),
        (RIGHT_4C | {"impression": "右乳肿块。建议左乳活检。"}, "action_against_category_of_breast"),
        (
            RIGHT_4C | {"impression": "Suspicious mass of the left breast."},
            "suspicion_against_category_of_breast",
        ),
        (
            RIGHT_4C | {"impression": "The right breast is unremarkable."},
            "all_clear_against_category_of_breast",
        ),
        (RIGHT_4C | {"impression": "No evidence of malignancy."}, "all_clear_against_category"),
        (RIGHT_4C | {"impression": "Benign."}, "benign_against_category"),
        (CALM | {"impression": "Suspicious mass, biopsy."}, "action_against_category"),
        (RIGHT_4C | {"recommendation": "routine"}, "recommendation_does_not_fit"),
        (RIGHT_4C | {"impression": "Mass. Routine screening."}, "routine_against_recommendation"),
        (RIGHT_4C | {"assessment": "2", "recommendation": "routine"}, "exam_below_breast"),
        (RIGHT_4C | {"left": ""}, "breast_without_category"),
        (RIGHT_4C | {"impression": "Mass, BI-RADS 2."}, "written_category_differs"),
        (RIGHT_4C | {"impression": "Extremely dense. Suspicious mass right."}, "written_density_differs"),
    ],
)
def test_a_mammogram_is_not_signed_against_itself(
    content: dict[str, Any], rule: str, browser: Client, study: Study
) -> None:
    refused(browser, written(browser, study, content), rule)


def test_accepted_masses_are_not_signed_under_category_1(
    browser: Client, study: Study, reader: Actor
) -> None:
    accepted_masses(study, reader, "L")
    refused(browser, written(browser, study, RIGHT_4C), "mark_in_negative_breast")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"diagnosis_text": "Benign fibroadenoma, no malignancy."}, "malignant_code_benign_words"),
        ({"diagnosis_text": "良性纤维腺瘤，未见恶性。"}, "malignant_code_benign_words"),
        ({"margins": "negative", "closest_margin_mm": 0}, "margins_against_distance"),
        ({"diagnosis_text": "Invasive carcinoma NST, grade 3."}, "written_grade_differs"),
        ({"diagnosis_text": "Invasive carcinoma NST, HER2 3+."}, "written_receptor_differs"),
        ({"diagnosis_text": "Invasive carcinoma NST of the right breast."}, "specimen_names_other_breast"),
        ({"tumour_size_mm": 12, "diagnosis_text": "Invasive carcinoma NST, 23 mm."}, "written_size_differs"),
        ({"er_percent": 0}, "percentage_against_receptor"),
        ({"diagnosis": "benign"}, "benign_code_malignant_words"),
    ],
)
def test_a_specimen_is_not_signed_against_itself(change: dict[str, Any], rule: str) -> None:
    pathologist = make.actor(Role.PATHOLOGIST, make.site())
    browser = signed_in(pathologist.user)
    draft = written(browser, make.study(pathologist.user.site, "SM"), COMPLETE_SM | change)
    refused(browser, draft, rule)


# --- what came after the report was looked at ----------------------------------------------------------------


def test_an_image_that_arrived_after_the_draft_stops_until_it_is_looked_at(
    browser: Client, study: Study
) -> None:
    draft = written(browser, study, COMPLETE_MG)
    assert told(browser, draft) == {}
    make.instance(study, "L", "MLO")
    refused(browser, draft, "images_arrived")
    looked_at = (timezone.now() + timedelta(seconds=1)).isoformat()
    assert told(browser, draft, looked_at=looked_at) == {}


def test_a_result_that_arrived_after_the_draft_stops(browser: Client, study: Study) -> None:
    draft = written(browser, study, COMPLETE_MG)
    make.succeeded_job(study)
    refused(browser, draft, "results_arrived")


def test_a_correction_after_the_draft_stops(browser: Client, study: Study, reader: Actor) -> None:
    draft = written(browser, study, COMPLETE_MG)
    StudyCorrection.objects.create(
        study=study, by=reader.user, kind="corrected", version=2, reason="Wrong accession number", changes=[]
    )
    refused(browser, draft, "case_corrected")


def test_an_image_kept_aside_that_nobody_opened_is_told(browser: Client, study: Study, reader: Actor) -> None:
    aside = make.instance(study, "R", "CC", presentation_intent="FOR PROCESSING")
    draft = written(browser, study, COMPLETE_MG)
    assert "images_not_seen" in told(browser, draft, "warning")
    record(
        Actor.system("worker"),
        "image.view",
        object_type="instance",
        object_id=aside.pk,
        site_id=study.site_id,
    )
    assert "images_not_seen" in told(browser, draft, "warning"), "a program has no eyes"
    open_image(reader, aside.pk)
    assert "images_not_seen" not in told(browser, draft, "warning")


# --- what is still open, and what was measured ----------------------------------------------------------------


def with_line(browser: Client, study: Study, mark: Finding, words: str) -> Report:
    return written(browser, study, COMPLETE_MG | {"line_finding": [str(mark.pk)], "line_text": [words]})


def accepted_mass(study: Study, reader: Actor) -> Finding:
    """Of 12 x 9 mm, in the left breast."""
    image = study.series.get(instances__laterality="L").instances.get()
    mark = make.finding(image, make.succeeded_job(study), box=[100, 200, 220, 290])
    make.decision(mark, reader.user)
    return mark


@pytest.mark.parametrize(
    "words", ["Irregular mass of 42 mm.", "Irregular mass of 4.2 cm.", "不规则肿块，最大径约42 mm。"]
)
def test_a_size_that_the_mark_cannot_have_is_not_signed(
    words: str, browser: Client, study: Study, reader: Actor
) -> None:
    draft = with_line(browser, study, accepted_mass(study, reader), words)
    refused(browser, draft, "written_size_exceeds_mark")
    (place, other) = told(browser, draft)["written_size_exceeds_mark"]["places"][:2]
    assert place != other


def test_a_size_far_below_the_mark_is_told_and_one_that_fits_is_not(
    browser: Client, study: Study, reader: Actor
) -> None:
    mark = accepted_mass(study, reader)
    draft = with_line(browser, study, mark, "Irregular mass of 2.5 mm.")
    assert "written_size_below_mark" in told(browser, draft, "warning")
    line = {"line_finding": [str(mark.pk)], "line_text": ["Irregular mass of 11 mm."]}
    save(browser, draft, draft.revision, **line)
    draft.refresh_from_db()
    assert told(browser, draft) == {} and "written_size_below_mark" not in told(browser, draft, "warning")
    assert sign(browser, draft).status_code == 200


def test_marks_that_nobody_decided_are_told_and_signed_as_undecided(
    browser: Client, study: Study, reader: Actor
) -> None:
    image = study.series.get(instances__laterality="L").instances.get()
    job = make.succeeded_job(study)
    decided, open_mark = make.finding(image, job), make.finding(image, job, box=[500, 600, 640, 720])
    make.decision(decided, reader.user)
    draft = written(browser, study, COMPLETE_MG)
    warning = told(browser, draft, "warning")["marks_undecided"]
    assert str(open_mark.number) in warning["sentence"] and str(decided.number) not in warning["sentence"]
    assert sign(browser, draft).status_code == 200
    draft.refresh_from_db()
    kept = {each["id"]: each["decision"] for each in draft.ai_summary["findings"]}
    assert kept[str(open_mark.pk)] is None and kept[str(decided.pk)]["verdict"] == "accepted"


@pytest.mark.parametrize(
    ("state", "rule"), [("requested", "analysis_unfinished"), ("failed", "analysis_failed")]
)
def test_an_analysis_that_gave_nothing_is_told(state: str, rule: str, browser: Client, study: Study) -> None:
    job = make.succeeded_job(study)
    reason = "The file is damaged." if state == "failed" else ""
    AnalysisJob.objects.filter(pk=job.pk).update(
        state=state, reason=reason, result=None, score=None, finished_at=None
    )
    draft = written(browser, study, COMPLETE_MG)
    assert "Mammography" in told(browser, draft, "warning")[rule]["sentence"]
    assert sign(browser, draft).status_code == 200


def test_an_analysis_that_ends_while_the_dialog_is_open_stops(browser: Client, study: Study) -> None:
    job = make.succeeded_job(study)
    AnalysisJob.objects.filter(pk=job.pk).update(state="running", result=None, score=None, finished_at=None)
    draft = written(browser, study, COMPLETE_MG)
    shown = readiness(browser, draft)["digest"]
    AnalysisJob.objects.filter(pk=job.pk).update(
        state="succeeded", result=job.result, score=0.87, finished_at=timezone.now()
    )
    assert "results_arrived" in told(browser, draft)
    assert sign(browser, draft, shown=shown).status_code == 409


def test_a_side_that_is_not_confirmed_is_signed_under_no_reason_until_it_is(
    browser: Client, study: Study
) -> None:
    image = Instance.objects.get(series__study=study, laterality="R")
    claims = [{"source": "post", "side": "R"}, {"source": "ImageLaterality", "side": "L"}]
    Instance.objects.filter(pk=image.pk).update(facts={"side_claims": claims})
    draft = written(browser, study, COMPLETE_MG)
    refused(browser, draft, "side_unconfirmed")
    found = told(browser, draft)["side_unconfirmed"]
    assert not found["may_be_overridden"]
    reason = {f"reason_{found['key']}": "I am sure of it."}
    answer = sign(browser, draft, **reason)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:cad:problem:side_unconfirmed")
    settled = browser.post(
        reverse("image-side", args=[study.study_instance_uid, image.pk]), {"side": "R", "reason": "Marker."}
    )
    assert settled.status_code == 302
    looked_at = (timezone.now() + timedelta(seconds=1)).isoformat()
    assert told(browser, draft, looked_at=looked_at) == {}
    assert sign(browser, draft, looked_at=looked_at).status_code == 200


# --- addenda ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"recommendation": ""}, "recommendation_does_not_fit"),
        ({"assessment": ""}, "exam_below_breast"),
        (
            {"impression": "Suspicious mass of the left breast, biopsy."},
            "suspicion_against_category_of_breast",
        ),
        ({"text": "左乳建议活检。"}, "action_against_category_of_breast"),
        ({"text": "Now BI-RADS 4A."}, "written_category_differs"),
    ],
)
def test_an_addendum_is_not_signed_against_what_it_amends(
    change: dict[str, Any], rule: str, browser: Client, study: Study, reader: Actor
) -> None:
    signed_report(reader, study, SUSPICIOUS)
    draft = services.open_addendum(reader, study)
    save(browser, draft, 0, **(BENIGN | change))
    draft.refresh_from_db()
    refused(browser, draft, rule)


def test_an_addendum_that_changes_the_category_says_what_is_done_anew(
    browser: Client, study: Study, reader: Actor
) -> None:
    other = {"recommendation": "other", "recommendation_text": "Biopsy in the other hospital."}
    signed_report(reader, study, SUSPICIOUS | other)
    draft = services.open_addendum(reader, study)
    save(browser, draft, 0, **(BENIGN | {"recommendation": ""}))
    draft.refresh_from_db()
    refused(browser, draft, "category_changed_recommendation_not")


def test_an_addendum_asks_its_reason_and_tells_what_came_since(
    browser: Client, study: Study, reader: Actor
) -> None:
    signed_report(reader, study, SUSPICIOUS)
    draft = services.open_addendum(reader, study)
    save(browser, draft, 0, **(BENIGN | {"reason": ""}))
    draft.refresh_from_db()
    assert [error["field"] for error in readiness(browser, draft)["errors"]] == ["reason"]
    assert sign(browser, draft).status_code == 422
    make.instance(study, "L", "MLO")
    save(
        browser, draft, draft.revision, **BENIGN, looked_at=(timezone.now() - timedelta(hours=1)).isoformat()
    )
    draft.refresh_from_db()
    assert "images_arrived" in told(
        browser, draft, looked_at=(timezone.now() - timedelta(hours=1)).isoformat()
    )
