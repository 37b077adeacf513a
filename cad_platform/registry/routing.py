"""Which versions of the models run for a study, and which of them count: the one place that says so.

For now that is the default version of every model of the study's modalities, each for its own images, for every site
and patient alike. Jobs keep the version that they were made for; whether a job's version is still routed is asked here
too.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet

from cad_platform import modalities
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study

#: A model's studies are analysed with another version now. Payload: `name`.
ROUTED_TOPIC = "model.routed"


def route(study: Study) -> list[ModelVersion]:
    """The versions that analyse this study now, by name, without their long texts. Their results are the ones that
    count."""
    return list(routed_versions(study.modalities or [study.modality]).defer("card", "metrics"))


def routed_versions(of: Collection[str] | None = None) -> QuerySet[ModelVersion]:
    """The versions that analyse images of some modalities (of any where None), by name."""
    found = ModelVersion.objects.filter(is_routed()).order_by("name")
    return found if of is None else found.filter(modality__in=of)


def standby_versions() -> QuerySet[ModelVersion]:
    """The versions that are known and analyse nothing now."""
    return ModelVersion.objects.exclude(is_routed())


def has_model() -> Q:
    """As a condition on studies: a model analyses such studies. One is routed, or the platform brings one for the
    modality, which becomes the default at the first start."""
    brought = [modality.code for modality in modalities.registered() if modality.champion]
    return Q(modality__in=brought) | Q(Exists(routed_versions().filter(modality=OuterRef("modality"))))


def is_routed(prefix: str = "") -> Q:
    """The same as a condition on rows that lead to a version.

    Parameters
    ----------
    prefix
        The way from the row to its version, as Django's lookups write it: `"model_version__"` for jobs.
    """
    return Q(**{f"{prefix}is_default": True})
