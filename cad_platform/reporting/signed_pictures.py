"""The key images of a signed report on screen: the very bytes that its PDF holds and its signature binds, with mark and
scale bar over them as they are printed."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from django.urls import reverse
from django.utils.translation import gettext as _
from pypdf import PdfReader

from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.reporting import selectors
from cad_platform.reporting.models import Report
from cad_platform.reporting.particulars import as_signed
from cad_platform.studies import storage
from cad_platform.studies.models import Instance
from cad_platform.studies.opening import open_artefact
from cad_platform.studies.pixels import cache

#: What a picture is drawn in, along its longer side: marks lie on whole numbers of it.
_LONGEST = 1000
#: A mark is seen however small its finding is.
_LEAST_MARK = 16


@dataclass(frozen=True)
class Picture:
    """One picture: where it is fetched, its proportions, and the place of mark and scale bar in the same units."""

    address: str
    width: int
    height: int
    mark: tuple[int, int, int, int]
    """x, y, width, height."""
    scale: int = 0
    """How long the scale bar is; 0 without a scale."""
    scale_words: str = ""

    @property
    def scale_at(self) -> int:
        """How far down the scale bar lies."""
        return self.height - 30


def shown(report: Report, cell: Mapping[str, Any]) -> list[Picture]:
    """The part and the whole view of a key image (`key_images.as_cell`); none where it could not be drawn."""
    return [] if cell["problem"] else [_picture(report, cell["part"]), _picture(report, cell["whole"])]


def open_picture(actor: Actor, report_id: uuid.UUID, sha256: str) -> BinaryIO:
    """A picture of a signed report, with the fact that the image was looked at; its receiver closes it.

    Raises
    ------
    NotFound, NotPermitted
        There is no such signed report at the site or no such picture in it, or the actor sees no images.
    Unavailable
        The storage does not answer.
    """
    report, pdf = selectors.pdf_of(actor, report_id)
    entry = next((each for each in as_signed(report).get("key_images", []) if sha256 in _hashes(each)), None)
    images = Instance.objects.select_related("series").filter(series__study=report.study)
    image = images.filter(sop_instance_uid=entry["sop_instance_uid"]).first() if entry else None
    if image is None:
        raise _no_such_picture()
    open_artefact(actor, image)

    def make(into: Path) -> None:
        with storage.open(pdf.sha256) as path:
            into.write_bytes(_cut_out_of(path.read_bytes(), sha256))

    return cache().file(f"key-image-{sha256}.jpg", make).open("rb")


def _hashes(entry: Mapping[str, Any]) -> set[str]:
    return {entry["part_sha256"], entry["whole_sha256"]} - {""}


def _cut_out_of(pdf: bytes, sha256: str) -> bytes:
    for data in _jpegs(PdfReader(BytesIO(pdf))):
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    raise _no_such_picture()


def _no_such_picture() -> NotFound:
    return NotFound(_("There is no such picture in this report."))


def _jpegs(pdf: PdfReader) -> Iterator[bytes]:
    for page in pdf.pages:
        resources: Any = page["/Resources"].get_object()
        for reference in resources.get("/XObject", {}).values():
            form = reference.get_object()
            if form.get("/Filter") == "/DCTDecode":
                yield form.get_data()


def _picture(report: Report, printed: Mapping[str, Any]) -> Picture:
    aspect = float(printed["aspect"])
    width = _LONGEST if aspect >= 1 else max(1, round(_LONGEST * aspect))
    height = _LONGEST if aspect < 1 else max(1, round(_LONGEST / aspect))
    x0, y0, x1, y1 = printed["mark"]
    scale = printed["scale"]
    return Picture(
        address=reverse("report-key-image", args=[report.pk, str(printed["file"]).removesuffix(".jpg")]),
        width=width,
        height=height,
        mark=(
            round(width * x0),
            round(height * y0),
            max(_LEAST_MARK, round(width * (x1 - x0))),
            max(_LEAST_MARK, round(height * (y1 - y0))),
        ),
        scale=round(width * scale["part"]) if scale else 0,
        scale_words=scale["words"] if scale else "",
    )
