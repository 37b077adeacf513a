"""The findings that a result brings: numbered within the study, the most suspicious first."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Max

from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.studies.models import Instance
from inference.contract import AnalysisResult, Flag


def keep_findings(job: AnalysisJob, instances: Sequence[Instance], result: AnalysisResult) -> None:
    """Numbered on from the study's last, under the lock that readers' findings take too; the most suspicious first. A
    place in an image that the model cannot judge is no finding."""
    last = Finding.objects.filter(study=job.study_id).aggregate(last=Max("number"))["last"] or 0
    marked = [
        (finding, instance)
        for image, instance in zip(result.images, instances, strict=True)
        if Flag.OUT_OF_DISTRIBUTION not in image.flags
        for finding in image.findings
    ]
    marked.sort(key=lambda entry: -entry[0].score)
    Finding.objects.bulk_create(
        Finding(
            study_id=job.study_id,
            instance=instance,
            job=job,
            number=number,
            label=finding.label,
            score=finding.score,
            box=list(finding.box),
            polygon=[list(point) for point in finding.polygon] if finding.polygon else None,
            frame=finding.frame,
            descriptors=finding.descriptors,
        )
        for number, (finding, instance) in enumerate(marked, start=last + 1)
    )
