"""Small DICOM images of every kind of grey, for which `make_grayscale_references.py` has recorded DCMTK's pictures.

Each case is a file and what `dcm2pnm` is told of it. Values are noise over the whole range of their bits, and what is
not a value of theirs, the unused bits, is noise as well.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

ROWS, COLUMNS = 12, 16
SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
}


@dataclass(frozen=True)
class Case:
    """A file, and how `dcm2pnm` is asked for the window or table that it names."""

    name: str
    data: bytes
    options: tuple[str, ...] = ("+Wi", "1")
    recorded_as: str = ""
    """Whose picture is the right one; by default the case's own."""

    @property
    def reference(self) -> str:
        return self.recorded_as or self.name


def noise(stored: int, signed: bool, seed: int = 1, frames: int = 1) -> NDArray[np.int64]:
    """Values of all sizes, both ends among them."""
    low = -(2 ** (stored - 1)) if signed else 0
    values = np.random.default_rng(seed).integers(low, low + 2**stored, (frames, ROWS, COLUMNS))
    values[:, 0, 0], values[:, 0, 1] = low, low + 2**stored - 1
    return values


def file_of(
    values: NDArray[np.int64],
    *,
    allocated: int = 16,
    stored: int = 12,
    high: int | None = None,
    signed: bool = False,
    photometric: str = "MONOCHROME2",
    syntax: str = "explicit",
    **elements: Any,
) -> bytes:
    """A secondary capture of stored values, F×H×W, with anything in the bits that they do not use."""
    high = stored - 1 if high is None else high
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = SecondaryCaptureImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = generate_uid()
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(), generate_uid()
    header.PatientID, header.PatientName, header.Modality = "GREY", "Grey^Case", "US"
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, photometric
    if len(values) > 1:
        header.NumberOfFrames = len(values)
    header.Rows, header.Columns = values.shape[1:]
    header.BitsAllocated, header.BitsStored, header.HighBit = allocated, stored, high
    header.PixelRepresentation = int(signed)
    for keyword, value in elements.items():
        if isinstance(value, DataElement):
            header.add(value)
        else:
            setattr(header, keyword, value)
    cells = np.random.default_rng(7).integers(0, 2**allocated, values.shape, dtype=np.uint64)
    mask = (2**stored - 1) << (high + 1 - stored)
    cells = (cells & ~np.uint64(mask)) | (
        (values.astype(np.uint64) & np.uint64(2**stored - 1)) << np.uint64(high + 1 - stored)
    )
    order = ">" if syntax == "big-endian" else "<"
    data = cells.astype(f"{order}u{allocated // 8}").tobytes()
    header.PixelData = data + b"\0" * (len(data) % 2)
    header["PixelData"].VR = "OB" if allocated == 8 and syntax != "implicit" else "OW"
    if header["PixelData"].VR == "OW" and allocated == 8 and syntax == "big-endian":
        raise ValueError("eight-bit words of big-endian files are not made here")
    into = io.BytesIO()
    little, implicit = syntax != "big-endian", syntax == "implicit"
    pydicom.dcmwrite(into, header, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return into.getvalue()


def lut(
    first: int,
    entries: NDArray[Any],
    bits: int,
    *,
    vr: str = "US",
    packed: bool = False,
    name: str = "",
    big_endian: bool = False,
) -> Dataset:
    """An item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new(0x00283002, vr, [len(entries) % 65536, first, bits])
    if name:
        item.LUTExplanation = name
    data = np.asarray(entries).astype("u1" if packed else ">u2" if big_endian else "<u2").tobytes()
    item.add_new(0x00283006, "OW", data + b"\0" * (len(data) % 2))
    return item


def curve(count: int, bits: int, top: float = 1.0) -> NDArray[np.int64]:
    """A rising curve that is no straight line."""
    return np.rint((2**bits - 1) * top * np.sqrt(np.arange(count) / (count - 1))).astype(np.int64)


def matrix() -> Iterator[Case]:
    """Bits Allocated × Bits Stored × High Bit × Pixel Representation × byte order × photometric interpretation."""
    for allocated, depths in ((8, (8, 6)), (16, (16, 12, 10, 8)), (32, (32, 20, 16, 12))):
        for stored in depths:
            for high in sorted({stored - 1, allocated - 1, (stored + allocated) // 2 - 1}):
                for signed in (False, True):
                    for syntax in SYNTAXES:
                        for photometric in ("MONOCHROME1", "MONOCHROME2"):
                            middle = 0 if signed else 2 ** (stored - 1)
                            cell = f"{allocated}-{stored}-{high}-{'signed' if signed else 'unsigned'}"
                            data = file_of(
                                noise(stored, signed),
                                allocated=allocated,
                                stored=stored,
                                high=high,
                                signed=signed,
                                photometric=photometric,
                                syntax=syntax,
                                WindowCenter=str(middle + 2**stored // 10),
                                WindowWidth=str(2**stored // 2),
                            )
                            # Words of 32 bits in OW: DCMTK swaps their halves one by one, pydicom and we the whole.
                            unlike = allocated == 32 and syntax == "big-endian"
                            like = f"{cell}-explicit-{photometric[-1]}" if unlike else ""
                            yield Case(f"{cell}-{syntax}-{photometric[-1]}", data, recorded_as=like)


def features() -> Iterator[Case]:
    """Windows, rescales, tables and presentations, one by one and together."""
    grey, dark = noise(12, False), noise(12, True)
    for centre, width in (
        ("2000", "2400"), ("2000.5", "333"), ("2048", "1"), ("100", "2"), ("0", "4096"), ("4000", "500")
    ):  # fmt: skip
        yield Case(f"window-{centre}-{width}", file_of(grey, WindowCenter=centre, WindowWidth=width))
    for width in ("200", "1400", "5000"):
        elements: dict[str, Any] = {
            "WindowCenter": "2000", "WindowWidth": width, "VOILUTFunction": "SIGMOID"
        }  # fmt: skip
        yield Case(f"sigmoid-{width}", file_of(grey, **elements))
        inverse = file_of(
            grey, photometric="MONOCHROME1", RescaleSlope="2", RescaleIntercept="-2000", **elements
        )
        yield Case(f"sigmoid-{width}-rescaled-inverse", inverse)
    windows: dict[str, Any] = {
        "WindowCenter": ["1000", "2000", "3000"],
        "WindowWidth": ["500", "2500", "900"],
        "WindowCenterWidthExplanation": ["HARDER", "NORMAL", "SOFTER"],
    }
    for number in (1, 2, 3):
        yield Case(f"windows-{number}", file_of(grey, **windows), ("+Wi", str(number)))
    for slope, intercept, centre, width in (
        ("2", "-1024", "1000", "3000"), ("-1", "0", "-2048", "3000"), ("-1", "4095", "2000", "3000"),
        ("0.5", "10", "1000", "700"),
    ):  # fmt: skip
        for name, values, signed in (("unsigned", grey, False), ("signed", dark, True)):
            at = centre if not signed else f"{float(centre) - float(slope) * 2048:g}"
            for photometric in ("MONOCHROME1", "MONOCHROME2"):
                yield Case(
                    f"rescale-{slope}-{intercept}-{name}-{photometric[-1]}",
                    file_of(
                        values, signed=signed, photometric=photometric,
                        RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US",
                        WindowCenter=at, WindowWidth=width,
                    ),
                )  # fmt: skip
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        for shape in ("IDENTITY", "INVERSE"):
            yield Case(
                f"shape-{shape}-{photometric[-1]}",
                file_of(
                    grey, photometric=photometric, PresentationLUTShape=shape,
                    WindowCenter="2000", WindowWidth="3000",
                ),
            )  # fmt: skip
    yield from _modality_tables(grey, dark)
    yield from _voi_tables(grey, dark)


def _modality_tables(grey: NDArray[np.int64], dark: NDArray[np.int64]) -> Iterator[Case]:
    window: dict[str, Any] = {"WindowCenter": "30000", "WindowWidth": "20000"}
    tables: dict[str, tuple[NDArray[np.int64], bool, Dataset]] = {
        "whole": (grey, False, lut(0, curve(4096, 16), 16)),
        "part": (grey, False, lut(500, curve(2000, 16), 16)),
        "signed": (dark, True, lut(-2048, curve(4096, 16), 16, vr="SS")),
        "signed-as-unsigned": (dark, True, lut(63488, curve(4096, 16), 16)),
        "falling": (grey, False, lut(0, curve(4096, 16)[::-1], 16)),
    }
    for name, (values, signed, table) in tables.items():
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            table.ModalityLUTType = "US"
            data = file_of(
                values,
                signed=signed,
                photometric=photometric,
                ModalityLUTSequence=Sequence([table]),
                **window,
            )
            yield Case(f"modality-table-{name}-{photometric[-1]}", data)
    words = noise(16, False)
    table = lut(0, curve(65536, 16), 16)
    table.ModalityLUTType = "US"
    elements: dict[str, Any] = {"ModalityLUTSequence": Sequence([table]), **window}
    yield Case("modality-table-65536", file_of(words, stored=16, **elements))
    table = lut(0, curve(4096, 16), 16, big_endian=True)
    table.ModalityLUTType = "US"
    elements = {"ModalityLUTSequence": Sequence([table]), **window}
    yield Case("modality-table-big-endian", file_of(grey, syntax="big-endian", **elements))
    table = lut(0, curve(4096, 16), 16)
    table.ModalityLUTType = "US"
    elements = {"ModalityLUTSequence": Sequence([table]), **window}
    yield Case("modality-table-implicit", file_of(grey, syntax="implicit", **elements))
    elements = {
        "ModalityLUTSequence": Sequence([table]),
        "VOILUTSequence": Sequence([lut(10000, curve(40000, 12), 12)]),
    }
    yield Case("both-tables", file_of(grey, **elements), ("+Wl", "1"))


def _voi_tables(grey: NDArray[np.int64], dark: NDArray[np.int64]) -> Iterator[Case]:
    tables: dict[str, Dataset] = {
        "16-bit": lut(0, curve(4096, 16), 16),
        "12-bit": lut(0, curve(4096, 12), 12),
        "10-bit": lut(0, curve(4096, 10), 10),
        "8-bit-in-words": lut(0, curve(4096, 8), 8),
        "8-bit-packed": lut(0, curve(4096, 8), 8, packed=True),
        "dim": lut(0, curve(4096, 16, 0.5), 16),
        "part": lut(1000, curve(1500, 16), 16),
        "65536": lut(0, curve(65536, 16), 16),
        "falling": lut(0, curve(4096, 16)[::-1], 16),
    }
    for name, table in tables.items():
        for photometric in ("MONOCHROME1", "MONOCHROME2"):
            data = file_of(grey, photometric=photometric, VOILUTSequence=Sequence([table]))
            yield Case(f"voi-table-{name}-{photometric[-1]}", data, ("+Wl", "1"))
    several = Sequence([lut(0, curve(4096, 12), 12, name="A"), lut(0, curve(4096, 16, 0.7), 16, name="B")])
    for number in (1, 2):
        yield Case(f"voi-tables-{number}", file_of(grey, VOILUTSequence=several), ("+Wl", str(number)))
    signed = Sequence([lut(-2048, curve(4096, 16), 16, vr="SS")])
    yield Case("voi-table-signed", file_of(dark, signed=True, VOILUTSequence=signed), ("+Wl", "1"))
    after = Sequence([lut(-1024, curve(3000, 12), 12, vr="SS")])
    elements: dict[str, Any] = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "VOILUTSequence": after}
    yield Case("voi-table-after-rescale", file_of(grey, **elements), ("+Wl", "1"))
    swapped = Sequence([lut(0, curve(4096, 16), 16, big_endian=True)])
    yield Case(
        "voi-table-big-endian", file_of(grey, syntax="big-endian", VOILUTSequence=swapped), ("+Wl", "1")
    )
    implicit = Sequence([lut(0, curve(4096, 16), 16)])
    yield Case("voi-table-implicit", file_of(grey, syntax="implicit", VOILUTSequence=implicit), ("+Wl", "1"))


def cases() -> Iterator[Case]:
    yield from matrix()
    yield from features()
