"""What every page of the PDF says, in whose time, and what is no finding of the report."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdf
import pytest
from django.utils import timezone, translation

from cad_platform.accounts import services as accounts
from cad_platform.accounts.models import Role, Site
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid
from cad_platform.reporting.document import document_of
from cad_platform.reporting.models import Report
from cad_platform.reporting.record import canonical_record, content_hash, hash_matches
from cad_platform.reporting.times import moment
from cad_platform.studies import storage
from tests import factories as make
from tests.reporting.test_content import COMPLETE_MG
from tests.reporting.test_services import pdf_of, signed_report

pytestmark = pytest.mark.django_db

#: More than a page.
LONG = "\n".join(f"{number}. The breast tissue is heterogeneously dense." for number in range(90))


@pytest.fixture
def site() -> Site:
    return make.site()


@pytest.fixture
def reader(site: Site) -> Actor:
    return make.actor(Role.RADIOLOGIST, site)


def squeezed(page: pypdf.PageObject) -> str:
    return "".join(page.extract_text().split())


def look(report: Report, name: str) -> None:
    """Put the PDF into the folder LOOK_AT, for a person to look at."""
    if folder := os.environ.get("LOOK_AT"):
        assert report.pdf is not None
        with storage.open(report.pdf.sha256) as path:
            Path(folder, f"{name}.pdf").write_bytes(path.read_bytes())


@pytest.mark.parametrize(
    "name",
    [
        "Okafor^Amara",
        "Wang^Xiaodong=王^小东",
        "=".join(["Santos-Dumont " * 5 + "^" + "Maria " * 8, "欧阳" * 6 + "^" + "小东" * 10]),
    ],
)
def test_every_page_names_patient_examination_and_its_number(name: str, site: Site, reader: Actor) -> None:
    patient = make.patient(site, name=name, issuer="CITY", patient_id="7654321")
    study = make.study(site, patient=patient, accession_number="ACC-77")
    report = signed_report(reader, study, COMPLETE_MG | {"impression": LONG, "density": "c"})
    look(report, f"pages-{len(name)}")
    pages = pdf_of(report).pages
    assert len(pages) > 1
    for number, page in enumerate(pages, start=1):
        text = squeezed(page)
        for part in name.replace("^", " ").replace("=", " ").split():
            assert part in text, (number, part)
        for words in ("7654321(ofCITY)", "1961-04-02", "ACC-77", f"Page{number}of{len(pages)}"):
            assert words in text, (number, words)


def test_the_pages_are_numbered_in_chinese(site: Site, reader: Actor) -> None:
    study = make.study(site, patient=make.patient(site, name="Wang^Xiaodong=王^小东"))
    with translation.override("zh-hans"):
        report = signed_report(reader, study, COMPLETE_MG | {"impression": LONG, "density": "c"})
        look(report, "chinese")
    pages = pdf_of(report).pages
    text = squeezed(pages[1])
    assert f"第2页，共{len(pages)}页" in text and "小东" in text and "Page" not in text


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), "2026-03-29 00:59:59 UTC+00:00"),
        (datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC), "2026-03-29 02:00:00 UTC+01:00"),
        # The hour that comes twice is told by its offset.
        (datetime(2026, 10, 25, 0, 30, 0, tzinfo=UTC), "2026-10-25 01:30:00 UTC+01:00"),
        (datetime(2026, 10, 25, 1, 30, 0, tzinfo=UTC), "2026-10-25 01:30:00 UTC+00:00"),
    ],
)
def test_times_are_local_with_their_offset(at: datetime, said: str) -> None:
    with timezone.override("Europe/London"):
        assert moment(at) == said


def test_a_report_is_in_the_time_of_its_site_and_stays_so(site: Site, reader: Actor) -> None:
    site.time_zone = "Asia/Shanghai"
    site.save()
    study = make.study(site)
    make.succeeded_job(study)
    report = signed_report(reader, study)
    said = document_of(report, report.signature)["signature"]
    assert said["at"].endswith("UTC+08:00") and said["zone"] == "Asia/Shanghai"
    text = "".join(squeezed(page) for page in pdf_of(report).pages)
    assert said["at"].replace(" ", "") in text and "UTC+00:00" not in text and text.count("UTC+08:00") == 2
    # The clocks of the department change; what was signed keeps the time that it was signed in.
    site.time_zone = "Europe/London"
    site.save()
    again = Report.objects.get(pk=report.pk)
    assert document_of(again, again.signature)["signature"] == said


def test_pages_show_the_time_of_the_site(site: Site, reader: Actor, client: Any) -> None:
    site.time_zone = "Asia/Kathmandu"
    site.save()
    study = make.study(site)
    report = signed_report(reader, study)
    client.force_login(reader.user)
    with timezone.override("Asia/Kathmandu"):
        local = moment(report.signature.signed_at)
    page = client.get(f"/reports/study/{study.study_instance_uid}/editor").content.decode()
    assert local in page and local.endswith("UTC+05:45")
    trail = client.get(f"/reports/study/{study.study_instance_uid}/trail").content.decode()
    assert local[:16] in trail


def test_an_administrator_chooses_a_sites_time_zone(site: Site) -> None:
    administrator = make.actor(Role.ADMINISTRATOR)
    words = {"name": site.name, "default_issuer": "", "default_character_set": ""}
    assert accounts.update_site(administrator, site.pk, **words, time_zone="Asia/Shanghai").time_zone
    assert accounts.update_site(administrator, site.pk, **words).time_zone == "Asia/Shanghai"
    with pytest.raises(Invalid) as refusal:
        accounts.update_site(administrator, site.pk, **words, time_zone="Mars/Olympus")
    assert [error.field for error in refusal.value.errors] == ["time_zone"]
    assert str(accounts.update_site(administrator, site.pk, **words, time_zone="").zone) == "UTC"


def test_marks_that_nobody_decided_are_no_findings(site: Site, reader: Actor) -> None:
    study = make.study(site)
    image, job = make.instance(study), make.succeeded_job(study)
    marks = [make.finding(image, job) for _ in range(19)]
    make.decision(marks[0], reader.user)
    make.decision(marks[1], reader.user, "edited", label="calcification", reason="wrong label")
    for mark in marks[2:5]:
        make.decision(mark, reader.user, "rejected", reason="skin fold")
    make.decision(marks[5], reader.user, "rejected", reason="vessel")
    own = make.finding(image, author=reader.user)
    report = signed_report(reader, study)
    look(report, "marks")
    document = document_of(report, report.signature)
    assert [row[0] for row in document["ai"]["rows"]] == ["1", "2", str(own.number)]
    text = "".join(squeezed(page) for page in pdf_of(report).pages)
    name = "".join(reader.user.printed_name.split())
    for words in (
        "13marksofthemodelswerenotdecidedonandarenofindingsofthisreport.",
        f"Rejectedby{name}:skinfold(marks3,4,5)",
        f"Rejectedby{name}:vessel(mark6)",
    ):
        assert words in text, words
    assert "Notdecided" not in text


@pytest.mark.long
def test_two_hundred_findings_fit_their_pages(site: Site, reader: Actor) -> None:
    study = make.study(site)
    image, job = make.instance(study), make.succeeded_job(study)
    for _ in range(200):
        make.decision(make.finding(image, job), reader.user)
    report = signed_report(reader, study)
    look(report, "many")
    pages = pdf_of(report).pages
    for number, page in enumerate(pages, start=1):
        assert f"Page{number}of{len(pages)}" in squeezed(page)
    assert all(f"{number}·LCC·" in "".join(squeezed(page) for page in pages) for number in (1, 100, 200))


def test_the_record_says_whose_report_it_is(site: Site, reader: Actor) -> None:
    study = make.study(site)
    report = signed_report(reader, study)
    assert report.particulars["patient"]["name"] == "Okafor^Amara"
    assert hash_matches(report, report.signature)
    report.particulars = report.particulars | {"patient": None}
    assert not hash_matches(report, report.signature)


def test_a_patient_that_is_corrected_later_changes_no_signed_page(site: Site, reader: Actor) -> None:
    study = make.study(site)
    report = signed_report(reader, study)
    before = document_of(report, report.signature)
    assert study.patient is not None
    study.patient.name = "Okonkwo^Amara"
    study.patient.save()
    again = Report.objects.get(pk=report.pk)
    assert document_of(again, again.signature) == before


def test_a_record_of_before_keeps_its_hash(site: Site, reader: Actor) -> None:
    """2.2.0 signed without particulars: the same bytes, the same hash."""
    study = make.study(site)
    report = Report(study=study, content={"kind": "imaging"}, ai_summary={"jobs": []})
    record = canonical_record(
        report,
        signer=reader.user,
        printed_name="A",
        role="radiologist",
        meaning="M",
        signed_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    assert record.decode() == (
        '{"ai_summary":{"jobs":[]},"amends":null,"content":{"kind":"imaging"},"kind":"report","meaning":"M",'
        f'"record":1,"report":"{report.pk}","signed_at":"2026-11-01T00:00:00.000000+00:00",'
        f'"signer":{{"id":{reader.user.pk},"printed_name":"A","role":"radiologist"}},"site":{site.pk},'
        f'"study_instance_uid":"{study.study_instance_uid}"}}'
    )
    assert len(content_hash(record)) == 64
