"""A modality with studies stays registered: `migrate`, which every start runs first, says so before a page breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections

from cad_platform import modalities


def no_study_has_lost_its_modality(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """An error for each modality that studies have and nobody registers."""
    from cad_platform.studies.models import Study

    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        if Study._meta.db_table not in connections[alias].introspection.table_names():
            continue  # before the first migration
        lost = Study.objects.using(alias).exclude(modality__in=modalities.codes())
        found += [
            checks.Error(
                f"There are studies of {code}, and no modality is registered under this code.",
                hint="Put its file back into cad_platform/modalities, or name its module in CAD_MODALITIES.",
                id="studies.E001",
            )
            for code in lost.order_by("modality").values_list("modality", flat=True).distinct()
        ]
    return found
