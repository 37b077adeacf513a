"""Files that are wrong in one way each, and what should come of it: ordinary test data.

    for case in malformed.cases():
        case.write(folder)

`outcome` is "picture" where the reader should cope, else the name of the `ImagingError` subclass (several
where either is right). Everything is made here; nothing is anybody's image.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imaging.phantoms.dicom_writer import uid

_EXPLICIT, _IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
_DEFLATED, _JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50"
_J2K, _RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"


@dataclass(frozen=True, slots=True)
class Malformed:
    """One wrong file. `outcome` as in the module's docstring; `why` says what is wrong with it."""

    name: str
    data: bytes
    outcome: tuple[str, ...]
    why: str

    def write(self, folder: Path) -> Path:
        """Write it into a folder under its own name; returns the path."""
        path = folder / self.name
        path.write_bytes(self.data)
        return path


def cases() -> Iterator[Malformed]:
    """All of them. Deterministic."""
    yield from _no_images()
    yield from _dicom_cases()
    yield from _dicom_encapsulated()
    yield from _plain_cases()


def case(name: str) -> Malformed:
    """One by its name."""
    return next(each for each in cases() if each.name == name)


def dicom(
    change: Callable[[Any], None] | None = None,
    *,
    syntax: str | None = _EXPLICIT,
    pixels: bytes | None = None,
    rows: int = 64,
    columns: int = 48,
) -> bytes:
    """A small sound ultrasound file, `change`d before it is written. Without `syntax` it names none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _dicom(change, syntax, pixels, rows, columns)


def _dicom(
    change: Callable[[Any], None] | None, syntax: str | None, pixels: bytes | None, rows: int, columns: int
) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    header = Dataset()
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    header.SOPInstanceUID = uid("malformed", "instance")
    header.StudyInstanceUID = uid("malformed", "study")
    header.SeriesInstanceUID = uid("malformed", "series")
    header.Modality, header.PatientID, header.PatientName = "US", "MALFORMED-1", "Phantom^Malformed"
    header.Rows, header.Columns, header.SamplesPerPixel = rows, columns, 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    values = np.add.outer(np.arange(rows), np.arange(columns)).astype(np.uint8)
    header.PixelData = values.tobytes() if pixels is None else pixels
    encapsulated = syntax is not None and UID(syntax).is_encapsulated
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = encapsulated
    if change:
        change(header)
    header.file_meta = FileMetaDataset()
    header.file_meta.MediaStorageSOPClassUID = header.get("SOPClassUID", "1.2.3")
    header.file_meta.MediaStorageSOPInstanceUID = header.get("SOPInstanceUID", "1.2.3")
    if syntax:
        header.file_meta.TransferSyntaxUID = UID(syntax)
    out = io.BytesIO()
    if syntax:
        header.save_as(out, enforce_file_format=True)
    else:
        out.write(b"\0" * 128 + b"DICM")
        header.save_as(out, enforce_file_format=False, implicit_vr=False, little_endian=True)
    return out.getvalue()


def png(columns: int, rows: int, body: bytes, *, bits: int = 8, colour: int = 0) -> bytes:
    """A PNG whose header says what it is told to; `body` is the compressed image data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", columns, rows, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _no_images() -> Iterator[Malformed]:
    yield Malformed("empty.dcm", b"", ("NotAnImage",), "zero bytes")
    yield Malformed(
        "text.dcm", b"Please find attached the images.\n" * 20, ("NotAnImage",), "text named .dcm"
    )
    yield Malformed(
        "page.png", b"<!DOCTYPE html><html><body>404</body></html>", ("NotAnImage",), "a web page"
    )
    yield Malformed("archive.dcm", b"PK\x03\x04" + bytes(range(256)) * 4, ("NotAnImage",), "a ZIP archive")
    yield Malformed("zeros.dcm", bytes(4096), ("NotAnImage",), "nothing but zero bytes")
    yield Malformed(
        "only-preamble.dcm", bytes(128) + b"DICM", ("NotAnImage", "DamagedFile"), "a bare preamble"
    )


def _dicom_cases() -> Iterator[Malformed]:
    sound = dicom()
    yield Malformed("sound.dcm", sound, ("picture",), "nothing")
    yield Malformed(
        "truncated.dcm", sound[: len(sound) - 1500], ("DamagedFile",), "cut off in the pixel data"
    )
    yield Malformed(
        "truncated-header.dcm", sound[:400], ("DamagedFile", "NotAnImage"), "cut off in the header"
    )
    yield Malformed("no-pixel-data.dcm", dicom(_without("PixelData")), ("NotAnImage",), "a header only")
    yield Malformed("no-rows.dcm", dicom(_without("Rows")), ("DamagedFile",), "no Rows")
    yield Malformed(
        "no-uids.dcm",
        dicom(_without("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")),
        ("picture",),
        "no UIDs; the description remarks on it",
    )
    yield Malformed("no-transfer-syntax.dcm", dicom(syntax=None), ("picture",), "names no transfer syntax")
    yield Malformed("bare-data-set.dcm", _bare(), ("picture",), "no preamble and no meta information")
    lies: list[tuple[str, dict[str, Any], tuple[str, ...], str]] = [
        ("rows-lie.dcm", {"Rows": 60_000, "Columns": 60_000}, ("TooLarge",), "claims 60,000 × 60,000"),
        ("rows-lie-a-little.dcm", {"Rows": 80}, ("DamagedFile",), "claims more rows than there are"),
        ("zero-rows.dcm", {"Rows": 0}, ("DamagedFile",), "claims no rows"),
        ("frames-lie.dcm", {"NumberOfFrames": "99999"}, ("DamagedFile",), "claims 99,999 frames"),
        ("frames-absurd.dcm", {"NumberOfFrames": "2000000000"}, ("TooLarge",), "claims 2·10⁹ frames"),
        ("frames-negative.dcm", {"NumberOfFrames": "-4"}, ("DamagedFile",), "claims −4 frames"),
        ("bits-64.dcm", {"BitsAllocated": 64, "BitsStored": 64}, ("UnsupportedEncoding",), "64-bit pixels"),
        ("bits-12.dcm", {"BitsAllocated": 12, "BitsStored": 12}, ("UnsupportedEncoding",), "12 bits"),
        ("bits-stored.dcm", {"BitsStored": 14}, ("DamagedFile",), "14 bits stored in 8"),
        ("samples-lie.dcm", {"SamplesPerPixel": 3}, ("DamagedFile",), "gray with three samples"),
        ("cmyk.dcm", {"PhotometricInterpretation": "CMYK"}, ("UnsupportedEncoding",), "a retired model"),
        ("charset-wrong.dcm", {"SpecificCharacterSet": "ISO_IR 999"}, ("picture",), "unknown charset"),
        ("palette-missing.dcm", {"PhotometricInterpretation": "PALETTE COLOR"}, ("DamagedFile",), "none"),
        ("window-zero.dcm", {"WindowCenter": "0", "WindowWidth": "0"}, ("picture",), "an impossible window"),
    ]  # fmt: skip
    for name, values, outcome, why in lies:
        yield Malformed(name, dicom(_with(**values)), outcome, why)
    one_bit = dicom(_with(BitsAllocated=1, BitsStored=1, HighBit=0), pixels=bytes(64 * 48 // 8))
    yield Malformed("bits-1.dcm", one_bit, ("picture",), "one bit a pixel, which is allowed")
    nul = sound.replace(b"Phantom^Malformed", b"Phantom\0Malforme\x1b")
    yield Malformed("nul-in-name.dcm", nul, ("picture",), "NUL and ESC in the name")
    invalid = dicom(_with(SpecificCharacterSet="ISO_IR 192")).replace(
        b"Phantom^Malformed", b"Ph\xff\xfe\xfdom^Malformed"
    )
    yield Malformed("charset-broken.dcm", invalid, ("picture",), "bytes that are not the declared UTF-8")
    yield Malformed("palette-range.dcm", dicom(_short_palette), ("picture",), "indices beyond the palette")
    yield Malformed("nested.dcm", _nested(1000), ("DamagedFile", "picture"), "sequences nested 1,000 deep")
    yield Malformed("deflated-bomb.dcm", _deflated_bomb(), ("TooLarge",), "deflates 3 GB into 3 MB")
    polyglot = b"II*\0\x08\0\0\0".ljust(128, b"\0") + sound[128:]
    yield Malformed("polyglot.dcm", polyglot, ("picture",), "a TIFF header in the DICOM preamble")
    yield Malformed(
        "value-too-long.dcm",
        sound.replace(b"LO\x0c\x00MALFORMED-1 ", b"LO\xff\xffMALFORMED-1 "),
        ("DamagedFile", "NotAnImage"),
        "a value longer than the file",
    )


def _dicom_encapsulated() -> Iterator[Malformed]:
    from pydicom.encaps import encapsulate

    jpeg, sound = _jpeg(64, 48), dicom()
    yield Malformed("jpeg.dcm", dicom(syntax=_JPEG, pixels=encapsulate([jpeg])), ("picture",), "nothing")
    cut = dicom(syntax=_JPEG, pixels=encapsulate([jpeg]))
    yield Malformed(
        "jpeg-cut-off.dcm", cut[: len(cut) - len(jpeg) // 2], ("DamagedFile",), "cut off in a frame"
    )
    yield Malformed(
        "jpeg-other-size.dcm",
        dicom(syntax=_JPEG, pixels=encapsulate([_jpeg(512, 512)])),
        ("DamagedFile",),
        "the JPEG is larger than the header says",
    )
    giant = bytearray(_jpeg(64, 48))
    at = giant.index(b"\xff\xc0")
    giant[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    yield Malformed(
        "jpeg-bomb.dcm",
        dicom(syntax=_JPEG, pixels=encapsulate([bytes(giant)])),
        ("TooLarge",),
        "the JPEG claims 65,000 × 65,000",
    )
    siz = struct.pack(">HHIIIIIIIIH", 41, 0, 60_000, 60_000, 0, 0, 60_000, 60_000, 0, 0, 1) + b"\x07\x01\x01"
    bomb = b"\xff\x4f\xff\x51" + siz + b"\xff\xd9"
    yield Malformed(
        "jpeg2000-bomb.dcm", dicom(syntax=_J2K, pixels=encapsulate([bomb])), ("TooLarge",), "claims 60,000²"
    )
    yield Malformed(
        "jpeg-is-noise.dcm",
        dicom(syntax=_JPEG, pixels=encapsulate([bytes(range(256))])),
        ("DamagedFile",),
        "noise",
    )
    yield Malformed(
        "rle-is-noise.dcm", dicom(syntax=_RLE, pixels=encapsulate([b"\xff" * 80])), ("DamagedFile",), "noise"
    )
    yield Malformed(
        "frames-too-few.dcm",
        dicom(_with(NumberOfFrames="5"), syntax=_JPEG, pixels=encapsulate([jpeg, jpeg])),
        ("DamagedFile",),
        "claims 5 frames, holds 2",
    )
    yield Malformed(
        "syntax-lies.dcm",
        sound.replace(_EXPLICIT.encode(), _RLE.encode()),
        ("DamagedFile",),
        "raw pixels under a compressed transfer syntax",
    )
    video = "1.2.840.10008.1.2.4.102"
    yield Malformed(
        "video.dcm", dicom(syntax=video, pixels=encapsulate([bytes(512)])), ("UnsupportedEncoding",), "MPEG-4"
    )


def _plain_cases() -> Iterator[Malformed]:
    body = zlib.compress(b"".join(b"\0" + bytes(range(48)) for _ in range(64)))
    sound = png(48, 64, body)
    yield Malformed("sound.png", sound, ("picture",), "nothing")
    yield Malformed("truncated.png", sound[: len(sound) // 2], ("DamagedFile",), "cut off")
    yield Malformed(
        "bomb.png", png(60_000, 60_000, zlib.compress(bytes(4_000_000), 9)), ("TooLarge",), "claims 60,000²"
    )
    yield Malformed(
        "bomb-narrow.png", png(2_000_000_000, 1, body), ("TooLarge", "DamagedFile"), "2·10⁹ columns"
    )
    yield Malformed("short-rows.png", png(4_000, 4_000, body), ("DamagedFile",), "fewer rows than it says")
    yield Malformed("zero-size.png", png(0, 0, body), ("DamagedFile", "NotAnImage"), "no pixels")
    jpeg = _jpeg(64, 48)
    yield Malformed("sound.jpg", jpeg, ("picture",), "nothing")
    yield Malformed("truncated.jpg", jpeg[: len(jpeg) * 2 // 3], ("DamagedFile",), "cut off")
    yield Malformed(
        "polyglot.jpg", jpeg + b"PK\x03\x04<script>alert(1)</script>", ("picture",), "trailing bytes"
    )
    yield Malformed("sound.pgm", b"P5\n48 64\n255\n" + bytes(48 * 64), ("picture",), "nothing")
    yield Malformed("truncated.pgm", b"P5\n48 64\n255\n" + bytes(48 * 10), ("DamagedFile",), "cut off")
    yield Malformed("bomb.pgm", b"P5\n60000 60000\n65535\n" + bytes(64), ("TooLarge",), "claims 60,000²")
    yield Malformed(
        "cyclic.tif", _tiff(next_directory=8), ("DamagedFile", "picture"), "directories in a circle"
    )
    yield Malformed("bomb.tif", _tiff(width=60_000, height=60_000), ("TooLarge",), "claims 60,000²")
    yield Malformed("truncated.tif", _tiff()[:150], ("DamagedFile",), "cut off")
    yield Malformed(
        "strips-outside.tif", _tiff(strip_offset=10**9), ("DamagedFile",), "strips beyond the end"
    )
    yield Malformed(
        "float.tif", _tiff(sample_format=3, bits=32), ("UnsupportedEncoding",), "floating-point pixels"
    )
    yield Malformed(
        "directory-outside.tif", b"II*\0" + struct.pack("<I", 10**9), ("DamagedFile",), "no directory"
    )


def _with(**values: Any) -> Callable[[Any], None]:
    def change(header: Any) -> None:
        for keyword, value in values.items():
            setattr(header, keyword, value)

    return change


def _without(*keywords: str) -> Callable[[Any], None]:
    def change(header: Any) -> None:
        for keyword in keywords:
            delattr(header, keyword)

    return change


def _short_palette(header: Any) -> None:
    header.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(header, f"{colour}PaletteColorLookupTableDescriptor", [16, 0, 16])
        header.add_new(
            {"Red": 0x00281201, "Green": 0x00281202, "Blue": 0x00281203}[colour], "OW", bytes(range(32))
        )


def _bare() -> bytes:
    sound = dicom()
    length = int.from_bytes(sound[140:144], "little")
    return sound[144 + length :]


def _nested(depth: int) -> bytes:
    """Content Sequence in Content Sequence, all of undefined length, written by hand before group 0028."""
    start = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    sound = dicom()
    at = sound.index(b"\xe0\x7f\x10\x00OB")
    return sound[:at] + start * depth + end * depth + sound[at:]


def _deflated_bomb() -> bytes:
    sound = dicom(syntax=_DEFLATED, rows=8, columns=8)
    length = int.from_bytes(sound[140:144], "little")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    out = bytearray(sound[: 144 + length])
    out += deflater.compress(_bare() + b"\xe1\x7f\x10\x00OB\0\0" + struct.pack("<I", 3 * 2**30))
    out += deflater.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block stands for itself, so one compressed block can be repeated.
    block = deflater.compress(bytes(1 << 24)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return bytes(out + block * (3 * 64) + deflater.flush())


def _jpeg(rows: int, columns: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    values = np.add.outer(np.arange(rows) * 2, np.arange(columns)).astype(np.uint8)
    Image.fromarray(values).save(out, "JPEG", quality=90)
    return out.getvalue()


def _tiff(
    width: int = 48,
    height: int = 64,
    *,
    next_directory: int = 0,
    strip_offset: int = 0,
    bits: int = 8,
    sample_format: int = 1,
) -> bytes:
    """One uncompressed gray strip with whatever the directory is told to say."""
    count = 10
    data_at = 8 + 2 + count * 12 + 4
    size = 48 * 64 * bits // 8
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1),
        (273, 4, strip_offset or data_at), (277, 3, 1), (278, 4, height), (279, 4, size),
        (339, 3, sample_format),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, count) + directory + struct.pack("<I", next_directory)
    return head + bytes(index % 251 for index in range(size))
