"""Images as viewers and hospital systems read them: metadata, pixels, thumbnails, tiles, files, heat maps.

Session or bearer token; another site's image answers 404. Who looks is recorded by `studies.pixels`.
"""

from __future__ import annotations

import base64
import unicodedata
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cad_platform.analysis import selectors as analyses
from cad_platform.api.image_answers import (
    ImageMetadata,
    OfferedWindowAnswer,
    SlideAnswer,
    SlideLevelAnswer,
    TableAnswer,
    WindowAnswer,
)
from cad_platform.api.streaming import private, send, unchanged
from cad_platform.api.throttles import ImageThrottle
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import Invalid
from cad_platform.core.numbers import whole_number
from cad_platform.studies import opening, pixels, selectors, slides, storage
from cad_platform.studies.addresses import image_urls
from cad_platform.studies.models import Instance
from imaging.grayscale import Display, Greys, OfferedWindow

_FRAME = OpenApiParameter("frame", int, description="From 0; the first when left out.")
_PLANE = OpenApiParameter("plane", int, description="Focal plane, from 0; the middle one when left out.")
_PATH = OpenApiParameter("path", int, description="Optical path, from 0; the first when left out.")
_BINARY = {(200, "application/octet-stream"): OpenApiTypes.BINARY}


class AnyAccept(BaseContentNegotiation):
    """These addresses have one form each, whatever an <img> or a viewer says that it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ImageView(APIView):
    content_negotiation_class = AnyAccept
    http_method_names = ["get", "head", "options"]
    throttle_classes = [ImageThrottle]


class Metadata(ImageView):
    """What the image is and how to show a frame of it."""

    @extend_schema(operation_id="image_metadata", parameters=[_FRAME], responses=ImageMetadata)
    def get(self, request: Request, image: uuid.UUID) -> HttpResponseBase:
        instance, frame = opening.open_image(actor_of(request), image), _frame(request)
        response = Response(metadata(instance, request.build_absolute_uri, frame).as_json())
        response["Cache-Control"] = "private, no-cache"
        return response


class Pixels(ImageView):
    """One frame's stored values: row by row, little endian, 8 or 16 bits, colour as interleaved RGB."""

    @extend_schema(operation_id="image_pixels", parameters=[_FRAME], responses=_BINARY)
    def get(self, request: Request, image: uuid.UUID) -> HttpResponseBase:
        instance, frame = opening.open_image(actor_of(request), image), _frame(request)
        tag = pixels.frame_tag(instance, frame)
        if same := unchanged(request, tag):
            return same
        opened = pixels.open_frame(instance, frame)
        return send(
            request,
            opened.handle,
            tag=tag,
            media_type="application/octet-stream",
            size=opened.size,
            offset=opened.offset,
        )


class Thumbnail(ImageView):
    """A JPEG of the first frame, at most 320 pixels along its longer side."""

    @extend_schema(operation_id="image_thumbnail", responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, image: uuid.UUID) -> HttpResponseBase:
        instance = opening.open_image(actor_of(request), image)
        tag = f"{pixels.slide_tag(instance)}-thumbnail"
        return unchanged(request, tag) or _send_path(request, pixels.thumbnail(instance), tag, "image/jpeg")


class Rendered(ImageView):
    """An 8-bit PNG of a frame in full size, through the image's own window."""

    @extend_schema(
        operation_id="image_rendered",
        parameters=[_FRAME],
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, image: uuid.UUID) -> HttpResponseBase:
        instance, frame = opening.open_image(actor_of(request), image), _frame(request)
        tag = f"{pixels.frame_tag(instance, frame)}-rendered"
        if same := unchanged(request, tag):
            return same
        return _send_path(request, pixels.rendered(instance, frame), tag, "image/png")


class File(ImageView):
    """The file as it was posted, byte for byte. Ranges are served."""

    @extend_schema(operation_id="image_file", responses=_BINARY)
    def get(self, request: Request, image: uuid.UUID) -> HttpResponseBase:
        instance = opening.open_original(actor_of(request), image)
        if same := unchanged(request, instance.file_id):
            return same
        with storage.open(instance.file_id) as path:
            response = _send_path(request, path, instance.file_id, instance.file.media_type)
        response["Content-Disposition"] = content_disposition_header(
            as_attachment=True, filename=_plain_file_name(instance.file_name)
        )
        return response


class SlideDzi(ImageView):
    """A slide's Deep Zoom description; its tiles are below `slide_files/`."""

    @extend_schema(operation_id="slide_dzi", responses={(200, "application/xml"): OpenApiTypes.STR})
    def get(self, request: Request, image: uuid.UUID) -> HttpResponseBase:
        instance = opening.open_image(actor_of(request), image)
        tag = f"{pixels.slide_tag(instance)}-dzi"
        return unchanged(request, tag) or private(
            HttpResponse(pixels.slide_dzi(instance), content_type="application/xml"), tag
        )


class SlideTile(ImageView):
    """One Deep Zoom tile, JPEG."""

    @extend_schema(
        operation_id="slide_tile",
        parameters=[_PLANE, _PATH],
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, image: uuid.UUID, level: int, column: int, row: int) -> HttpResponseBase:
        instance = opening.open_image(actor_of(request), image)
        plane, path = _number(request, "plane"), _number(request, "path")
        tag = f"{pixels.slide_tag(instance)}-{level}-{column}-{row}-{plane}-{path}"
        if same := unchanged(request, tag):
            return same
        tile = pixels.slide_tile(instance, level, column, row, plane=plane, path=path)
        return private(HttpResponse(tile, content_type="image/jpeg"), tag)


class Artefact(ImageView):
    """A mask or heat map that a model drew: 8-bit grey PNG."""

    @extend_schema(operation_id="artefact", responses={(200, "image/png"): OpenApiTypes.BINARY})
    def get(self, request: Request, artefact: uuid.UUID) -> HttpResponseBase:
        actor = actor_of(request)
        found = analyses.artefact(actor, artefact)
        opening.open_artefact(actor, found.instance)
        if same := unchanged(request, found.file_id):
            return same
        with storage.open(found.file_id) as path:
            return _send_path(request, path, found.file_id, "image/png")


def metadata(instance: Instance, absolute: Callable[[str], str] = str, frame: int = 0) -> ImageMetadata:
    """The facts that a viewer starts from. Decodes the frame, which the viewer asks for next."""
    slide = getattr(instance, "slide", None) if instance.kind == Instance.Kind.SLIDE else None
    side = selectors.side_of_image(instance)
    return ImageMetadata(
        id=instance.pk,
        kind=cast(Any, instance.kind),
        sop_instance_uid=instance.sop_instance_uid,
        file_name=instance.file_name,
        rows=instance.rows,
        columns=instance.columns,
        frames=instance.frames,
        bits_stored=instance.bits_stored,
        lossy=instance.transfer_syntax_uid in _LOSSY_TRANSFER_SYNTAXES
        or instance.file.media_type == "image/jpeg",
        pixel_spacing_um=instance.pixel_spacing_um,
        pixel_spacing_source=instance.pixel_spacing_source,
        laterality=side.laterality,
        side_unconfirmed=bool(side.stop),
        view=instance.view_position,
        body_part=instance.body_part,
        slide=_slide(instance) if slide else None,
        urls=image_urls(instance, absolute),
        **(_COLOUR_8_BIT if slide else _frame_facts(instance, frame)),
    )


_COLOUR: dict[str, Any] = {
    "slope": 1,
    "intercept": 0,
    "window": None,
    "window_function": None,
    "min": None,
    "max": None,
    "display": None,
    "frames_alike": True,
    "windows": [],
    "modality_table": None,
    "padding": None,
}

#: How the tiles of a slide are stored.
_COLOUR_8_BIT: dict[str, Any] = {
    "bits_allocated": 8,
    "signed": False,
    "photometric": "RGB",
    "samples": 3,
    **_COLOUR,
}


def _frame_facts(instance: Instance, frame: int) -> dict[str, Any]:
    opened = pixels.open_frame(instance, frame)
    opened.handle.close()
    facts = opened.facts
    return {
        "bits_allocated": facts.bits_allocated,
        "signed": facts.signed,
        "photometric": facts.photometric,
        "samples": facts.samples,
        **(_COLOUR if facts.shown is None else _display_facts(facts.shown)),
    }


def _display_facts(shown: Display) -> dict[str, Any]:
    table = shown.modality_table
    return {
        "slope": shown.slope,
        "intercept": shown.intercept,
        "window": WindowAnswer(center=shown.window.centre, width=shown.window.width),
        "window_function": "LUT" if shown.by_lut else shown.window.function,
        "min": shown.minimum,
        "max": shown.maximum,
        "display": _greys(shown.greys),
        "frames_alike": shown.alike,
        "windows": [_offered(each) for each in shown.offered],
        "modality_table": table and TableAnswer(first=table.first, table=_base64(table.table)),
        "padding": shown.padding,
    }


def _offered(offered: OfferedWindow) -> OfferedWindowAnswer:
    return OfferedWindowAnswer(
        name=offered.name,
        center=offered.window and offered.window.centre,
        width=offered.window and offered.window.width,
        function=offered.window.function if offered.window else "LUT",
        display=offered.greys and _greys(offered.greys),
    )


def _greys(greys: Greys) -> TableAnswer:
    return TableAnswer(first=greys.first, table=_base64(greys.table))


def _base64(table: bytes) -> str:
    return base64.b64encode(table).decode()


def _slide(instance: Instance) -> SlideAnswer:
    slide, whole, layout = instance.slide, slides.slide_of(instance), pixels.slide_layout(instance)
    return SlideAnswer(
        width=instance.columns,
        height=instance.rows,
        mpp_x=slide.mpp_x,
        mpp_y=slide.mpp_y,
        objective_power=slide.objective_power,
        tile_size=layout.tile_side,
        overlap=layout.overlap,
        levels=[SlideLevelAnswer.model_validate(level) for level in whole.levels],
        focal_planes=whole.focal_planes_um,
        shown_plane=len(whole.focal_planes_um) // 2,
        optical_paths=whole.optical_paths,
        remarks=whole.remarks,
    )


#: JPEG baseline and extended, JPEG-LS near-lossless, JPEG 2000 (DICOM PS3.5 A.4).
_LOSSY_TRANSFER_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in ("50", "51", "81", "91", "203")
)


def _frame(request: HttpRequest) -> int:
    return _number(request, "frame") or 0


def _number(request: HttpRequest, name: str) -> int | None:
    given = request.GET.get(name)
    if given is None:
        return None
    number = whole_number(given)
    if number is None:
        raise Invalid(_("`%(name)s` is a number from 0.") % {"name": name})
    return number


def _send_path(request: HttpRequest, path: Path, tag: str, media_type: str) -> HttpResponseBase:
    handle = path.open("rb")
    return send(request, handle, tag=tag, media_type=media_type, size=path.stat().st_size)


def _plain_file_name(name: str) -> str:
    """Without folders and control or direction characters, which a download dialogue would act on."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if unicodedata.category(c)[0] != "C").strip(". ") or "image"
