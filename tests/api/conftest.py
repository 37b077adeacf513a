"""Stored images and a person who may see them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from django.conf import LazySettings
from django.test import Client

if TYPE_CHECKING:  # the models cannot be imported before Django is ready
    from cad_platform.accounts.models import Site, User
    from cad_platform.studies.models import Instance


@pytest.fixture
def private_cache(tmp_path: Path, settings: LazySettings) -> Iterator[None]:
    from cad_platform.studies import opening

    settings.DERIVED_CACHE_DIR = tmp_path / "derived"
    yield
    opening._recent_views._seen.clear()


@pytest.fixture
def clinic() -> Site:
    from tests import factories

    return factories.site()


@pytest.fixture
def radiologist(clinic: Site) -> User:
    from cad_platform.accounts.models import Role
    from tests import factories

    return factories.user(Role.RADIOLOGIST, clinic)


@pytest.fixture
def browser(radiologist: User) -> Client:
    from tests.api.stored_images import signed_in

    return signed_in(radiologist)


@pytest.fixture
def film(clinic: Site, tmp_path: Path) -> Instance:
    """A 12-bit film, MONOCHROME1, 40 × 30."""
    from tests.api.stored_images import GRADIENT, dicom, stored

    return stored(
        clinic,
        dicom(GRADIENT),
        "application/dicom",
        tmp_path,
        kind="dicom",
        rows=30,
        columns=40,
        bits_stored=12,
        file_name="film.dcm",
    )


@pytest.fixture
def photograph(clinic: Site, tmp_path: Path) -> Instance:
    """A colour picture, 400 × 300."""
    from tests.api.stored_images import png, stored

    colour = np.zeros((300, 400, 3), np.uint8)
    colour[..., 0] = np.arange(400) // 2
    colour[..., 2] = 77
    return stored(
        clinic, png(colour), "image/png", tmp_path, "SM", rows=300, columns=400, samples=3, file_name="f.png"
    )


@pytest.fixture
def slide(clinic: Site, tmp_path: Path) -> Instance:
    """A pyramid of two levels, 1024 × 768, red left of the middle and blue right of it."""
    from cad_platform.studies.models import Slide
    from tests.api.stored_images import stored

    full = np.zeros((768, 1024, 3), np.uint8)
    full[:, :512, 0] = full[:, 512:, 2] = 200
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as writer:
        options: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb", "compression": "deflate"}
        writer.write(full, **options)
        writer.write(full[::4, ::4], subfiletype=1, **options)
    instance = stored(
        clinic,
        path.read_bytes(),
        "image/tiff",
        tmp_path,
        "SM",
        kind="slide",
        rows=768,
        columns=1024,
        samples=3,
    )
    levels = [{"width": 1024, "height": 768, "downsample": 1}, {"width": 256, "height": 192, "downsample": 4}]
    Slide.objects.create(instance=instance, mpp_x=0.5, mpp_y=0.5, objective_power=20, levels=levels)
    return instance
