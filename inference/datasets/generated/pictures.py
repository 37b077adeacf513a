"""Made-up pictures: noise around a level, with a disc where a lesion is wanted."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Disc = tuple[float, float, float]  # x, y, radius


def gray(
    path: Path, width: int, height: int, disc: Disc | None = None, *, key: str | None = None
) -> NDArray[np.uint8]:
    """An 8-bit picture that depends on the key (the file's name) only; written in the format of its ending."""
    noise = np.random.default_rng(zlib.crc32((key or path.name).encode()))
    low = noise.normal(90, 20, (height // 8 + 1, width // 8 + 1))
    values = np.kron(low, np.ones((8, 8)))[:height, :width] + noise.normal(0, 8, (height, width))
    if disc:
        values[inside(width, height, disc)] += 70
    pixels = np.clip(values, 1, 254).astype(np.uint8)
    save(path, pixels)
    return pixels


def colour(path: Path, width: int, height: int) -> None:
    """An RGB picture in the tints of haematoxylin and eosin."""
    plane = gray(path, width, height).astype(np.float32) / 255
    tint = np.array([0.85, 0.45, 0.75], dtype=np.float32)
    save(path, (255 * (1 - plane[..., None] * (1 - tint))).astype(np.uint8))


def mask(path: Path, width: int, height: int, disc: Disc | None) -> None:
    """255 inside the disc, 0 elsewhere; all black without one."""
    marked = inside(width, height, disc) if disc else np.zeros((height, width), dtype=bool)
    save(path, np.where(marked, 255, 0).astype(np.uint8))


def inside(width: int, height: int, disc: Disc) -> NDArray[np.bool_]:
    y, x = np.ogrid[:height, :width]
    return np.asarray((x - disc[0]) ** 2 + (y - disc[1]) ** 2 <= disc[2] ** 2)


def slide(path: Path) -> None:
    """A small RGB TIFF under a slide's name: what a thumbnail shows of a slide."""
    plane = gray(path.with_suffix(".tif"), 96, 64)
    values = np.stack([255 - plane // 3, 255 - plane // 2, 255 - plane // 4], axis=-1)
    path.with_suffix(".tif").unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path, format="TIFF")


def pyramid(path: Path, disc: Disc | None = None) -> None:
    """A slide of 256×192 px at 1 µm, halved twice: tissue all over, darker and coarser inside the disc."""
    import tifffile

    width, height = 256, 192
    noise = np.random.default_rng(zlib.crc32(path.name.encode()))
    grain = noise.normal(0, 12, (height, width))
    if disc:
        tumour = inside(width, height, disc)
        grain[tumour] = 2.5 * grain[tumour] - 50
    grey = 150 + grain
    level = np.clip(np.stack([grey, grey * 0.55, grey * 0.9], axis=-1), 1, 254).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as writer:
        for number in range(3):
            writer.write(
                level, photometric="rgb", tile=(64, 64), compression="zlib", subfiletype=min(number, 1),
                resolution=(10_000 / 2**number,) * 2, resolutionunit="CENTIMETER", metadata=None, software=None,
            )  # fmt: skip
            level = (
                level.reshape(level.shape[0] // 2, 2, level.shape[1] // 2, 2, 3)
                .mean(axis=(1, 3))
                .astype(np.uint8)
            )


def dicom(path: Path, width: int, height: int, *, series: str, mask: Disc | None = None) -> None:
    """A grey DICOM file of that series: noise, or a mask (0 and 255) where a disc is given."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

    noise = np.random.default_rng(zlib.crc32(str(path.name + series).encode()))
    values = noise.integers(1, 4000, (height, width)).astype(np.uint16)
    if mask is not None:
        values = np.where(inside(width, height, mask), 255, 0).astype(np.uint16)
    header = Dataset()
    header.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    header.SOPInstanceUID = f"2.25.{zlib.crc32(str(path).encode())}"
    header.SeriesInstanceUID = series
    header.Modality = "MG"
    header.Rows, header.Columns, header.SamplesPerPixel = height, width, 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 0
    header.PixelData = values.tobytes()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
