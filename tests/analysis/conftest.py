"""Studies with real phantoms in real storage, and the real models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imaging.phantoms import ultrasound

MakeStudy = Callable[..., Any]


@pytest.fixture
def models(db: None) -> dict[str, Any]:
    """The repository's models by name: registered, and each in use."""
    from tests.registered import models_in_use

    return models_in_use()


@pytest.fixture(scope="session")
def phantom_png(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("phantom") / "phantom.png"
    ultrasound.write_png(ultrasound.phantom(3, "malignant"), path)
    return path.read_bytes()


@pytest.fixture
def ultrasound_study(models: dict[str, Any], phantom_png: bytes) -> MakeStudy:
    """Make a complete ultrasound study of `images` phantoms; `content` stands in for the picture's bytes."""
    from django.db import transaction

    from cad_platform.studies import storage
    from tests import factories

    def make(at: Any = None, images: int = 1, content: bytes = phantom_png) -> Any:
        study = factories.study(at or factories.site(), "US")
        for number in range(1, images + 1):
            with transaction.atomic():
                file = storage.store_bytes(content, "image/png")
            size = {"rows": 480, "columns": 640, "pixel_spacing_um": 80.0}
            factories.instance(study, view="", kind="image", file=file, number=number, **size)
        return study

    return make
