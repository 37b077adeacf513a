"""The model store: `<name>/<version>/`, several versions side by side. Nothing is served whose bytes are not those
of its manifest.

The folders say what there is; what is served and which version is the default is not decided here. A folder whose
name begins with a dot is not looked at: that is where a version may lie while it is being copied.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version
from pydantic import ValidationError

from imaging.digest import sha256_of
from inference.contract import ModelManifest

MANIFEST = "manifest.json"
#: Where versions are looked for: the repository's own store, or a hospital's.
DEFAULT_STORE = Path(
    os.environ.get("CAD_MODEL_STORE") or Path(__file__).resolve().parents[2] / "model_store"
).absolute()


class StoreError(Exception):
    """A model is missing, its manifest is invalid, or its weights are not those of the manifest."""


@dataclass(frozen=True)
class Contents:
    """All that a store holds: the manifests that can be used, and a sentence about each folder that cannot."""

    manifests: tuple[ModelManifest, ...]
    refused: tuple[str, ...]


def model_names(store: Path = DEFAULT_STORE) -> tuple[str, ...]:
    """The models with at least one version, sorted."""
    return tuple(
        sorted({folder.parent.name for folder in _folders(store) if _parsed(folder.name) is not None})
    )


def versions_of(name: str, store: Path = DEFAULT_STORE) -> tuple[str, ...]:
    """The versions of a model, oldest first; 2.10.0 comes after 2.9.0. None where there is no such model.

    A folder whose name is no version is none: `contents` says so.
    """
    found = {folder.name: _parsed(folder.name) for folder in _folders(store, name)}
    ordered = sorted((version, text) for text, version in found.items() if version is not None)
    return tuple(text for _, text in ordered)


def read_manifest(name: str, store: Path = DEFAULT_STORE, version: str | None = None) -> ModelManifest:
    """
    Parameters
    ----------
    version
        The newest where None.

    Raises
    ------
    StoreError
        No such model or version, or a manifest that the contract refuses or that is another's.
    """
    there = versions_of(name, store)
    if not there:
        known = ", ".join(model_names(store)) or "none"
        raise StoreError(f"the store has no model {name}; it has {known}")
    if version is not None and version not in there:
        raise StoreError(f"the store has no {name} {version}; it has {', '.join(there)}")
    return manifest_in(store / name / (version or there[-1]))


def manifests(store: Path = DEFAULT_STORE) -> tuple[ModelManifest, ...]:
    """Every version of every model: by name, oldest first.

    Raises
    ------
    StoreError
        One of them cannot be used. `contents` goes on instead.
    """
    found = contents(store)
    if found.refused:
        raise StoreError("; ".join(found.refused))
    return found.manifests


def contents(store: Path = DEFAULT_STORE) -> Contents:
    """What a store holds; a folder that cannot be used hides no other."""
    read, refused = [], []
    for folder in _folders(store):
        try:
            read.append(manifest_in(folder))
        except StoreError as error:
            refused.append(str(error))
    return Contents(tuple(sorted(read, key=lambda one: (one.name, Version(one.version)))), tuple(refused))


def manifest_in(folder: Path) -> ModelManifest:
    """The manifest of one version's folder, whose two last names must be the manifest's own.

    Raises
    ------
    StoreError
        They are not, the contract refuses it, or there is none.
    """
    which = f"{folder.parent.name}/{folder.name}"
    if _parsed(folder.name) is None:
        raise StoreError(f"{which}: {folder.name} is no version number such as 2.3.0")
    try:
        manifest = ModelManifest.model_validate_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{which} has no manifest that can be read") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise StoreError(f"the manifest of {which} is invalid ({_count(error)})") from error
    if (manifest.name, manifest.version) != (folder.parent.name, folder.name):
        raise StoreError(f"the folder {which} holds the manifest of {manifest.name} {manifest.version}")
    return manifest


def version_folder(manifest: ModelManifest, store: Path = DEFAULT_STORE) -> Path:
    """Where everything of that version lies."""
    return store / manifest.name / manifest.version


def verified_weights(manifest: ModelManifest, store: Path = DEFAULT_STORE) -> Path:
    """The path of the weights after their hash was compared.

    Raises
    ------
    StoreError
        The file is missing or has other bytes.
    """
    path = version_folder(manifest, store) / manifest.weights.file
    if not path.is_file():
        raise StoreError(f"the weights of {manifest.name} {manifest.version} are missing")
    if sha256_of(path) != manifest.weights.sha256:
        raise StoreError(f"the weights of {manifest.name} {manifest.version} are not those of its manifest")
    return path


def next_version(name: str, store: Path = DEFAULT_STORE) -> str:
    """One patch number above the newest, the release of a release candidate; 1.0.0 where there is none."""
    there = versions_of(name, store)
    if not there:
        return "1.0.0"
    newest = Version(there[-1])
    if newest.is_prerelease:
        return newest.base_version
    return f"{newest.major}.{newest.minor}.{newest.micro + 1}"


def is_version(text: str) -> bool:
    """Whether a version's folder may be called so."""
    return _parsed(text) is not None


def _folders(store: Path, name: str = "*") -> list[Path]:
    """Every folder with a manifest, whatever it is called."""
    found = {path.parent for path in store.glob(f"{name}/*/{MANIFEST}")}
    return sorted(f for f in found if not f.name.startswith(".") and not f.parent.name.startswith("."))


def _parsed(text: str) -> Version | None:
    """None where it is no version, or not the one way to write it ("2.3.0", "2.3.0rc1", not "v2.3-rc1")."""
    try:
        version = Version(text)
    except InvalidVersion:
        return None
    return version if str(version) == text and not version.epoch and version.local is None else None


def _count(error: ValueError) -> str:
    return f"{error.error_count()} errors" if isinstance(error, ValidationError) else "not UTF-8"
