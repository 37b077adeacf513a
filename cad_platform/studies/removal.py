"""Removing the bytes of files at once, with what was derived from them: for an erasure, which does not wait until the
collector comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cad_platform.studies import storage
from cad_platform.studies.collector import unreferenced
from cad_platform.studies.models import StoredFile
from cad_platform.studies.pixels import cache


@dataclass(frozen=True)
class Left:
    """What was not removed: files that another study's rows name, and those that somebody is about to name."""

    named: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def remove(names: Sequence[str]) -> Left:
    """Remove files that no row names, from the storage and from the caches of this machine.

    Parameters
    ----------
    names
        Hashes of files, and whatever else derived files are named by (`slides.StudySlide.tag`).

    Raises
    ------
    Unavailable
        The storage does not answer.
    """
    left = Left()
    for name in names:
        with storage.locked_for_collection(name) as alone:
            if not alone:
                left.waiting.append(name)
                continue
            unreferenced(StoredFile.objects.filter(sha256=name)).delete()
            if StoredFile.objects.filter(sha256=name).exists():
                left.named.append(name)
                continue
            storage.delete(name)
    cache().forget(set(names) - set(left.named) - set(left.waiting))
    return left
