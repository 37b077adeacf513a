"""The copy of a signed PDF that is handed out once something was added to it: the signed pages, each with a notice in
the free strip on top. The signed file itself stays as it is and can be asked for.

Everything else of the signed file stays too: its tags, the attached record and the printed hash. The notice is marked
as an artifact, no part of the document's own text order (PDF/UA-1, 7.1).
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path

from django.utils import translation
from django.utils.translation import gettext as _
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
)

from cad_platform.reporting.models import Report
from cad_platform.reporting.notices import notices_of
from cad_platform.reporting.typesetting import typeset
from cad_platform.studies import storage
from cad_platform.studies.pixels import cache

#: Changed with the way a stamp looks, so that no cache holds what an older version made.
_STAMP = "v1"
_NAME = NameObject("/CadNotice")
_DRAW = b"Q\n/Artifact <</Type /Pagination /Subtype /Header>> BDC\nq /CadNotice Do Q\nEMC\n"


def stamped(report: Report) -> Path | None:
    """The PDF of a signed report as it is handed out now, in a cache, to be opened at once; None where nothing is to be
    said on it.

    Raises
    ------
    Unavailable
        The notice could not be made, or the storage does not answer.
    """
    assert report.pdf is not None
    with storage.open(report.pdf.sha256) as path:
        reader = PdfReader(BytesIO(path.read_bytes()))
    chinese = str(reader.root_object.get("/Lang", "")).lower().startswith("zh")
    with translation.override("zh-hans" if chinese else "en"):
        notices = notices_of(report)
        if not notices:
            return None
        document = {
            "lang": "zh" if chinese else "en",
            "region": "CN" if chinese else "GB",
            "notices": [" · ".join(filter(None, [notices[0], _read(report)])), *notices[1:]],
            "short": [_("This report was amended after it was signed.") + " " + _read(report)],
        }
    said = hashlib.sha256(repr([document, _STAMP]).encode()).hexdigest()[:32]

    def make(into: Path) -> None:
        notice = typeset(document, created=report.signature.signed_at, template="stamp.typ")
        into.write_bytes(with_notice(reader, notice))

    return cache().file(f"report-{report.pdf.sha256}-{said}.pdf", make)


def with_notice(reader: PdfReader, notice: bytes) -> bytes:
    """A PDF with the first page of another laid over each of its pages, as an artifact."""
    writer = PdfWriter(clone_from=reader)
    over = _form(writer, PdfReader(BytesIO(notice)).pages[0])
    before, after = DecodedStreamObject(), DecodedStreamObject()
    before.set_data(b"q\n")
    after.set_data(_DRAW)
    frame = writer._add_object(before), writer._add_object(after)
    for page in writer.pages:
        _lay_over(page, over, *frame)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def _form(writer: PdfWriter, page: PageObject) -> IndirectObject:
    """A page as a form that others draw."""
    contents = page.get_contents()
    form = DecodedStreamObject()
    form.set_data(contents.get_data() if contents is not None else b"")
    resources = page["/Resources"].get_object()
    assert isinstance(resources, DictionaryObject)
    form.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): ArrayObject(FloatObject(value) for value in page.mediabox),
            NameObject("/Resources"): resources.clone(writer),
        }
    )
    return writer._add_object(form.flate_encode())


def _lay_over(page: PageObject, form: IndirectObject, before: IndirectObject, after: IndirectObject) -> None:
    resources = page["/Resources"].get_object()
    assert isinstance(resources, DictionaryObject)
    forms = resources.get("/XObject", DictionaryObject()).get_object()
    # Pages may share their resources; each gets its own list of what it draws.
    own = DictionaryObject(resources)
    own[NameObject("/XObject")] = DictionaryObject({**forms, _NAME: form})
    page[NameObject("/Resources")] = own
    contents = page.get("/Contents")
    there = contents.get_object() if contents is not None else ArrayObject()
    parts = list(there) if isinstance(there, ArrayObject) else [page.raw_get("/Contents")]
    page[NameObject("/Contents")] = ArrayObject([before, *parts, after])


def _read(report: Report) -> str:
    newest = report.addenda.filter(state=Report.State.SIGNED).order_by("-signature__signed_at").first()
    if newest is None:
        return ""
    return _("Read the addendum (content hash %(hash)s…).") % {"hash": newest.content_hash[:12]}
