"""The model store: one folder a model. Nothing is served whose bytes are not those of its manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from inference.contract import ModelManifest

#: The repository's own store; a hospital's may lie elsewhere.
DEFAULT_STORE = Path(__file__).resolve().parents[2] / "model_store"


class StoreError(Exception):
    """A model is missing, its manifest is invalid, or its weights are not those of the manifest."""


def model_names(store: Path = DEFAULT_STORE) -> tuple[str, ...]:
    """The folders with a manifest, sorted."""
    return tuple(sorted(path.parent.name for path in store.glob("*/manifest.json")))


def read_manifest(name: str, store: Path = DEFAULT_STORE) -> ModelManifest:
    """
    Raises:
        StoreError: no such model, or a manifest that the contract refuses.
    """
    path = store / name / "manifest.json"
    try:
        manifest = ModelManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"the store has no model {name}") from error
    except ValidationError as error:
        raise StoreError(f"the manifest of {name} is invalid: {error.error_count()} errors") from error
    if manifest.name != name:
        raise StoreError(f"the folder {name} holds the manifest of {manifest.name}")
    return manifest


def verified_weights(manifest: ModelManifest, store: Path = DEFAULT_STORE) -> Path:
    """The path of the weights after their hash was compared.

    Raises:
        StoreError: the file is missing or has other bytes.
    """
    path = store / manifest.name / manifest.weights.file
    if not path.is_file():
        raise StoreError(f"the weights of {manifest.name} are missing")
    if file_sha256(path) != manifest.weights.sha256:
        raise StoreError(f"the weights of {manifest.name} are not those of its manifest")
    return path


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
