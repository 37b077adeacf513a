"""How a reader left images and stage, and what was measured, as JSON: what the browser sends and what it is told again
when the case is opened."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from cad_platform.core.answers import Answer

_Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
_Name = Annotated[str, Field(max_length=100)]
#: In stored pixels, level 0 for slides; the origin at the top left.
Point = tuple[_Finite, _Finite]


class _View(Answer):
    """An earlier version of the platform may have kept less; what is answered has everything."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class KeptWindow(Answer):
    """A window that the reader made or chose."""

    center: _Finite
    width: Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e9)]
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


class ImageView(_View):
    """How one image is shown, as far as it is not as it opens. Zoom and place are told by the image, so that a pane of
    another size shows the same."""

    window: KeptWindow | None = None
    table: _Name | None = None
    """The name of one of the header's tables, in place of a window."""
    inverted: bool = False
    flipped: bool = False
    zoom: Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e6)] | None = None
    """Over the scale at which the whole image fits; none where the image lies as it opens."""
    centre: Point | None = None
    """The image point in the middle of the pane; there with `zoom`."""
    frame: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    plane: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Of a slide, the focal plane; none for the one that it opens with."""
    path: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Of a slide, the optical path."""


class StageView(_View):
    """What hangs and what the pointer does."""

    together: bool
    """Whether the views hang together, where they can."""
    shown: Annotated[list[_Name], Field(max_length=100)] = []
    """The image in each place of the hanging, by its id; those of places that are empty are left out."""
    active: _Name = ""
    tool: Literal["window", "pan", "zoom", "length", "arrow"] = "window"
    linked: bool = False
    marks: bool = True
    heat: bool = False


class KeptViews(Answer):
    """All that a reader left of a study."""

    stage: StageView | None
    images: dict[str, ImageView]
    """By the image's id."""


class ViewKept(Answer):
    """The view is on the server."""

    kept: Literal[True] = True


class CaseAnnotation(Answer):
    """A length or an arrow on an image: the reader's own, or one of the report's."""

    id: str
    image: str
    frame: int | None
    """Of a clip, from 0: it is shown on this frame only."""
    kind: Literal["length", "arrow"]
    points: tuple[Point, Point]
    """An arrow's tip is the second."""
    note: str
    words: str
    """How long a length is, by the scale that holds there; an arrow's are empty."""
    author: str
    """Whose it is; empty for the reader's own."""
    in_report: bool
    revision: int
    removed: bool


class AnnotationDrawn(Answer):
    """What the browser sends of one that was drawn, moved, noted, taken away or brought back: always all of it."""

    image: _Name
    frame: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    kind: Literal["length", "arrow"]
    points: tuple[Point, Point]
    note: str = Field("", max_length=2000)
    revision: Annotated[int, Field(ge=1, le=2_000_000_000)]
    removed: bool = False
