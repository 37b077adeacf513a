"""Addresses of images. Only ids stand in them, never a patient's name or number."""

from django.urls import path

from cad_platform.api import images

urlpatterns = [
    path("images/<uuid:image>/metadata", images.Metadata.as_view(), name="image-metadata"),
    path("images/<uuid:image>/pixels", images.Pixels.as_view(), name="image-pixels"),
    path("images/<uuid:image>/thumbnail", images.Thumbnail.as_view(), name="image-thumbnail"),
    path("images/<uuid:image>/rendered", images.Rendered.as_view(), name="image-rendered"),
    path("images/<uuid:image>/file", images.File.as_view(), name="image-file"),
    path("images/<uuid:image>/slide.dzi", images.SlideDzi.as_view(), name="image-dzi"),
    path(
        "images/<uuid:image>/slide_files/<int:level>/<int:column>_<int:row>.jpeg",
        images.SlideTile.as_view(),
        name="image-tile",
    ),
    path("artefacts/<uuid:artefact>", images.Artefact.as_view(), name="artefact"),
]
