"""How a coordinator and its sites talk: eight bytes of length, then an archive of arrays. Nothing is unpickled."""

from __future__ import annotations

import io
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

#: Arrays by name; a word is an array of text without a dimension.
Message = dict[str, NDArray[Any]]


def send(into: IO[bytes], message: Message) -> None:
    """Write one message and flush it."""
    content = io.BytesIO()
    np.savez(content, **cast(dict[str, Any], message))
    into.write(content.getbuffer().nbytes.to_bytes(8, "big"))
    into.write(content.getvalue())
    into.flush()


def receive(out_of: IO[bytes]) -> Message | None:
    """The next message; None where the other side has hung up."""
    length = out_of.read(8)
    if len(length) < 8:
        return None
    content = out_of.read(int.from_bytes(length, "big"))
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
