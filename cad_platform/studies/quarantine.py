"""Files that clash with a stored image are set aside; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Sequence

from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.studies.matching import Verdict
from cad_platform.studies.models import Instance, QuarantinedFile, Study
from cad_platform.studies.received import ReceivedStudy


def keep(actor: Actor, received: ReceivedStudy, clashing: Sequence[Verdict], study: Study | None) -> None:
    """Keep the clashing files, whose bytes are named, with the study that they came for. One that is new is kept as a
    quarantined study, to be found."""
    assert actor.site_id is not None
    existing = {verdict.place: _existing(actor.site_id, verdict) for verdict in clashing}
    first = existing[clashing[0].place]
    if study is None:
        study = first.series.study
        if received.uid_given and study.study_instance_uid != received.study_instance_uid:
            study = Study.objects.create(
                site_id=actor.site_id,
                study_instance_uid=received.study_instance_uid,
                modality=received.modalities[0],
                modalities=received.modalities,
                state=Study.State.QUARANTINED,
                received_from=actor.token,
            )
    for verdict in clashing:
        QuarantinedFile.objects.get_or_create(
            site_id=actor.site_id,
            sop_instance_uid=existing[verdict.place].sop_instance_uid,
            file_id=verdict.sha256,
            defaults={
                "study": study,
                "existing": existing[verdict.place],
                "file_name": verdict.name,
                "reason": verdict.reason,
                "received_from": actor.token,
            },
        )
    record(
        actor,
        "study.quarantine",
        object_type="study",
        object_id=study.pk,
        outcome="refused",
        files=[verdict.sha256 for verdict in clashing],
    )


def _existing(site_id: int, verdict: Verdict) -> Instance:
    """The image that has the file's UID: stored before, or with this very post."""
    if verdict.existing is not None:
        return verdict.existing
    return Instance.objects.select_related("series__study").get(
        site_id=site_id, active=True, sop_instance_uid=verdict.clashes_within
    )
