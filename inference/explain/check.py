"""All checks of one network over samples that it has not seen, and what is written of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn

from inference.champions.explained import Explained, Method, Reading
from inference.champions.registry import explained_of, names
from inference.contract import ModelManifest
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Sample, evenly
from inference.evaluation.folder import EXPLANATION
from inference.explain.deletion import compare
from inference.explain.measure import Measured, Outcome
from inference.explain.methods import METHODS, method_named
from inference.explain.network import Answer
from inference.explain.pointing import POINTING, play, play_served
from inference.explain.randomisation import STOPS, cascade, layers_of, stop_name
from inference.explain.subject import Subject, subjects_of
from inference.runtime.forward import Forward

#: Maps of a random network may be this much more like the original than shuffled squares are.
NOISE_MARGIN = 0.2
ATTRIBUTED = 48
COMPARED = 48
CASCADED = 12
_TIMED = 3


@dataclass(frozen=True, eq=False)
class Network:
    """What is checked, and how it is `explained`. `answer` gives forward passes (`through_forward`, `through_module`);
    with `module`, the torch network itself and its outputs' names, gradients and random weights are tried too; with
    `served`, its manifest and a `Forward`, the heat map that clinicians see."""

    explained: Explained
    answer: Answer
    module: tuple[nn.Module, Answer] | None = None
    served: tuple[ModelManifest, Forward] | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that this network can be explained by."""
        possible = {
            "map": self.explained.reading.place is not None,
            "integrated_gradients": self.module is not None,
            "occlusion": True,
        }
        return tuple(name for name in METHODS if possible[name])


@dataclass
class Checked:
    """What `check` found. Those of several folds are joined by `+=`: outcomes are pooled, not averaged."""

    outcomes: list[Outcome] = field(default_factory=list)
    #: seconds that one heat map took, by method
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __iadd__(self, other: Checked) -> Checked:
        self.outcomes += other.outcomes
        for name, times in other.seconds.items():
            self.seconds.setdefault(name, []).extend(times)
        return self


def check(
    network: Network, samples: Sequence[Sample], *, methods: Sequence[str] | None = None,
    limit: int | None = None, compared: int = COMPARED, seed: int = 0,
) -> Checked:  # fmt: skip
    """The pointing game over samples with a lesion, deletion and insertion over those of the positive class, and
    the randomisation test where there is a torch network. Nothing is known here of what was trained on: the
    caller passes samples that `network` has not seen (a fold's network, its held-out fold).

    `limit`: so many samples, evenly drawn. Attributions take seconds an image and are made for at most
    `ATTRIBUTED`; deletion and insertion take 170 forward passes and are measured on at most `compared`.
    """
    reading = network.explained.reading
    # where a set outlines lesions, images of other sets are another task's
    useful = [sample for sample in samples if shows_lesion(sample)]
    useful = evenly(useful or [sample for sample in samples if sample.label == reading.positive], limit)
    subjects = subjects_of(network.explained, useful)
    checked = Checked()
    if network.served is not None:
        checked.outcomes += _served(network.served, useful, subjects)
    for name in network.methods if methods is None else methods:
        few = subjects if name == "map" else evenly(subjects, ATTRIBUTED)
        answer = network.answer
        if name == "integrated_gradients":
            assert network.module is not None, "integrated gradients need a torch network"
            answer = network.module[1]
        explain = partial(method_named, name, answer, reading)
        checked.seconds[name] = _timed(explain(reading.positive), few)
        positives = [subject for subject in few if subject.label == reading.positive]
        checked.outcomes += play(name, explain, few)
        checked.outcomes += compare(name, explain, answer, reading, evenly(positives, compared), seed=seed)
        if network.module is not None and name != "occlusion":
            checked.outcomes += _cascade(name, network.module, reading, evenly(positives, CASCADED), seed)
    return checked


def _timed(method: Method, subjects: Sequence[Subject]) -> list[float]:
    times = []
    for subject in evenly(subjects, _TIMED):
        begun = time.perf_counter()
        method(subject.canvas)
        times.append(time.perf_counter() - begun)
    return times


def shows_lesion(sample: Sample) -> bool:
    """Whether the set outlines something in it (a normal image's mask is black)."""
    return bool(sample.masks) and sample.label != "normal"


def _served(
    served: tuple[ModelManifest, Forward], samples: Sequence[Sample], subjects: Sequence[Subject]
) -> list[Outcome]:
    truths = [
        (subject, read_joined_masks(sample.masks, *read_gray(sample.path).shape) > 0)
        for sample, subject in zip(samples, subjects, strict=True)
        if shows_lesion(sample)
    ]
    return play_served(*served, [(subject, lesion) for subject, lesion in truths if lesion.any()])


def _cascade(
    name: str, module: tuple[nn.Module, Answer], reading: Reading, subjects: Sequence[Subject], seed: int
) -> list[Outcome]:
    network, answer = module
    if not subjects:
        return []
    explain = partial(method_named, name, answer, reading)

    def asked() -> torch.Tensor:
        outputs = answer(torch.from_numpy(subjects[0].canvas.tensor).float())
        if name == "map":
            assert reading.place is not None
            return reading.place(outputs)
        return reading.log_odds(outputs)[reading.positive]

    return cascade(name, network, explain, layers_of(network, asked), subjects, seed=seed)


def verdicts(model: str, measured: Sequence[Measured]) -> dict[str, bool]:
    """Each claim that the checks bear on, and whether it holds."""
    claims: dict[str, bool] = {}
    for one in measured:
        name = f"{one.method.replace('_', ' ')}: "
        if one.check == POINTING and one.method == "served map":
            target = explained_of(model).pointing_target if model in names() else None
            if target is not None:
                claims[f"{name}points into the lesion in at least {target:.0%}"] = one.value >= target
        elif one.check.endswith("better than random"):
            claims[f"{name}{one.check}"] = one.low > 0
        elif one.check == stop_name("rank correlation", STOPS[-1]):
            claims[f"{name}gone when the weights are random"] = (
                abs(one.value) <= abs(one.chance) + NOISE_MARGIN
            )
    return claims


def report(
    manifest: ModelManifest, measured: Sequence[Measured], *, command: str, protocol: str, seed: int = 0
) -> dict[str, object]:
    """What stands in `explanation.json`; `protocol`, a sentence, says which networks were checked on what."""
    checks: dict[str, dict[str, object]] = {}
    for one in measured:
        checks.setdefault(one.check, {})[one.method] = one.as_json()
    return {
        "model": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.weights.sha256,
        "command": command,
        "protocol": protocol,
        "seed": seed,
        "holds": verdicts(manifest.name, measured),
        "checks": checks,
    }


def record(folder: Path, content: dict[str, object]) -> Path:
    """Replace `explanation.json` beside the weights; the card is written from it."""
    path = folder / EXPLANATION
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def as_text(content: dict[str, object], seconds: dict[str, list[float]]) -> str:
    """A table for people."""
    lines = [f"{content['model']} {content['version']}: {content['protocol']}"]
    checks = content["checks"]
    assert isinstance(checks, dict)
    for check_name, methods in checks.items():
        for method, one in methods.items():
            lines.append(
                f"  {one['value']:6.3f}  [{one['low']:.3f}, {one['high']:.3f}]  chance {one['chance']:.3f}  "
                f"{check_name}, {method} ({one['images']} images, {one['groups']} groups)"
            )
    holds = content["holds"]
    assert isinstance(holds, dict)
    lines += [f"  {'holds' if value else 'FAILS'}  {claim}" for claim, value in holds.items()]
    lines += [
        f"  {sum(times) / len(times):6.2f} s for one heat map, {name}" for name, times in seconds.items()
    ]
    return "\n".join(lines) + "\n"
