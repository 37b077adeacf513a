"""The PDF of a report that was amended says so on each page as it is fetched; what was signed stays as it was."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdf
import pytest
from django.test import Client
from django.utils import translation

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Site
from cad_platform.core.actor import Actor
from cad_platform.reporting import services
from cad_platform.reporting.models import Report
from cad_platform.reporting.record import content_hash
from cad_platform.reporting.stamping import with_notice
from cad_platform.reporting.typesetting import typeset
from cad_platform.studies import storage
from cad_platform.studies.models import Study
from tests import factories as make
from tests.reporting.test_amendments import BENIGN, SUSPICIOUS, signed_addendum
from tests.reporting.test_printed_pages import LONG
from tests.reporting.test_services import pdf_of, signed_report

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make.site()


@pytest.fixture
def reader(site: Site) -> Actor:
    return make.actor(Role.RADIOLOGIST, site)


@pytest.fixture
def study(site: Site) -> Study:
    return make.study(site, patient=make.patient(site, name="Wang^Xiaodong=王^小东"))


@pytest.fixture
def original(reader: Actor, study: Study) -> Report:
    return signed_report(reader, study, SUSPICIOUS | {"comparison": LONG})


def fetched(reader: Actor, report: Report, **how: Any) -> bytes:
    with services.open_pdf(reader, report.pk, **how).handle as handle:
        return handle.read()


def signed_bytes(report: Report) -> bytes:
    assert report.pdf is not None
    with storage.open(report.pdf.sha256) as path:
        return path.read_bytes()


def text(page: pypdf.PageObject) -> str:
    return "".join(page.extract_text().split())


def test_each_page_of_an_amended_report_says_so_and_what_was_signed_stays(
    reader: Actor, study: Study, original: Report
) -> None:
    before = signed_bytes(original)
    assert fetched(reader, original) == before, "nothing was added: nothing is said"
    addendum = signed_addendum(reader, study, BENIGN)
    copy = fetched(reader, original)
    if folder := os.environ.get("LOOK_AT"):
        Path(folder, "stamped.pdf").write_bytes(copy)
    pages = pypdf.PdfReader(BytesIO(copy)).pages
    signed = pypdf.PdfReader(BytesIO(before)).pages
    assert len(pages) == len(signed) > 1
    name = "".join(reader.user.printed_name.split())
    for page, as_signed in zip(pages, signed, strict=True):
        said = text(page)
        assert f"by{name}:Leftbreast:4C→2;BI-RADS4C→2;" in said and "Amendedon20" in said
        assert f"Readtheaddendum(contenthash{addendum.content_hash[:12]}…)." in said
        assert text(as_signed) in said, "the page itself is whole"
    assert fetched(reader, original, as_signed=True) == before == signed_bytes(original)
    assert fetched(reader, addendum) == signed_bytes(addendum), "the addendum itself was not amended"


def test_the_copy_is_still_the_signed_record(reader: Actor, study: Study, original: Report) -> None:
    signed_addendum(reader, study, BENIGN)
    copy = pypdf.PdfReader(BytesIO(fetched(reader, original)))
    assert content_hash(copy.attachments["record.json"][0]) == original.content_hash
    assert original.content_hash in "".join(text(page) for page in copy.pages)
    signed = pdf_of(original)
    assert copy.xmp_metadata is not None and copy.xmp_metadata.pdfaid_part == "3"
    for key in ("/StructTreeRoot", "/MarkInfo", "/OutputIntents", "/Metadata", "/AF"):
        assert key in signed.root_object and key in copy.root_object, key
    for page in copy.pages:
        assert b"/Artifact" in page.get_contents().get_data()  # type: ignore[union-attr]
        assert page["/StructParents"] is not None


def test_a_second_addendum_makes_another_copy(reader: Actor, study: Study, original: Report) -> None:
    signed_addendum(reader, study, BENIGN)
    once = services.open_pdf(reader, original.pk)
    again = services.open_pdf(reader, original.pk)
    assert once.tag == again.tag
    signed_addendum(reader, study, {"kind": "addendum", "reason": "More.", "text": "More was seen."})
    more = services.open_pdf(reader, original.pk)
    assert more.tag != once.tag
    said = text(pypdf.PdfReader(more.handle).pages[0])
    assert said.index("somethingwasadded") < said.index("BI-RADS4C→2"), "the newest first"
    for opened in (once, again, more):
        opened.handle.close()


def test_a_corrected_patient_is_said_on_each_page(reader: Actor, study: Study, original: Report) -> None:
    assert study.patient is not None
    study.patient.birth_date = datetime(1962, 4, 2, tzinfo=UTC).date()
    study.patient.save()
    for page in pypdf.PdfReader(BytesIO(fetched(reader, original))).pages:
        assert "correctedaftersigning:Dateofbirth:1961-04-02→1962-04-02" in text(page)


def test_the_notice_speaks_the_language_of_the_report(reader: Actor, study: Study) -> None:
    with translation.override("zh-hans"):
        original = signed_report(reader, study, SUSPICIOUS)
    signed_addendum(reader, study, BENIGN)
    page = pypdf.PdfReader(BytesIO(fetched(reader, original))).pages[0]
    assert "BI-RADS4C→2" in text(page) and "Amended" not in text(page)


def test_many_amendments_stay_in_the_free_strip(study: Study, original: Report) -> None:
    """However much there is to say, the signed page is not covered."""
    document = {
        "lang": "en",
        "region": "GB",
        "notices": ["Amended on 2026-11-29 by Ruth Adeyemi: BI-RADS 4C → 2 and much more than that."] * 30,
        "short": ["This report was amended."],
    }
    made = typeset(document, created=original.signature.signed_at, template="stamp.typ")
    assert text(pypdf.PdfReader(BytesIO(made)).pages[0]) == "Thisreportwasamended."
    assert len(pypdf.PdfReader(BytesIO(made)).pages) == 1
    copy = with_notice(pdf_of(original), made)
    assert len(pypdf.PdfReader(BytesIO(copy)).pages) == len(pdf_of(original).pages)


def test_a_hospital_system_fetches_either(reader: Actor, study: Study, original: Report) -> None:
    system = make.user(Role.INTEGRATOR, study.site)
    _, token = tokens.issue(Actor.system("test"), system, name="PACS", scopes=("studies:read",))
    headers = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    address = f"/api/v1/reports/{original.pk}/pdf"
    first = Client().get(address, **headers)
    assert first["Cache-Control"] == "private, no-cache"
    signed_addendum(reader, study, BENIGN)
    conditional = Client().get(address, HTTP_IF_NONE_MATCH=first["ETag"], **headers)
    assert conditional.status_code == 200 and conditional["ETag"] != first["ETag"]
    as_signed = Client().get(address + "?as=signed", **headers)
    assert b"".join(as_signed.streaming_content) == signed_bytes(original)
    assert as_signed["ETag"] == first["ETag"]
    stranger = make.user(Role.INTEGRATOR)
    _, other = tokens.issue(Actor.system("test"), stranger, name="PACS", scopes=("studies:read",))
    assert Client().get(address, HTTP_AUTHORIZATION=f"Bearer {other}").status_code == 404
