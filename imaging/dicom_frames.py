"""Frames of a DICOM file: which bytes belong to one, and what they decode to."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    MPEGTransferSyntaxes,
    RLELossless,
)

from imaging import codestreams, stored_values
from imaging.dicom_file import DicomFile
from imaging.dicom_values import integer, text
from imaging.errors import DamagedFile, NoSuchFrame, NotAnImage, TooLarge, UnsupportedEncoding
from imaging.limits import MAX_FRAME_BYTES, MAX_FRAMES, check_frame

# pydicom logs a traceback for every decoder it tries; what matters is raised.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_READABLE_PHOTOMETRICS = {
    "MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1,
    "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_ICT": 3, "YBR_RCT": 3,
}  # fmt: skip

# Measured on a 12-megapixel film: OpenJPEG 0.8 s, GDCM 1.2 s; and pydicom's own RLE is Python.
_FASTEST = {JPEG2000Lossless: "pylibjpeg", JPEG2000: "pylibjpeg", RLELossless: "pylibjpeg"}


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The Image Pixel module (PS3.3 C.7.6.3), checked against itself."""

    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    planar: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one native frame. Bit-packed frames are rounded up, so only the first is addressable."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return (self.rows * self.columns * samples * self.bits_allocated + 7) // 8


def pixel_format(file: DicomFile) -> PixelFormat:
    """The Image Pixel module of the header, every value checked before anything is allocated.

    Raises
    ------
    DamagedFile
        Attributes that are missing or contradict each other.
    UnsupportedEncoding
        A colour model or a number of bits that is not read here.
    TooLarge
        More frames, or larger ones, than one image may have.
    """
    header = file.header
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if not rows or not columns or rows < 0 or columns < 0:
        raise DamagedFile("The DICOM header does not say how many rows and columns the image has.")
    photometric = (text(header, "PhotometricInterpretation") or "").upper()
    samples = integer(header, "SamplesPerPixel") or _READABLE_PHOTOMETRICS.get(photometric, 1)
    if not photometric:
        photometric = "RGB" if samples == 3 else "MONOCHROME2"
    if photometric not in _READABLE_PHOTOMETRICS:
        raise UnsupportedEncoding(f"The colour model {photometric[:32]} is not read here.")
    if _READABLE_PHOTOMETRICS[photometric] != samples:
        raise DamagedFile(f"The header says {photometric} with {samples} samples per pixel, which cannot be.")
    allocated = integer(header, "BitsAllocated") or 0
    stored = integer(header, "BitsStored") or allocated
    if allocated not in (1, 8, 16, 32):
        raise UnsupportedEncoding(f"Pixels of {allocated} allocated bits are not read here.")
    if samples == 3 and allocated not in (8, 16):
        raise UnsupportedEncoding(f"Colour pixels of {allocated} allocated bits are not read here.")
    if not 0 < stored <= allocated:
        raise DamagedFile(f"The header says {stored} bits stored in {allocated} allocated, which cannot be.")
    high = integer(header, "HighBit")
    if high is None or not stored - 1 <= high < allocated:
        high = stored - 1
    frames = integer(header, "NumberOfFrames")
    frames = 1 if frames is None or frames == 0 else frames
    if frames < 0:
        raise DamagedFile(f"The header says that the image has {frames} frames.")
    if frames > MAX_FRAMES:
        raise TooLarge(f"The header claims {frames} frames; at most {MAX_FRAMES} are read.")
    check_frame(rows, columns, samples, max(1, allocated // 8))
    return PixelFormat(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        photometric=photometric,
        planar=integer(header, "PlanarConfiguration") or 0,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=integer(header, "PixelRepresentation") == 1,
    )


def check_lengths(file: DicomFile, form: PixelFormat) -> None:
    """See that every frame's bytes are there.

    Raises
    ------
    DamagedFile
        The header promises more than the file holds.
    """
    if file.transfer_syntax.is_encapsulated:
        if len(file.fragments) < form.frames:
            raise DamagedFile(
                f"The header says {form.frames} frames, but the pixel data hold "
                f"at most {len(file.fragments)}."
            )
        return
    expected = form.frame_bytes * form.frames
    if form.bits_allocated == 1:
        expected = (form.rows * form.columns * form.frames + 7) // 8
    if form.photometric == "YBR_FULL_422" and file.pixel_length >= form.rows * form.columns * 3 * form.frames:
        return
    if file.pixel_length < expected:
        raise DamagedFile(
            f"The file is cut off, or its header is wrong: {form.frames} frame(s) of {form.columns} × "
            f"{form.rows} pixels need {expected} bytes of pixel data, and there are {file.pixel_length}."
        )


def decode_frame(file: DicomFile, form: PixelFormat, frame: int) -> tuple[NDArray[Any], str]:
    """Decode one frame.

    Returns
    -------
    values
        H×W or H×W×3 stored values as `stored_values.native` gives them: uint8, uint16, int16, uint32 or int32. Not yet
        windowed or looked up in a palette.
    photometric
        The interpretation that the values now have: what was YBR is RGB.

    Raises
    ------
    NoSuchFrame
        The file has fewer frames.
    DamagedFile
        The frame is cut off, or its codestream and the header contradict each other.
    UnsupportedEncoding
        No decoder here reads the compression; a video.
    TooLarge
        Decoding would need more memory than one image may have.
    """
    if not 0 <= frame < form.frames:
        raise NoSuchFrame(f"The image has {form.frames} frame(s); there is no frame {frame}.")
    cells = _cells(file, form, frame)
    values, photometric = _decode(file, cells, frame)
    return (
        stored_values.native(
            values,
            allocated=form.bits_allocated,
            stored=form.bits_stored,
            high=cells.high_bit,
            signed=form.signed,
        ),
        photometric,
    )


def _cells(file: DicomFile, form: PixelFormat, frame: int) -> PixelFormat:
    """The format as the decoder must know it: with the bits of its cells up to High Bit where these were encoded, which
    a codestream's precision tells, and not the values alone."""
    syntax = file.transfer_syntax
    right_aligned = replace(form, high_bit=form.bits_stored - 1)
    if form.high_bit == right_aligned.high_bit:
        return form
    cells = replace(form, bits_stored=form.high_bit + 1)
    if not syntax.is_encapsulated or syntax == RLELossless:
        return cells
    if syntax in JPEG2000TransferSyntaxes:
        precision = codestreams.jpeg2000(_frame_bytes(file, form, frame)).precision
    elif syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        precision = codestreams.jpeg(_frame_bytes(file, form, frame)).precision
    else:
        return right_aligned
    return cells if precision > form.high_bit else right_aligned


def _decode(file: DicomFile, form: PixelFormat, frame: int) -> tuple[NDArray[Any], str]:
    syntax = file.transfer_syntax
    if not syntax.is_encapsulated:
        return _decode_native(file, form, frame)
    if syntax in MPEGTransferSyntaxes:
        raise UnsupportedEncoding("The pixel data are an MPEG video, which is not read here.")
    data = _frame_bytes(file, form, frame)
    _check_codestream(file, form, data)
    if syntax == JPEGExtended12Bit and codestreams.jpeg(data).precision == 12:
        return _decode_jpeg_12(data, form)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnsupportedEncoding(f"The compression “{syntax.name}” is not read here.") from error
    if not decoder.is_available:
        raise UnsupportedEncoding(f"The compression “{syntax.name}” is not read here.")
    source = encapsulate([data])
    preferred = _FASTEST.get(syntax, "")
    if preferred in decoder.available_plugins:
        try:
            return _decode_with(decoder, source, form, plugin=preferred)
        except DamagedFile:
            # Another decoder may know the variant; what is truly damaged fails there as well.
            return _decode_with(decoder, source, form)
    return _decode_with(decoder, source, form)


def _decode_with(
    decoder: Any, source: bytes, form: PixelFormat, photometric: str | None = None, plugin: str = ""
) -> tuple[Any, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, properties = decoder.as_array(
                source,
                raw=False,
                decoding_plugin=plugin,
                rows=form.rows,
                columns=form.columns,
                number_of_frames=1,
                samples_per_pixel=form.samples,
                photometric_interpretation=photometric or form.photometric,
                planar_configuration=form.planar,
                bits_allocated=form.bits_allocated,
                bits_stored=form.bits_stored,
                pixel_representation=int(form.signed),
                pixel_keyword="PixelData",
                pixel_vr="OB" if form.bits_allocated <= 8 else "OW",
            )
    except MemoryError:
        raise
    except Exception as error:
        if "out of memory" in str(error).lower() or "bad allocation" in str(error).lower():
            raise TooLarge("Decoding the pixel data needs more memory than one file may have.") from error
        if isinstance(error, RuntimeError) and "NotImplementedError" in repr(error.__context__):
            raise UnsupportedEncoding("This variant of the compression is not read here.") from error
        raise DamagedFile("The pixel data cannot be decoded: they are damaged.") from error
    return values, str(properties["photometric_interpretation"])


def _decode_native(file: DicomFile, form: PixelFormat, frame: int) -> tuple[NDArray[Any], str]:
    if form.bits_allocated == 1:
        count = form.rows * form.columns
        first, last = frame * count // 8, (frame * count + count + 7) // 8
        packed = np.frombuffer(file.bytes_at(file.pixel_offset + first, last - first), np.uint8)
        bits = np.unpackbits(packed, bitorder="little")[frame * count % 8 :][:count]
        return bits.reshape(form.rows, form.columns), form.photometric
    length, photometric = form.frame_bytes, form.photometric
    full = form.rows * form.columns * 3
    if photometric == "YBR_FULL_422" and file.pixel_length >= full * form.frames:
        # Sub-sampled by name only: every pixel has its own colour.
        length, photometric = full, "YBR_FULL"
    start = frame * length
    if not file.transfer_syntax.is_little_endian and form.bits_allocated == 8 and _is_word_data(file):
        return _decode_swapped(file, form, start, length, photometric)
    data = file.bytes_at(file.pixel_offset + start, length)
    return _decode_with(get_decoder(file.transfer_syntax), data, form, photometric)


def _is_word_data(file: DicomFile) -> bool:
    file.stream.seek(file.pixel_offset - 8)
    return file.stream.read(2) == b"OW"


def _decode_swapped(
    file: DicomFile, form: PixelFormat, start: int, length: int, photometric: str
) -> tuple[NDArray[Any], str]:
    """Eight-bit pixels in big-endian words: the bytes of each pair change places (PS3.5 8.1.1)."""
    first = start - start % 2
    words = min(file.pixel_length - first, (length + start % 2 + 1) // 2 * 2)
    raw = (
        np.frombuffer(file.bytes_at(file.pixel_offset + first, words // 2 * 2), ">u2").astype("<u2").tobytes()
    )
    data = raw[start % 2 :][:length]
    from pydicom.uid import ExplicitVRLittleEndian

    return _decode_with(get_decoder(ExplicitVRLittleEndian), data, form, photometric)


def _decode_jpeg_12(data: bytes, form: PixelFormat) -> tuple[NDArray[Any], str]:
    """Twelve-bit lossy JPEG (process 4), which pydicom's decoders refuse and libjpeg-turbo 3 reads."""
    import imagecodecs

    try:
        values = np.asarray(imagecodecs.jpeg8_decode(data))
    except MemoryError:
        raise
    except Exception as error:
        raise UnsupportedEncoding("Twelve-bit lossy JPEG of this kind is not read here.") from error
    if values.shape != (form.rows, form.columns):
        raise DamagedFile("The pixel data decode to another size than the header says.")
    return values.astype(np.uint16), form.photometric


def _check_codestream(file: DicomFile, form: PixelFormat, data: bytes) -> None:
    syntax = file.transfer_syntax
    if syntax in JPEG2000TransferSyntaxes:
        found = codestreams.jpeg2000(data)
    elif syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        found = codestreams.jpeg(data)
    elif syntax == RLELossless:
        return
    else:
        raise UnsupportedEncoding(f"The compression “{syntax.name[:64]}” is not read here.")
    check_frame(found.rows, found.columns, max(1, found.components), (found.precision + 7) // 8)
    if (found.rows, found.columns) != (form.rows, form.columns):
        raise DamagedFile(
            f"The header says {form.columns} × {form.rows} pixels, the compressed frame is "
            f"{found.columns} × {found.rows}."
        )
    if found.components != form.samples:
        raise DamagedFile(
            f"The header says {form.samples} sample(s) per pixel, the compressed frame "
            f"has {found.components}."
        )


def _frame_bytes(file: DicomFile, form: PixelFormat, frame: int) -> bytes:
    """The compressed bytes of one frame, its fragments joined (PS3.5 A.4)."""
    fragments = _fragments_of(file, form, frame)
    total = sum(length for _, length in fragments)
    if total == 0:
        raise NotAnImage("A frame of the DICOM file's pixel data is empty.", code="no_pixel_data")
    if total > MAX_FRAME_BYTES:
        raise TooLarge("One compressed frame is larger than one image may be.")
    return b"".join(file.bytes_at(offset, length) for offset, length in fragments)


def _fragments_of(file: DicomFile, form: PixelFormat, frame: int) -> list[tuple[int, int]]:
    fragments = file.fragments
    if form.frames == 1:
        return fragments
    if len(fragments) == form.frames:
        return [fragments[frame]]
    starts = _starts_from_table(file, form) or _starts_from_markers(file, form)
    if not starts:
        raise DamagedFile("The pixel data do not say where each frame starts.")
    end = starts[frame + 1] if frame + 1 < len(starts) else len(fragments)
    return fragments[starts[frame] : end]


def _starts_from_table(file: DicomFile, form: PixelFormat) -> list[int] | None:
    """Basic offset table to fragment numbers; offsets count from the first fragment's item tag."""
    if len(file.offset_table) != form.frames:
        return None
    first = file.fragments[0][0] - 8
    number_at = {offset - 8 - first: number for number, (offset, _) in enumerate(file.fragments)}
    starts = [number_at.get(offset, -1) for offset in file.offset_table]
    return starts if -1 not in starts and starts == sorted(set(starts)) else None


def _starts_from_markers(file: DicomFile, form: PixelFormat) -> list[int] | None:
    heads = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
    starts = [
        number
        for number, (offset, length) in enumerate(file.fragments)
        if length >= 4 and file.bytes_at(offset, 4).startswith(heads)
    ]
    return starts if len(starts) == form.frames else None
