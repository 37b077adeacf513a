"""Bodies of STOW-RS in pieces of any size."""

from __future__ import annotations

import io

import pytest

from edge.multipart import MalformedBody, Parts, boundary_of
from tests.edge.boxes import related


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 100_000])
@pytest.mark.parametrize(
    "files",
    [
        (b"one",),
        (b"", b"two"),
        (b"\r\n--images-of-one-stud", b"\r\n", b"see --images-of-one-study here"),
    ],
)
def test_parts_are_what_was_sent_whatever_the_pieces(files: tuple[bytes, ...], piece: int) -> None:
    body, headers = related(*files)
    stream = io.BytesIO(b"a preamble\r\n" + body + b"an epilogue")
    parts = Parts(lambda most: stream.read(min(most, piece)), boundary_of(headers["Content-Type"]))
    assert tuple(b"".join(part) for part in parts) == files


def test_a_part_that_nobody_reads_is_passed_over() -> None:
    body, headers = related(b"one", b"two")
    parts = Parts(io.BytesIO(body).read, boundary_of(headers["Content-Type"]))
    assert [number for number, _ in enumerate(parts)] == [0, 1]


def test_a_body_that_ends_early_is_no_shorter_part() -> None:
    body, headers = related(b"one", b"two")
    parts = Parts(io.BytesIO(body[:-12]).read, boundary_of(headers["Content-Type"]))
    with pytest.raises(MalformedBody, match="closing boundary"):
        for part in parts:
            b"".join(part)


@pytest.mark.parametrize(
    "kind",
    [
        "application/dicom",
        "multipart/form-data; boundary=x",
        "multipart/related",
        "multipart/related; type=text/plain; boundary=x",
    ],
)
def test_other_bodies_are_refused(kind: str) -> None:
    with pytest.raises(MalformedBody):
        boundary_of(kind)
