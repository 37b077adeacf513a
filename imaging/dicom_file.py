"""Opening a DICOM file: its header parsed, its pixel data located, nothing of it believed yet.

Only the header is held in memory; pixel data stay on disk until a frame is asked for.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import config as pydicom_config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian
from pydicom.uid import ImplicitVRLittleEndian as ImplicitVR

from imaging.errors import DamagedFile, NotAnImage, TooLarge, UnsupportedEncoding
from imaging.limits import MAX_HEADER_BYTES, MAX_INFLATED_BYTES

_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_UNDEFINED = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"

# We validate what we use and keep what a sender got slightly wrong; a warning per odd value helps nobody.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE


@dataclass(slots=True)
class DicomFile:
    """A parsed header and where its pixel data lie in `stream`."""

    header: Dataset
    stream: BinaryIO
    transfer_syntax: UID
    assumed_transfer_syntax: bool
    pixel_offset: int
    pixel_length: int
    """Bytes of native pixel data really present; 0 for encapsulated."""
    fragments: list[tuple[int, int]]
    """(offset, length) of each encapsulated fragment after the offset table."""
    offset_table: list[int]

    def close(self) -> None:
        self.stream.close()

    def bytes_at(self, offset: int, length: int) -> bytes:
        """`length` bytes of the stream from `offset`. Raises `DamagedFile` where it ends before."""
        self.stream.seek(offset)
        data = self.stream.read(length)
        if len(data) < length:
            raise DamagedFile("The file is cut off in the middle of its pixel data.")
        return data


def open_dicom(path: Path) -> DicomFile:
    """Parse the header and locate the pixel data (PS3.10 7, PS3.5 A). The receiver closes the file.

    Raises
    ------
    NotAnImage
        There are no pixel data (code `no_pixel_data`), or it is no DICOM at all.
    DamagedFile
        The file is cut off, or its parts contradict each other.
    TooLarge
        A header or a deflated body out of all proportion.
    UnsupportedEncoding
        Floating-point pixels, or a transfer syntax that is not known.
    """
    stream: BinaryIO = path.open("rb")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _open(stream, path)
    except BaseException:
        stream.close()
        raise


def _open(stream: BinaryIO, path: Path) -> DicomFile:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    meta = _file_meta(stream, path)
    declared = str(meta.get("TransferSyntaxUID") or "").strip("\0 ")
    if declared == DeflatedExplicitVRLittleEndian:
        body = _inflated(stream, meta)
        stream.close()
        stream = io.BytesIO(body)
        size = len(body)

    def at_pixel_data(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag in (_PIXEL_DATA, *_FLOAT_PIXEL_DATA):
            return True
        if length != _UNDEFINED and length > size:
            raise DamagedFile("The file is cut off: one of its values is longer than the rest of the file.")
        if length != _UNDEFINED and length > MAX_HEADER_BYTES:
            raise TooLarge("A value in the DICOM header is larger than any header may be.")
        return False

    stream.seek(0)
    header = read_partial(stream, stop_when=at_pixel_data, force=True)
    if len(header) == 0 and not declared:
        raise NotAnImage("The file is not DICOM: it has no header.")
    is_implicit, is_little = header.original_encoding
    syntax = UID(declared) if declared else _assumed_syntax(is_implicit, is_little)
    tag, offset, length = _pixel_element(stream, is_implicit, is_little)
    if tag in _FLOAT_PIXEL_DATA:
        raise UnsupportedEncoding("The pixel data are floating-point numbers, which are not read here.")
    if tag != _PIXEL_DATA:
        raise NotAnImage(
            "The DICOM file has no pixel data: it is cut off, or it is a report or another object that "
            "holds no image.",
            code="no_pixel_data",
        )
    native = length != _UNDEFINED
    if declared and syntax != DeflatedExplicitVRLittleEndian and not syntax.is_transfer_syntax:
        raise UnsupportedEncoding("The DICOM file names a transfer syntax that is not known here.")
    if declared and native == syntax.is_encapsulated:
        raise DamagedFile("The pixel data are not stored the way the transfer syntax says.")
    if not declared and not native:
        raise DamagedFile(
            "The DICOM file does not name its transfer syntax and its pixel data are compressed, so they "
            "cannot be decoded."
        )
    table, fragments = ([], []) if native else _fragments(stream, offset, size)
    return DicomFile(
        header=header,
        stream=stream,
        transfer_syntax=syntax,
        assumed_transfer_syntax=not declared,
        pixel_offset=offset,
        pixel_length=min(length, size - offset) if native else 0,
        fragments=fragments,
        offset_table=table,
    )


def _file_meta(stream: BinaryIO, path: Path) -> Dataset:
    stream.seek(128)
    if stream.read(4) != b"DICM":
        return FileMetaDataset()
    # Our own error, not pydicom's: what stands here decides how everything else is read.
    try:
        return read_file_meta_info(path)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        raise DamagedFile("The DICOM file's first lines (its meta information) are damaged.") from error


def _inflated(stream: BinaryIO, meta: Dataset) -> bytes:
    stream.seek(132)
    head = stream.read(12)
    if head[:4] != b"\x02\x00\x00\x00":
        raise DamagedFile("The deflated DICOM file does not say where its compressed part starts.")
    stream.seek(144 + int.from_bytes(head[8:12], "little"))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    while not inflater.eof:
        chunk = inflater.unconsumed_tail or stream.read(1 << 20)
        if not chunk:
            raise DamagedFile("The deflated DICOM file is cut off.")
        try:
            out += inflater.decompress(chunk, 1 << 24)
        except zlib.error as error:
            raise DamagedFile("The deflated DICOM file is damaged.") from error
        if len(out) > MAX_INFLATED_BYTES:
            raise TooLarge(f"The deflated DICOM file inflates to more than {MAX_INFLATED_BYTES >> 20} MiB.")
    return bytes(out)


def _assumed_syntax(is_implicit: bool | None, is_little: bool | None) -> UID:
    if is_implicit:
        return ImplicitVR
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def _pixel_element(
    stream: BinaryIO, is_implicit: bool | None, is_little: bool | None
) -> tuple[int, int, int]:
    """(tag, offset of the value, length) of the element at the stream's position; tag 0 at the end."""
    order = "<" if is_little else ">"
    head = stream.read(8)
    if len(head) < 8:
        return 0, 0, 0
    group, element, length = struct.unpack(f"{order}HHL", head)
    if not is_implicit:
        if head[4:6] in (b"OB", b"OW", b"UN", b"OF", b"OD"):
            extended = stream.read(4)
            if len(extended) < 4:
                return 0, 0, 0
            (length,) = struct.unpack(f"{order}L", extended)
        else:
            (length,) = struct.unpack(f"{order}H", head[6:8])
    return group << 16 | element, stream.tell(), length


def _fragments(stream: BinaryIO, offset: int, size: int) -> tuple[list[int], list[tuple[int, int]]]:
    """The basic offset table and the fragments of encapsulated pixel data (PS3.5 A.4)."""
    stream.seek(offset)
    table: list[int] | None = None
    fragments: list[tuple[int, int]] = []
    while True:
        head = stream.read(8)
        if head[:4] == _DELIMITER:
            break
        if len(head) < 8 or head[:4] != _ITEM:
            # Some devices leave the delimiter out at the very end of the file.
            if not head and fragments:
                break
            raise DamagedFile("The file is cut off, or its compressed pixel data are damaged.")
        length = int.from_bytes(head[4:], "little")
        here = stream.tell()
        if here + length > size:
            raise DamagedFile("The file is cut off in the middle of its pixel data.")
        if table is None:
            raw = stream.read(length)
            table = list(struct.unpack(f"<{length // 4}L", raw[: length // 4 * 4]))
        else:
            fragments.append((here, length))
            stream.seek(here + length)
    if not fragments:
        raise NotAnImage("The DICOM file's pixel data are empty.", code="no_pixel_data")
    return table or [], fragments
