"""`python -m inference acceptance`: a model on a hospital's own known cases, and whether to switch it on."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from inference.champions.registry import discipline_of
from inference.contract import AnalysisError, ModelManifest
from inference.datasets.sample import LeakError, Sample
from inference.evaluation import acceptance_report, measuring
from inference.evaluation.acceptance import WORDS, Acceptance, Verdict, accept
from inference.evaluation.account import AccountError
from inference.evaluation.cases import Case, CasesError, read_cases
from inference.evaluation.figures import NotComputable
from inference.evaluation.local_figures import SET
from inference.evaluation.protocol import measure
from inference.evaluation.records import AWAY, RecordsError
from inference.evaluation.results import all_on_record
from inference.evaluation.shift import ShiftError, read_reference
from inference.evaluation.training_manifest import read_training_manifest, trained_samples
from inference.progress import ProgressLine
from inference.runtime import custody
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest, verified_weights, version_folder

#: Exit status where the verdict is not to switch on, or that there are too few cases.
NOT_ON = 2
_NAMED = 8


def run(chosen: Namespace) -> int:
    """The subcommand: 0 where the model may be switched on, with conditions or without, 2 where not, 1 with sentences
    on stderr where the table is not right."""
    manifest = read_manifest(chosen.model, chosen.store, chosen.version)
    try:
        cases = read_cases(chosen.cases, chosen.images, manifest)
        chosen.out.mkdir(parents=True, exist_ok=True)
        found = measured(manifest, chosen.store, cases)
    except (CasesError, LeakError, RecordsError, AccountError, NotComputable, AnalysisError) as error:
        for sentence in str(error).splitlines():
            print(f"inference: {sentence}", file=sys.stderr)
        return 1
    written = acceptance_report.write(found, manifest, chosen.out)
    print(f"{found.model} {found.version}: {WORDS[found.verdict]}")
    print("\n".join(f"  {sentence}" for sentence in found.reasons))
    print(
        "\n".join(f"  condition: {sentence}" for sentence in found.conditions),
        end="\n" if found.conditions else "",
    )
    print(f"report: {written[0]}")
    return 0 if found.verdict in (Verdict.ON, Verdict.WITH) else NOT_ON


def measured(manifest: ModelManifest, store: Path, cases: Sequence[Case]) -> Acceptance:
    """Run the served weights over the cases, and judge.

    Raises
    ------
    LeakError
        The model was trained on some of them.
    """
    folder = version_folder(manifest, store)
    custody.verify(folder)
    samples = [_sample(case, manifest) for case in cases]
    _refuse_trained(cases, samples, folder)
    forward = OnnxForward(verified_weights(manifest, store))
    with ProgressLine(patience=0, elsewhere=2.0) as line:
        run_over = measuring.measure_samples(
            manifest, forward, samples, split="external",
            progress=lambda done, whole: (line.keep if done == whole else line.show)(f"{done} of {whole} images"),
        )  # fmt: skip
    told = {case.image: case for case in cases}
    records = [
        replace(record, facts={**told[record.image].facts, "positive": record.facts["positive"],
                               "gate": record.facts["gate"]})
        for record in run_over.records
    ]  # fmt: skip
    try:
        reference = read_reference(folder)
    except ShiftError:
        reference = None
    failed = [sentence.removeprefix(f"{SET} ") for sentence in run_over.failed]
    at_home = measure(manifest, [record for record in all_on_record(folder) if record.split not in AWAY])
    return accept(manifest, records, run_over.features, failed, at_home, reference)


def _sample(case: Case, manifest: ModelManifest) -> Sample:
    return Sample(
        id=case.image,
        dataset=SET,
        discipline=discipline_of(manifest),
        path=case.path,
        parts=case.parts,
        group_id=case.patient,
        label=case.label,
        label_binary=case.positive,
        spacing_um=case.um_per_px,
    )


def _refuse_trained(cases: Sequence[Case], samples: Sequence[Sample], folder: Path) -> None:
    """Known by their bytes, and by their look where the model's own sets have no patients."""
    seen: set[int] = set()
    for name in read_training_manifest(folder):
        own = [replace(sample, dataset=name, group_id=f"case {i}") for i, sample in enumerate(samples)]
        seen |= set(trained_samples(own, folder))
    if seen:
        lines = ", ".join(str(cases[index].line) for index in sorted(seen)[:_NAMED])
        rest = f" and {len(seen) - _NAMED} more" if len(seen) > _NAMED else ""
        raise LeakError(
            f"{folder.parent.name} {folder.name} was trained on {len(seen)} of these cases (lines {lines}{rest} of the "
            "table): they say nothing of how it reads others; leave them out"
        )
