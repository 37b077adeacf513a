"""A `Plot` as PNG, for reports that people pass on: drawn with Pillow alone, the same plot gives the same picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from inference.evaluation.plots import Plot, Points

_SIDE, _LEFT, _TOP, _RIGHT, _BOTTOM = 480, 84, 52, 28, 72
_FINE = 2
_INK, _BLUE, _GRID, _DASHES = "#222222", "#0b5cad", "#dddddd", "#888888"


def write_png(plot: Plot, path: Path) -> Path:
    """592×604 px, drawn twice as large and brought down so that lines are smooth. Pillow's own font has no minus
    sign: a hyphen stands for it."""
    width, height = _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM
    picture = Image.new("RGB", (width * _FINE, height * _FINE), "#ffffff")
    draw = ImageDraw.Draw(picture)
    small, large = (ImageFont.load_default(size * _FINE) for size in (14, 17))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _FINE * (_LEFT + _SIDE * min(x / plot.x_end, 1)),
            _FINE * (_TOP + _SIDE * (1 - min(y, 1))),
        )

    def words(
        x: float, y: float, text: str, anchor: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
    ) -> None:
        draw.text((x * _FINE, y * _FINE), text.replace("−", "-"), fill=_INK, anchor=anchor, font=font)

    words(_LEFT, 26, plot.title, "lm", large)
    for tick in range(5):
        share = tick / 4
        draw.line([place(plot.x_end * share, 0), place(plot.x_end * share, 1)], fill=_GRID, width=_FINE)
        draw.line([place(0, share), place(plot.x_end, share)], fill=_GRID, width=_FINE)
        words(_LEFT + _SIDE * share, _TOP + _SIDE + 18, f"{plot.x_end * share:g}", "mm", small)
        words(_LEFT - 10, _TOP + _SIDE * (1 - share), f"{share:g}", "rm", small)
    words(_LEFT + _SIDE / 2, _TOP + _SIDE + 48, plot.x_words, "mm", small)
    upright = Image.new("RGB", (_SIDE * _FINE, 24 * _FINE), "#ffffff")
    ImageDraw.Draw(upright).text(
        (_SIDE * _FINE / 2, 12 * _FINE), plot.y_words, fill=_INK, anchor="mm", font=small
    )
    picture.paste(upright.rotate(90, expand=True), (14 * _FINE, _TOP * _FINE))
    _dashed(draw, [place(x, y) for x, y in plot.compare])
    if plot.curve:
        draw.line([place(x, y) for x, y in plot.curve], fill=_BLUE, width=3 * _FINE, joint="curve")
    dots = [place(x, y) for x, y in plot.dots]
    if len(dots) > 1 and not plot.curve:
        draw.line(dots, fill=_BLUE, width=2 * _FINE)
    for x, y in dots:
        draw.ellipse([x - 6 * _FINE, y - 6 * _FINE, x + 6 * _FINE, y + 6 * _FINE], fill=_BLUE)
    picture.resize((width, height), Image.Resampling.LANCZOS).save(path)
    return path


def _dashed(draw: ImageDraw.ImageDraw, corners: Points) -> None:
    for (x0, y0), (x1, y1) in pairwise(corners):
        for step in range(0, 40, 2):
            draw.line(
                [(x0 + (x1 - x0) * s / 40, y0 + (y1 - y0) * s / 40) for s in (step, step + 1)],
                fill=_DASHES, width=2 * _FINE,
            )  # fmt: skip
