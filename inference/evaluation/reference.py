"""What a version's own images look like to it: `reference.csv`, of the images of its predictions of record.

A shift test and an acceptance compare a hospital's images with them (`inference.evaluation.shift`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from inference.contract import ModelManifest
from inference.datasets.sample import Sample, evenly
from inference.evaluation.measuring import measure_samples
from inference.evaluation.records import Record
from inference.evaluation.shift import reference_of, write_reference
from inference.progress import CountProgress
from inference.runtime.forward import Forward

#: So many images, evenly drawn, stay small and tell enough.
MOST = 1000


def make_reference(
    manifest: ModelManifest, forward: Forward, folder: Path, records: Sequence[Record], samples: Iterable[Sample],
    *, most: int = MOST, progress: CountProgress | None = None,
) -> tuple[Path | None, list[str]]:  # fmt: skip
    """Write it: the images of the predictions of record, looked at again by the served pipeline.

    Parameters
    ----------
    records
        The predictions of record.
    samples
        Where their images are found; others among them are left out.

    Returns
    -------
    tuple
        The file, None where none of the images was among `samples` and could be read; a sentence about each that
        could not.
    """
    known = {(sample.dataset, sample.id): sample for sample in samples}
    there = [
        record for record in records
        if (record.dataset, record.image) in known and manifest.positive_class in record.probabilities
    ]  # fmt: skip
    chosen = evenly(there, most)
    measured = measure_samples(
        manifest, forward, [known[record.dataset, record.image] for record in chosen], progress=progress
    )
    seen = {
        (record.dataset, record.image): own
        for record, own in zip(measured.records, measured.features, strict=True)
    }
    kept = [record for record in chosen if (record.dataset, record.image) in seen]
    if not kept:
        return None, measured.failed
    features = [seen[record.dataset, record.image] for record in kept]
    return write_reference(folder, reference_of(kept, features, manifest)), measured.failed
