"""Small files as hospitals post them, made in memory, and the client that posts them."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cad_platform.accounts import tokens
from cad_platform.accounts.models import Role, Scope, Site, User
from cad_platform.core.actor import Actor
from tests import factories

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
_number = itertools.count(1)


def uid() -> str:
    return f"2.25.{10**30 + next(_number)}"


def png(seed: int = 0, size: int = 64) -> bytes:
    values = np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8)
    with io.BytesIO() as buffer:
        Image.fromarray(values).save(buffer, "PNG")
        return buffer.getvalue()


def dicom(seed: int = 0, **tags: Any) -> bytes:
    """A readable 64 × 64 mammogram; a tag that is None is left out."""
    header = Dataset()
    defaults: dict[str, Any] = {
        "SOPClassUID": MAMMOGRAPHY,
        "SOPInstanceUID": uid(),
        "StudyInstanceUID": "2.25.1000",
        "SeriesInstanceUID": "2.25.2000",
        "Modality": "MG",
        "PatientID": "P-1",
        "PatientName": "Okafor^Amara",
        "PatientBirthDate": "19610402",
        "PatientSex": "F",
        "AccessionNumber": "ACC-1",
        "StudyDate": "20260105",
        "StudyDescription": "Screening",
        "ImageLaterality": "L",
        "ViewPosition": "CC",
        "PresentationIntentType": "FOR PRESENTATION",
        "ImagerPixelSpacing": ["0.07", "0.07"],
        "Rows": 64,
        "Columns": 64,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": np.random.default_rng(seed).integers(0, 255, 64 * 64, dtype=np.uint8).tobytes(),
    }
    for keyword, value in {**defaults, **tags}.items():
        if value is not None:
            setattr(header, keyword, value)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = tags.get("SOPClassUID") or defaults["SOPClassUID"]
    header.file_meta.MediaStorageSOPInstanceUID = tags.get("SOPInstanceUID") or "2.25.1"
    if "PixelData" in header:
        header["PixelData"].VR = "OB"
    with io.BytesIO() as buffer:
        header.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()


STUDY: dict[str, Any] = {
    "patient": {"id": "P-1", "name": "Okafor^Amara", "birth_date": "1961-04-02", "sex": "F"},
    "accession_number": "ACC-1",
    "modality": "US",
}


def token_for(user: User, *scopes: str) -> str:
    return tokens.issue(Actor.system("test"), user, name="test", scopes=scopes or tuple(map(str, Scope)))[1]


class Hospital:
    """A hospital system with a token of its site."""

    def __init__(self, site: Site | None = None, *scopes: str, role: str = Role.INTEGRATOR) -> None:
        self.site = site or factories.site()
        self.user = factories.user(role, self.site)
        self.token = token_for(self.user, *scopes)
        self.client = Client(headers={"Authorization": f"Bearer {self.token}"})

    def post(self, study: Any = STUDY, files: dict[str, bytes] | None = None, **headers: str) -> Any:
        """POST /api/v1/studies. `study` None leaves the part out, bytes are sent as they are."""
        return self.post_files(study, list((files or {"a.png": png()}).items()), **headers)

    def post_files(self, study: Any, files: list[tuple[str, bytes]], **headers: str) -> Any:
        """The same with names that may be the same."""
        body: dict[str, Any] = {"files": [SimpleUploadedFile(name, data) for name, data in files]}
        if study is not None:
            body["study"] = study if isinstance(study, str | bytes) else json.dumps(study)
        return self.client.post("/api/v1/studies", body, headers=headers)

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(f"/api/v1/studies{path}", query)

    def search(self, body: Any, query: str = "") -> Any:
        return self.client.post(f"/api/v1/studies/search{query}", body, content_type="application/json")


def reasons(response: Any) -> list[tuple[str | None, str | None]]:
    """What the problem details name: (field, file) of each error."""
    assert response["Content-Type"] == "application/problem+json", response.content
    problem = response.json()
    assert problem["status"] == response.status_code
    return [(error.get("field"), error.get("file")) for error in problem["errors"]]


def with_value(data: bytes, tag: tuple[int, int], vr: str, raw: bytes) -> bytes:
    """A file of `dicom` with other bytes in one of its short values: what no library would write."""
    group, element = tag
    key = group.to_bytes(2, "little") + element.to_bytes(2, "little") + vr.encode()
    at = data.index(key, 132)
    old = int.from_bytes(data[at + 6 : at + 8], "little")
    raw += b"\0" * (len(raw) % 2) if vr == "UI" else b" " * (len(raw) % 2)
    return data[: at + 6] + len(raw).to_bytes(2, "little") + raw + data[at + 8 + old :]
