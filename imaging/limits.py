"""How much one file may ask for. Every reader checks these before it allocates."""

from __future__ import annotations

from imaging.errors import TooLarge

MAX_SIDE = 65_535
MAX_FRAME_BYTES = 640 * 1024 * 1024
"""Decoded bytes of one frame: a 16 bit mammogram needs 25 MB, a photograph of a whole slide 300 MB."""
MAX_FRAMES = 100_000
MAX_INFLATED_BYTES = 512 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_SLIDE_SIDE = 2_000_000
MAX_TILE_SIDE = 8_192
MAX_SLIDE_FILES = 200
"""Files of one slide: levels, focal planes and parts of concatenations, all open at a time."""


def check_frame(rows: int, columns: int, samples: int, bytes_per_sample: int) -> None:
    """Refuse a picture that would not fit.

    Raises
    ------
    TooLarge
        A side beyond `MAX_SIDE` pixels, or more than `MAX_FRAME_BYTES` decoded.
    """
    if rows > MAX_SIDE or columns > MAX_SIDE or rows * columns * samples * bytes_per_sample > MAX_FRAME_BYTES:
        raise TooLarge(
            f"The image claims {columns} × {rows} pixels, more than one image may have "
            f"({MAX_FRAME_BYTES // 2**20} MiB decoded)."
        )
