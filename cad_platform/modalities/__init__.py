"""The kinds of study that the platform knows: one file each, which says all that differs by modality.

A modality is a module with a `MODALITY`: one of this folder, or one that the environment names in `CAD_MODALITIES`
(importable names, separated by commas). Data and pure functions; nothing of the platform is imported here, and nobody
else names a modality (`docs/contributing/add-a-modality.md`).
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterable

from cad_platform.modalities.modality import Modality, Words
from cad_platform.modalities.other_objects import OTHER_SOP_CLASSES

_modalities: dict[str, Modality] = {}


class UnknownModality(LookupError):
    """No modality is registered under this code."""


def register(modality: Modality) -> None:
    """Make a modality known. Raises `ValueError` where its code is taken, or one of its SOP classes is another's."""
    if modality.code in _modalities:
        raise ValueError(f"two modalities have the code {modality.code}")
    for other in _modalities.values():
        if shared := sorted(modality.sop_classes & other.sop_classes):
            raise ValueError(f"{modality.code} claims {', '.join(shared)}, which {other.code} has")
    _modalities[modality.code] = modality


def registered() -> tuple[Modality, ...]:
    """All of them, in the order of lists."""
    return tuple(sorted(_modalities.values(), key=lambda modality: (modality.position, modality.code)))


def codes() -> tuple[str, ...]:
    """Their codes, in the order of lists."""
    return tuple(modality.code for modality in registered())


def in_order(some: Iterable[str]) -> list[str]:
    """Registered codes in the order of lists; others are left out."""
    wanted = set(some)
    return [code for code in codes() if code in wanted]


def choices() -> list[tuple[str, Words]]:
    """Code and name of each, for a form."""
    return [(modality.code, modality.name) for modality in registered()]


def is_registered(code: str) -> bool:
    return code in _modalities


def get(code: str) -> Modality:
    """The modality of a code. Raises `UnknownModality`."""
    try:
        return _modalities[code]
    except KeyError:
        raise UnknownModality(f"no modality is registered as {code!r}; known: {', '.join(codes())}") from None


def name_of(code: str) -> str:
    """What people call it, in the language in use; the code itself where it is not registered."""
    return str(_modalities[code].name) if code in _modalities else code


def of_sop_class(uid: str) -> str:
    """The DICOM modality of an object, registered or not; empty where its SOP class tells none."""
    for modality in _modalities.values():
        if uid in modality.sop_classes:
            return modality.code
    return OTHER_SOP_CLASSES.get(uid, "")


def of_file_kind(kind: str) -> str:
    """The modality of which every file of this kind is, as a whole slide is histopathology; empty where several take
    such files."""
    takers = taking(kind)
    return takers[0].code if len(takers) == 1 else ""


def of_champion(model: str) -> Modality:
    """The modality for which the platform brings this model. Raises `UnknownModality`."""
    for modality in _modalities.values():
        if modality.champion == model:
            return modality
    raise UnknownModality(f"{model} is no modality's champion")


def taking(kind: str) -> tuple[Modality, ...]:
    """Those whose studies may hold a file of this kind."""
    return tuple(modality for modality in registered() if kind in modality.file_kinds)


def _register_all() -> None:
    named = os.environ.get("CAD_MODALITIES", "")
    here = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    elsewhere = [name.strip() for name in named.split(",") if name.strip()]
    for name in [*here, *elsewhere]:
        modality = getattr(importlib.import_module(name), "MODALITY", None)
        if modality is not None:
            register(modality)


_register_all()
