"""What lies in the model store of a registered version."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from cad_platform.core.errors import NotFound
from cad_platform.registry.models import ModelVersion


def is_in_store(version: ModelVersion) -> bool:
    """Whether the model store holds this very version: its files stand for no other."""
    from inference.runtime.store import StoreError, read_manifest, version_folder

    try:
        found = read_manifest(version.name, settings.MODEL_STORE, version.version)
    except StoreError:
        return False
    weights = version_folder(found, settings.MODEL_STORE) / found.weights.file
    return found.weights.sha256 == version.weights_sha256 and weights.is_file()


def plot_of(version: ModelVersion, name: str) -> bytes:
    """One of the plots beside the model, an SVG. Raises `NotFound`."""
    folder = settings.MODEL_STORE / version.name / version.version / "plots"
    path = {path.stem: path for path in folder.glob("*.svg")}.get(name)
    if path is None or not is_in_store(version):
        raise NotFound(_("There is no such plot."))
    return path.read_bytes()
