"""Where an image's forms are. Only random ids stand in the addresses, never a patient's name or number."""

from __future__ import annotations

from collections.abc import Callable

from django.urls import reverse
from pydantic import Field

from cad_platform.core.answers import Answer
from cad_platform.studies.models import Instance


class ImageUrls(Answer):
    """The addresses of an image; what it does not have is null."""

    metadata: str
    pixels: str | None = Field(description="Stored values of a frame; none for slides")
    thumbnail: str
    rendered: str | None
    file: str = Field(description="The file as posted")
    tiles: str | None = Field(description="Deep Zoom descriptor; slides only")


def metadata_path(image: Instance) -> str:
    """Where what is known of an image stands."""
    return reverse("image-metadata", args=[image.pk])


def image_urls(image: Instance, absolute: Callable[[str], str] = str) -> ImageUrls:
    """The addresses of an image's forms.

    Parameters
    ----------
    image
        Of any kind; a slide has tiles instead of pixels.
    absolute
        Makes an address of a path, for readers that are no page of ours: `request.build_absolute_uri`.
    """
    is_slide = image.kind == Instance.Kind.SLIDE

    def url(name: str) -> str:
        return absolute(reverse(name, args=[image.pk]))

    return ImageUrls(
        metadata=absolute(metadata_path(image)),
        pixels=None if is_slide else url("image-pixels"),
        thumbnail=url("image-thumbnail"),
        rendered=None if is_slide else url("image-rendered"),
        file=url("image-file"),
        tiles=url("image-dzi") if is_slide else None,
    )
