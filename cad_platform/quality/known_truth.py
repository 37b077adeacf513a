"""What signed pathology says of studies, taken up as known cases that versions are compared by."""

from __future__ import annotations

from django.db import transaction

from cad_platform.accounts.rules import require
from cad_platform.analysis.known_studies import keep_truth
from cad_platform.analysis.models import KnownTruth
from cad_platform.core.actor import Actor
from cad_platform.quality.models import AnalysisFact
from cad_platform.registry.models import ModelVersion

_SOURCE = "pathology"


@transaction.atomic
def take_from_pathology(actor: Actor, version: ModelVersion) -> int:
    """Take up what is proven of studies that a version of this model has analysed; returns of how many that is new.
    What a person's table says of a study stays.

    Raises
    ------
    NotPermitted
    """
    require(actor, "model.manage")
    # Two that ask at once: the second finds the first's.
    ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    known = {
        study: (positive, source)
        for study, positive, source in KnownTruth.objects.order_by("at", "pk").values_list(
            "study", "positive", "source"
        )
    }
    proven = AnalysisFact.objects.filter(model_version__name=version.name, proven_positive__isnull=False)
    of_studies = dict(
        proven.filter(study__withdrawn_at=None).order_by("ended_at").values_list("study", "proven_positive")
    )
    new = [
        KnownTruth(study_id=study, positive=positive, source=_SOURCE, by=actor.user)
        for study, positive in of_studies.items()
        if positive is not None
        if study not in known or known[study] == (not positive, _SOURCE)
    ]
    return keep_truth(actor, new, _SOURCE)
