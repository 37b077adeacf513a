"""PNG, JPEG, PGM/PPM (Pillow) and TIFF (tifffile) as descriptions and pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.chest_wall import chest_wall_of
from imaging.description import Description, ImageFacts, Spacing
from imaging.errors import DamagedFile, NoSuchFrame, NotAnImage, TooLarge, UnsupportedEncoding
from imaging.formats import MEDIA_TYPES, Format
from imaging.limits import MAX_FRAME_BYTES, MAX_FRAMES, check_frame
from imaging.pixels import Pixels, grey_pixels, plain_grayscale
from imaging.resolution import dots_per_inch, tiff_resolution

_PILLOW_NAMES: dict[Format, str] = {"png": "PNG", "jpeg": "JPEG", "pnm": "PPM"}


def describe(path: Path, found: Format, *, prove: bool) -> Description:
    """See `imaging.reader.describe`."""
    facts, spacing = _tiff_facts(path) if found == "tiff" else _pillow_facts(path, found)
    border = None
    if prove:
        first = read(path, found, 0)
        # Of a film that was scanned; who sorts a study uses it for mammograms only.
        if first.photometric != "RGB":
            border = chest_wall_of(first)
    return Description(
        kind="image",
        media_type=MEDIA_TYPES[found],
        pixel_spacing_um=spacing,
        pixel_spacing_source=None if spacing is None else "resolution",
        facts=ImageFacts(chest_wall=border, spacing_um=spacing),
        **facts,
    )


def read(path: Path, found: Format, frame: int) -> Pixels:
    """See `imaging.reader.read`. Transparency is dropped; EXIF orientation is not applied, so that coordinates
    are those of the stored pixels."""
    return _read_tiff(path, frame) if found == "tiff" else _read_pillow(path, found, frame)


# --- Pillow --------------------------------------------------------------------------------------------


def _open_pillow(path: Path, found: Format) -> Any:
    from PIL import Image, UnidentifiedImageError

    # Ours is the limit, and it is an error instead of a warning.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(path, formats=(_PILLOW_NAMES[found],))
    except UnidentifiedImageError as error:
        raise DamagedFile(f"The {found.upper()} file is damaged: its header cannot be read.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedFile(f"The {found.upper()} file is damaged: its header cannot be read.") from error
    try:
        columns, rows = image.size
        if rows < 1 or columns < 1:
            raise NotAnImage("The image has no pixels.")
        check_frame(rows, columns, max(1, len(image.getbands())), 4 if image.mode in ("I", "F") else 2)
    except BaseException:
        image.close()
        raise
    return image


def _pillow_facts(path: Path, found: Format) -> tuple[dict[str, Any], Spacing | None]:
    with _open_pillow(path, found) as image:
        gray, bits = _gray_and_bits(image)
        spacing = dots_per_inch(image.info.get("dpi"))
        facts = {
            "rows": image.height,
            "columns": image.width,
            "samples": 1 if gray else 3,
            "bits_stored": bits,
            "photometric": "MONOCHROME2" if gray else "RGB",
            "encoded_photometric": {"P": "PALETTE COLOR", "YCbCr": "YBR_FULL"}.get(image.mode, image.mode),
        }
        return facts, spacing


def _gray_and_bits(image: Any) -> tuple[bool, int]:
    if image.mode == "1":
        return True, 1
    if image.mode in ("L", "LA", "La"):
        return True, 8
    if image.mode.startswith("I"):
        return True, 16
    if image.mode in ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"):
        return False, 8
    raise UnsupportedEncoding("The image's pixels are floating-point numbers or of a kind not read here.")


def _read_pillow(path: Path, found: Format, frame: int) -> Pixels:
    if frame != 0:
        raise NoSuchFrame(f"The image has one frame; there is no frame {frame}.")
    with _open_pillow(path, found) as image:
        gray, bits = _gray_and_bits(image)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image.load()
                if gray and bits == 16:
                    values = np.asarray(image)
                    values = np.clip(values, 0, 65_535).astype(np.uint16)
                elif gray:
                    values = np.asarray(image.convert("L"), dtype=np.uint8)
                    values = (values > 0).astype(np.uint8) if bits == 1 else values
                else:
                    values = np.asarray(image.convert("RGB"), dtype=np.uint8)
        except MemoryError:
            raise
        except Exception as error:
            raise DamagedFile(f"The {found.upper()} file is cut off or damaged.") from error
        spacing = dots_per_inch(image.info.get("dpi"))
    if gray:
        said = plain_grayscale(values, bits, inverted=False)
        return grey_pixels(values, bits, said, spacing=spacing)
    return Pixels(
        values=np.ascontiguousarray(values), photometric="RGB", bits_stored=bits, pixel_spacing_um=spacing
    )


# --- TIFF ----------------------------------------------------------------------------------------------


def _open_tiff(path: Path) -> Any:
    import tifffile

    try:
        tiff = tifffile.TiffFile(path)
        _ = tiff.pages[0]
    except (tifffile.TiffFileError, IndexError, ValueError, KeyError, OSError, TypeError) as error:
        raise DamagedFile("The TIFF file is damaged: its directory cannot be read.") from error
    return tiff


def _pages(tiff: Any) -> list[Any]:
    """The first page and those after it of the same size: frames. Thumbnails and labels are not."""
    first = tiff.pages[0]
    pages = [first]
    for number in range(1, min(len(tiff.pages), MAX_FRAMES)):
        page = tiff.pages[number]
        if page.shape != first.shape or page.dtype != first.dtype:
            break
        pages.append(page)
    return pages


def _tiff_facts(path: Path) -> tuple[dict[str, Any], Spacing | None]:
    with _open_tiff(path) as tiff:
        pages = _pages(tiff)
        page = pages[0]
        _check_page(page)
        if len(pages) > 1 and page.dtype.itemsize > 2:
            raise UnsupportedEncoding(
                "The TIFF file's pages hold 32-bit values, which need one common scale and are not read here."
            )
        gray = _is_gray(page)
        facts = {
            "rows": int(page.imagelength),
            "columns": int(page.imagewidth),
            "frames": len(pages),
            "samples": 1 if gray else 3,
            "bits_stored": min(16, int(page.bitspersample)) if gray else 8,
            "photometric": _tiff_photometric(page),
            "encoded_photometric": str(getattr(page.photometric, "name", page.photometric)),
        }
        return facts, tiff_resolution(page)


def _check_page(page: Any) -> None:
    rows, columns = int(page.imagelength), int(page.imagewidth)
    if rows < 1 or columns < 1:
        raise DamagedFile("The TIFF file says that its image has no pixels.")
    if page.dtype is None or page.dtype.kind not in "uib" or page.dtype.itemsize > 4:
        raise UnsupportedEncoding("The TIFF file's pixels are of a number format that is not read here.")
    if int(page.imagedepth) != 1 or len(page.shape) > 3:
        raise UnsupportedEncoding("The TIFF file holds a volume, not an image.")
    check_frame(rows, columns, int(page.samplesperpixel), page.dtype.itemsize)
    if int(page.samplesperpixel) > 16:
        raise UnsupportedEncoding("The TIFF file has more channels than an image has.")
    tile = int(page.tilewidth or 0) * int(page.tilelength or 0) * int(page.samplesperpixel)
    if tile * page.dtype.itemsize > MAX_FRAME_BYTES:
        raise TooLarge("The TIFF file's tiles are larger than one image may be.")
    if int(page.photometric) not in (0, 1, 2, 3, 5, 6):
        raise UnsupportedEncoding("The TIFF file's colour model is not read here.")


def _is_gray(page: Any) -> bool:
    return int(page.photometric) in (0, 1)


def _tiff_photometric(page: Any) -> Any:
    if int(page.photometric) == 0:
        return "MONOCHROME1"
    return "MONOCHROME2" if int(page.photometric) == 1 else "RGB"


def _read_tiff(path: Path, frame: int) -> Pixels:
    with _open_tiff(path) as tiff:
        pages = _pages(tiff)
        if not 0 <= frame < len(pages):
            raise NoSuchFrame(f"The image has {len(pages)} frame(s); there is no frame {frame}.")
        page = pages[frame]
        _check_page(page)
        try:
            values = np.asarray(page.asarray(maxworkers=1))
        except MemoryError:
            raise
        except Exception as error:
            if "codec" in str(error).lower() or "compression" in str(error).lower():
                raise UnsupportedEncoding("The TIFF file's compression is not read here.") from error
            raise DamagedFile("The TIFF file is cut off or damaged.") from error
        if any(not count for count in page.databytecounts):
            raise DamagedFile("The TIFF file is damaged: parts of the picture are missing.")
        values, spacing = _to_picture(page, values), tiff_resolution(page)
        if _is_gray(page):
            bits = min(16, int(page.bitspersample))
            said = plain_grayscale(
                values, bits, inverted=_tiff_photometric(page) == "MONOCHROME1", frames=len(pages)
            )
            return grey_pixels(values, bits, said, spacing=spacing, frame=frame, frames=len(pages))
        return Pixels(
            values=np.ascontiguousarray(values),
            photometric="RGB",
            bits_stored=8,
            pixel_spacing_um=spacing,
            frame=frame,
            frames=len(pages),
        )


def _to_picture(page: Any, values: NDArray[Any]) -> NDArray[Any]:
    rows, columns, model = int(page.imagelength), int(page.imagewidth), int(page.photometric)
    if values.ndim == 3 and values.shape[1:] == (rows, columns) and values.shape[2] not in (3, 4):
        values = np.moveaxis(values, 0, -1)  # planar samples
    if values.ndim == 3 and model in (0, 1):
        values = values[..., 0]
    if values.shape[:2] != (rows, columns):
        raise DamagedFile("The TIFF file decodes to another size than it says.")
    if model == 3:
        return _from_palette(page, values)
    if model in (0, 1):
        return _gray_values(values)
    if values.ndim != 3 or values.shape[2] < 3:
        raise DamagedFile("The TIFF file says that it is in colour and has fewer than three channels.")
    if values.dtype.itemsize > 1:
        values = values >> (values.dtype.itemsize * 8 - 8)
    if model == 5:
        if values.shape[2] < 4:
            raise DamagedFile("The TIFF file says CMYK and has fewer than four channels.")
        ink = 255 - values[..., :4].astype(np.uint16)
        return (ink[..., :3] * ink[..., 3:] // 255).astype(np.uint8)
    if model == 6 and int(page.compression) not in (6, 7, 33003, 33005, 34712):
        from PIL import Image

        return np.asarray(Image.fromarray(values[..., :3].astype(np.uint8), "YCbCr").convert("RGB"))
    return values[..., :3].astype(np.uint8)


def _gray_values(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype == np.bool_ or values.dtype == np.uint8:
        return values.astype(np.uint8)
    if values.dtype.kind == "i" and values.dtype.itemsize <= 2:
        return values.astype(np.int16)
    if values.dtype.itemsize <= 2:
        return values.astype(np.uint16)
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high < 2**16:
        return values.astype(np.uint16)
    return ((values.astype(np.float64) - low) * (65_535 / max(1, high - low))).astype(np.uint16)


def _from_palette(page: Any, values: NDArray[Any]) -> NDArray[np.uint8]:
    palette = page.colormap
    if palette is None or values.ndim != 2 or len(palette) != 3:
        raise DamagedFile("The TIFF file's colour palette is missing or damaged.")
    palette = np.asarray(palette)
    index = np.clip(values, 0, palette.shape[1] - 1)
    return (palette[:, index] >> 8).astype(np.uint8).transpose(1, 2, 0)
