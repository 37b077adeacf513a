"""A reader study of what readers signed: which readings are cases, why others are none, page and API."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role, Site, User
from cad_platform.analysis.models import AnalysisJob, KnownTruth
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid, NotPermitted
from cad_platform.quality import reader_studies, signed_readings
from cad_platform.quality.facts import fact_of
from cad_platform.quality.models import AnalysisFact, ReaderStudy
from cad_platform.quality.picking import Choice
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting.models import Report, Signature
from cad_platform.studies.models import Study
from inference.challenges import mrmc_report, reader_scores
from inference.evaluation.table import rows_of
from tests import factories
from tests.reporting.test_content import COMPLETE_MG
from tests.reporting.test_services import signed_report

pytestmark = pytest.mark.django_db

Reading = tuple[str, float, bool]
#: BI-RADS, score, truth: five with the disease and five without; the second reader is surer than the first.
FIRST: Sequence[Reading] = [
    ("5", 0.9, True), ("4C", 0.8, True), ("4A", 0.7, True), ("3", 0.6, True), ("2", 0.3, True),
    ("1", 0.1, False), ("2", 0.2, False), ("2", 0.4, False), ("3", 0.35, False), ("4A", 0.5, False),
]  # fmt: skip
SECOND: Sequence[Reading] = [
    ("5", 0.8, True), ("5", 0.9, True), ("4C", 0.4, True), ("4B", 0.6, True), ("4A", 0.5, True),
    ("1", 0.3, False), ("1", 0.1, False), ("2", 0.2, False), ("3", 0.55, False), ("2", 0.45, False),
]  # fmt: skip


@pytest.fixture
def version() -> ModelVersion:
    return factories.model_version("ultrasound", "US", "3.0.0")


@pytest.fixture
def site() -> Site:
    return factories.site()


@pytest.fixture
def administrator() -> Actor:
    return factories.actor(Role.ADMINISTRATOR)


def read(
    reader: User, site: Site, version: ModelVersion, reading: Reading, *, in_view: bool = True, **fields: Any
) -> Study:
    """A study that was analysed, signed and is known by a table: rows as signing leaves them, without its PDF."""
    category, score, is_positive = reading
    study = factories.study(site, "US", **fields)
    job = analysed(study, version, score)
    KnownTruth.objects.create(study=study, positive=is_positive, source="table")
    sign(reader, study, category, [job] if in_view else [])
    return study


def analysed(study: Study, version: ModelVersion, score: float) -> AnalysisJob:
    job = factories.succeeded_job(study, score, by=version)
    AnalysisFact.objects.create(
        job=job, study=study, site=study.site, model_version=version, modality="US", ended_at=timezone.now(),
        state="succeeded", score=score,
    )  # fmt: skip
    return job


def sign(reader: User, study: Study, category: str, jobs: Sequence[AnalysisJob]) -> None:
    report = Report.objects.create(
        study=study, state=Report.State.SIGNED, created_by=reader, content_hash="ab" * 32,
        content={"kind": "imaging", "assessment": category},
        ai_summary={"jobs": [{"id": str(job.pk), "has_verdict": True} for job in jobs]},
    )  # fmt: skip
    Signature.objects.create(
        report=report, signer=reader, printed_name="N", role=reader.role, meaning="m", content_hash="ab" * 32
    )


def practice(site: Site, version: ModelVersion) -> list[User]:
    """Two readers, each with ten cases of their own."""
    found = [factories.user(Role.RADIOLOGIST, site) for _ in range(2)]
    for reader, readings in zip(found, (FIRST, SECOND), strict=True):
        for reading in readings:
            read(reader, site, version, reading)
    return found


@pytest.fixture
def readers(site: Site, version: ModelVersion) -> list[User]:
    return practice(site, version)


def test_the_table_has_each_readers_own_cases_beside_the_scores(
    administrator: Actor, site: Site, version: ModelVersion, readers: list[User]
) -> None:
    made = reader_studies.analyse_signed(administrator, "Practice", version, site, Choice(), "shown")
    rows = list(csv.DictReader(io.StringIO(made.table)))
    assert (made.readings, len(rows), {row["modality"] for row in rows}) == (
        40,
        40,
        {"BI-RADS", "ultrasound 3.0.0"},
    )
    steps = ("1", "2", "3", "4A", "4B", "4C", "5")
    for reader, readings in zip("12", (FIRST, SECOND), strict=True):
        own = [row for row in rows if row["reader"] == reader]
        told = [(row["modality"], row["truth"], float(row["score"])) for row in own]
        assert sorted(told) == sorted(
            line
            for category, score, truth in readings
            for line in (
                ("BI-RADS", str(int(truth)), float(steps.index(category) + 1)),
                ("ultrasound 3.0.0", str(int(truth)), score),
            )
        )
    said = f"{made.table} {made.text} {made.report} {made.source}"
    for study in Study.objects.all():
        assert study.study_instance_uid not in said and study.accession_number not in said
    assert not any(reader.printed_name in said for reader in readers)
    # The laboratory's command says the same of the table that is taken along.
    again = mrmc_report.report_of(reader_scores.nested_study_of(rows_of(made.table, *reader_scores.COLUMNS)))
    assert again.as_json()["tests"] == made.report["tests"]
    event = AuditEvent.objects.get(action="reader_study.make")
    assert event.site_id == site.pk and event.detail["version"] == "3.0.0"


def test_what_is_no_case_is_left_out_and_counted(
    administrator: Actor, site: Site, version: ModelVersion, readers: list[User]
) -> None:
    first, third = readers[0], factories.user(Role.RADIOLOGIST, site)
    taken = Study.objects.filter(site=site).order_by("received_at").first()
    assert taken is not None
    read(first, site, version, ("0", 0.4, False))
    read(first, site, version, ("6", 0.9, True))
    read(first, site, version, ("2", 0.1, False), patient=taken.patient)
    read(first, site, version, ("2", 0.1, False), in_view=False)
    read(third, site, version, ("5", 0.9, True))
    unsigned, unscored, known_before, unknown = (factories.study(site, "US") for _ in range(4))
    for study in (unsigned, unscored, known_before):
        KnownTruth.objects.create(study=study, positive=True, source="table")
    sign(first, unscored, "4B", [])
    specimen = factories.study(site, "SM", patient=known_before.patient, study_date=known_before.study_date)
    pathologist = factories.user(Role.PATHOLOGIST, site)
    sign(pathologist, specimen, "2", [])
    sign(first, known_before, "5", [analysed(known_before, version, 0.9)])
    sign(first, unknown, "2", [analysed(unknown, version, 0.1)])
    made = reader_studies.analyse_signed(administrator, "Practice", version, site, Choice(), "shown")
    assert made.source is not None and made.readings == 40
    assert made.source["left_out"] == {
        "unsigned": 1, "open": 1, "knew": 2, "in_view": 1, "no_score": 1, "again": 1, "few": 1,
    }  # fmt: skip
    assert (made.source["known"], made.source["signed"]) == (28, 28)
    assert made.source["by_source"] == {"table": 20}


def test_what_readers_had_in_view_is_never_mixed(
    administrator: Actor, site: Site, version: ModelVersion, readers: list[User]
) -> None:
    with pytest.raises(Invalid) as refusal:
        reader_studies.analyse_signed(administrator, "Practice", version, site, Choice(), "none")
    reasons = [error.reason for error in refusal.value.errors]
    assert "Readers: 0; known studies that fit: 20." in reasons[0]
    assert reasons[1] == "Signed with another answer in view than was asked for: 20"
    for reader, readings in zip(readers, (FIRST, SECOND), strict=True):
        for reading in readings:
            read(reader, site, version, reading, in_view=False)
    for answer in ("shown", "none"):
        made = reader_studies.analyse_signed(administrator, "Practice", version, site, Choice(), answer)
        assert made.source is not None
        assert (made.readings, made.source["left_out"]) == (40, {"in_view": 20})


def test_one_reader_or_one_kind_of_case_is_no_study(
    administrator: Actor, site: Site, version: ModelVersion
) -> None:
    def refused(of: Site = site, by: ModelVersion = version, choice: Choice = Choice()) -> list[str]:  # noqa: B008
        with pytest.raises(Invalid) as refusal:
            reader_studies.analyse_signed(administrator, "Practice", by, of, choice, "shown")
        return [error.reason for error in refusal.value.errors]

    assert "Readers: 0; known studies that fit: 0." in refused()[0]
    one, other = (factories.user(Role.RADIOLOGIST, site) for _ in range(2))
    for reading in FIRST:
        read(one, site, version, reading)
    assert "Readers: 1; known studies that fit: 10." in refused()[0]
    for reading in [each for each in SECOND if not each[2]]:  # none with the disease
        read(other, site, version, reading)
    assert refused()[1] == "Signed by a reader with fewer than 5 cases with the disease, or without: 5"
    assert "known studies that fit: 0." in refused(choice=Choice(since="2099-01-01"))[0]
    assert "known studies that fit: 0." in refused(of=factories.site())[0]
    slides = factories.model_version("histopathology", "SM")
    assert "no BI-RADS category" in refused(by=slides)[0]
    assert slides not in reader_studies.versions(administrator)
    assert not ReaderStudy.objects.exists()


def test_a_report_that_was_really_signed_counts_as_its_signer_signed_it(
    administrator: Actor, site: Site, version: ModelVersion, readers: list[User]
) -> None:
    study = factories.study(site, "US")
    job = factories.succeeded_job(study, 0.66, by=version)
    KnownTruth.objects.create(study=study, positive=True, source="table")
    content = {name: value for name, value in COMPLETE_MG.items() if name != "density"}
    signed_report(Actor.of_user(readers[0]), study, content)
    fact = fact_of(job.pk)
    assert fact is not None
    fact.save()
    found = signed_readings.readings(version, site, Choice(), "shown")
    rows = list(csv.DictReader(io.StringIO(found.table)))
    assert sum(row["reader"] == "1" for row in rows) == 22 and found.source["left_out"] == {}
    case = next(row["case"] for row in rows if row["score"] == str(fact.score))
    assert {row["score"] for row in rows if row["case"] == case} == {"5", str(fact.score)}


def posted(client: Client, version: ModelVersion, site: Site, language: str = "en", **more: str) -> Any:
    body = {"name": "Practice", "version": version.pk, "site": site.pk, "answer": "shown"} | more
    return client.post(
        reverse("reader-study-signed"), body, headers={"accept-language": language}, follow=True
    )


def test_the_page_says_what_was_compared_and_what_it_cannot_tell(
    client: Client, administrator: Actor, site: Site, version: ModelVersion, readers: list[User]
) -> None:
    assert administrator.user is not None
    client.force_login(administrator.user)
    assert "cannot be told from reports" in client.get(reverse("reader-study-signed")).content.decode()
    refused = posted(client, version, site, answer="none")
    assert refused.status_code == 422 and "Readers: 0" in refused.content.decode()
    assert "阅片者：0" in posted(client, version, site, "zh-hans", answer="none").content.decode()
    page = posted(client, version, site).content.decode()
    assert "BI-RADS and ultrasound 3.0.0 are not told apart" in page and "verification bias" in page
    assert (
        "each reader has cases of their own" in page
        and "ROC curves of Reader 2" in page
        and page.count("<polyline") == 4
    )
    made = ReaderStudy.objects.get()
    taken = client.get(reverse("reader-study-report", args=[made.pk, "csv"]))
    assert taken.content.decode() == made.table and "attachment" in taken["Content-Disposition"]
    chinese = client.get(reverse("reader-study", args=[made.pk]), headers={"accept-language": "zh-hans"})
    assert "由已签署的报告得出" in chinese.content.decode()
    assert "--nested" in client.get(reverse("reader-study-report", args=[made.pk, "md"])).content.decode()


def test_the_api_makes_the_same_study(
    client: Client, administrator: Actor, site: Site, version: ModelVersion, readers: list[User]
) -> None:
    assert administrator.user is not None
    client.force_login(administrator.user)
    address = "/api/v1/reader-studies/signed-reports"
    asked = {
        "name": "Practice", "model": "ultrasound", "version": "3.0.0", "site": site.code, "answer": "shown",
        "source": "table",
    }  # fmt: skip

    def post(**other: str) -> Any:
        return client.post(address, asked | other, content_type="application/json")

    told = post().json()
    assert told["study"]["made_of"]["by_source"] == {"table": 20} and told["table"].startswith(
        "reader,modality"
    )
    assert client.get(f"/api/v1/reader-studies/{told['study']['id']}").json() == told
    for wrong, status in (
        ({"source": "pathology"}, 422), ({"site": "nowhere"}, 422), ({"version": "0.0.1"}, 404),
        ({"since": "yesterday"}, 400), ({"answer": "both"}, 422),
    ):  # fmt: skip
        assert post(**wrong).status_code == status, wrong
    for role in set(Role.values) - {Role.ADMINISTRATOR}:
        client.force_login(factories.user(role, site))
        assert post(site="nowhere").status_code == 403
        assert client.get(reverse("reader-study-signed")).status_code == 403
        with pytest.raises(NotPermitted):
            reader_studies.analyse_signed(factories.actor(role, site), "x", version, site, Choice(), "shown")


@pytest.mark.long
def test_three_thousand_known_studies_are_analysed_while_a_request_waits(
    administrator: Actor, site: Site, version: ModelVersion
) -> None:
    """What docs/administrators.md says of the time: `-s` shows it."""
    readers = [factories.user(Role.RADIOLOGIST, site) for _ in range(6)]
    for number in range(3000):
        read(readers[number % 6], site, version, (*FIRST, *SECOND)[number % 20])
    began = time.process_time()
    made = reader_studies.analyse_signed(administrator, "Practice", version, site, Choice(), "shown")
    spent = time.process_time() - began
    print(f"{made.readings} readings of 3,000 known studies: {spent:.1f} s of processor beside the database")
    assert made.readings == 6000 and spent < 6
