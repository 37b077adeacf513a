"""The bench of urgency: what it calls kept, and the slide that it posts."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.urgency import LIMIT_LOSS, LIMIT_S, Urgency, write_large_slide
from imaging import sandbox


@pytest.mark.parametrize(
    ("urgent", "beside", "kept"),
    [
        ((0.4, LIMIT_S), 100.0, True),
        ((0.4, LIMIT_S + 0.01), 100.0, False),
        ((0.4,), 100.0 / (1 - LIMIT_LOSS) - 0.01, True),
        ((0.4,), 100.0 / (1 - LIMIT_LOSS) + 0.01, False),
    ],
)
def test_both_limits_must_be_kept(urgent: tuple[float, ...], beside: float, kept: bool) -> None:
    assert Urgency(urgent, 100.0, beside, 10).kept is kept


def test_the_slide_is_a_pyramid_with_a_scale_also_with_other_bytes_behind(tmp_path: Path) -> None:
    path = write_large_slide(tmp_path / "slide.tif", (3000, 2400))
    path.write_bytes(path.read_bytes() + b"another one")
    found = sandbox.describe(path, prove=True)
    assert (found.kind, found.columns, found.rows) == ("slide", 3000, 2400)
    assert found.pixel_spacing_um == pytest.approx((0.5, 0.5), rel=0.01)
