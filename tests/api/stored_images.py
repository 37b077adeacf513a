"""Small images as the platform has stored them, made in memory, and what asks for them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from django.db import transaction
from django.test import Client
from django.urls import reverse
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

from cad_platform.accounts.models import Site, User
from cad_platform.studies import storage
from cad_platform.studies.models import Instance
from tests import factories


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def stored(
    at: Site, content: bytes, media_type: str, tmp_path: Path, modality: str = "MG", **fields: Any
) -> Instance:
    with transaction.atomic():
        file = storage.store_bytes(content, media_type)
        return factories.instance(factories.study(at, modality), file=file, **fields)


GRADIENT = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40)


def png(values: np.ndarray) -> bytes:
    into = io.BytesIO()
    Image.fromarray(values).save(into, "PNG")
    return into.getvalue()


def dicom(values: np.ndarray, photometric: str = "MONOCHROME1") -> bytes:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    header = pydicom.Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    header.Modality, header.PhotometricInterpretation, header.SamplesPerPixel = "MG", photometric, 1
    header.Rows, header.Columns = values.shape
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.WindowCenter, header.WindowWidth = 600, 1200
    header.PixelData = values.astype("<u2").tobytes()
    into = io.BytesIO()
    header.save_as(into, enforce_file_format=True)
    return into.getvalue()


def dicom_clip(frames: np.ndarray) -> bytes:
    """Frames of 12 bits without a window."""
    header = pydicom.dcmread(io.BytesIO(dicom(frames[0], "MONOCHROME2")))
    del header.WindowCenter, header.WindowWidth
    header.NumberOfFrames, header.PixelData = len(frames), frames.astype("<u2").tobytes()
    into = io.BytesIO()
    header.save_as(into)
    return into.getvalue()


def body(response: Any) -> bytes:
    return b"".join(response) if response.streaming else response.content


def address(name: str, instance: Instance, *more: Any) -> str:
    return reverse(name, args=[instance.pk, *more])
