"""A version as a tree of files for the laboratory, which reads it with `inference/datasets/hospital.py`.

dataset.json   what it is, how much of what, and the limits of what is known
images.csv     one row an image: pseudonym of the patient, label and where it is from, side, what readers marked
images/        the pixels as they are shown, drawn anew: no header of the hospital's comes along
"""

from __future__ import annotations

import csv
import hashlib
import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from django.db import transaction
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, PlatformError, Unavailable
from cad_platform.learning import versions
from cad_platform.learning.models import DatasetItem, DatasetVersion
from cad_platform.studies import pixels

FORMAT = 1
COLUMNS = (
    "image", "subject", "label", "label_from", "side", "view", "assessment", "reader_role", "report_version",
    "sha256", "findings",
)  # fmt: skip
#: What whoever learns from a tree has to know of it. For the laboratory, which speaks English.
LIMITS = (
    "Names burned into pixels are not looked for: left out is only what a header says to carry them. Look at the "
    "pictures before they leave the hospital.",
    "Patients are pseudonyms drawn at random; the hospital can lead them back by its database.",
    "A label is what pathology of the same breast said within a year, else what a signed report settled; a benign or "
    "normal report that pathology never answered may be wrong.",
    "Findings are what readers accepted, edited or drew. What a model marked first may be where readers looked.",
    "Clips, slides and images that the models do not read are left out.",
)


def export(
    actor: Actor, version: DatasetVersion, into: Path, told: Callable[[int, int], object] = lambda *_: None
) -> int:
    """Write a version's tree; it appears when all of it is there.

    Parameters
    ----------
    into
        A folder that does not exist yet.
    told
        Called with how many images are written, and of how many.

    Returns
    -------
    int
        Images.

    Raises
    ------
    NotFound, NotPermitted
    Conflict
        `withdrawn`: a patient of it no longer consents; `exists`: the folder is there; `changed`: an image cannot be
        read, or its file is another now.
    Unavailable
        The folder cannot be written.
    """
    require(actor, "dataset.make", version)
    if count := versions.withdrawn(version):
        raise Conflict(
            _("%(count)d patients of this version no longer consent: make the next version.") % {"count": count},
            code="withdrawn",
        )  # fmt: skip
    if into.exists():
        raise Conflict(_("%(folder)s is there already.") % {"folder": into.name}, code="exists")
    items = list(version.items.select_related("instance__file"))
    part = into.with_name(f".{into.name}-{secrets.token_hex(4)}")
    try:
        (part / "images").mkdir(parents=True)
        with (part / "images.csv").open("x", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            for done, item in enumerate(items, start=1):
                table.writerow(_row(item, _picture(item, part / "images")))
                told(done, len(items))
        (part / "dataset.json").write_text(json.dumps(_described(version, items), indent=1) + "\n")
        # Whoever withdrew while the pictures were written is not exported either.
        if versions.withdrawn(version):
            raise Conflict(_("A patient of this version no longer consents."), code="withdrawn")
        with transaction.atomic():
            record(
                actor, "dataset.export", object_type="dataset_version", object_id=version.pk,
                site_id=version.site_id, images=len(items),
            )  # fmt: skip
            part.rename(into)
    except OSError as error:
        raise Unavailable(_("The folder cannot be written (%(why)s).") % {"why": error.strerror}) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return len(items)


def _picture(item: DatasetItem, folder: Path) -> str:
    """Write an image as it is shown; the SHA-256 of what was written."""
    instance = item.instance
    if instance.file_id != item.file_sha256:
        raise Conflict(_("An image of this version is another now: make the next version."), code="changed")
    try:
        content = pixels.rendered(instance, 0).read_bytes()
    except PlatformError as error:
        raise Conflict(
            _("%(image)s cannot be read: %(why)s") % {"image": item.name, "why": error.detail}, code="changed"
        ) from error
    (folder / f"{item.name}.png").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _row(item: DatasetItem, sha256: str) -> dict[str, object]:
    return {
        "image": f"{item.name}.png", "subject": item.subject, "label": item.label, "label_from": item.label_from,
        "side": item.side, "view": item.view, "assessment": item.assessment, "reader_role": item.reader_role,
        "report_version": item.report_version, "sha256": sha256, "findings": json.dumps(item.findings),
    }  # fmt: skip


def _described(version: DatasetVersion, items: list[DatasetItem]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "discipline": modalities.get(version.modality).champion,
        "modality": version.modality,
        "version": version.number,
        "made_at": version.made_at.isoformat(timespec="seconds"),
        "images": len(items),
        "patients": len({item.subject for item in items}),
        "labels": versions.labels(version),
        "left_out": version.left_out,
        "consent": "every patient consented when this tree was written",
        "limits": list(LIMITS),
    }
