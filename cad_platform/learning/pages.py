"""What the pages show of a data set's version: its counts in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.models import Role
from cad_platform.learning import versions
from cad_platform.learning.gathering import BENIGN, MALIGNANT, NORMAL, PATHOLOGY, REASONS, REPORT
from cad_platform.learning.models import DatasetVersion

_LABELS = {MALIGNANT: _("malignant"), BENIGN: _("benign"), NORMAL: _("normal")}
_FROM = {PATHOLOGY: _("pathology"), REPORT: _("signed report")}


@dataclass(frozen=True)
class Told:
    """Everything that the page of one version shows."""

    version: DatasetVersion
    withdrawn: int
    labels: list[tuple[str, str, str, int]]
    """Label, where it is from, role of whoever signed, images."""
    left_out: list[tuple[str, int]]


def told_of(version: DatasetVersion) -> Told:
    """Put the page together."""
    rows = (
        version.items.order_by("label", "label_from", "reader_role")
        .values_list("label", "label_from", "reader_role")
        .annotate(count=Count("pk"))
    )
    roles = dict(Role.choices)
    return Told(
        version,
        versions.withdrawn(version),
        [
            (str(_LABELS[label]), str(_FROM[source]), str(roles.get(role, role)), count)
            for label, source, role, count in rows
        ],
        [(str(REASONS.get(reason, reason)), count) for reason, count in version.left_out.items()],
    )
