"""How the histopathology network is learned: IDC patches → `FieldNetwork`: readers of single fields, then the
attention over bags of fields of one patient."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from torch import Generator, Tensor
from torch.nn import functional as F

from inference.blocks.networks.fields import FieldReader, chances, mirrored, prepare
from inference.blocks.networks.novelty import statistics
from inference.champions.histopathology.network import FieldNetwork
from inference.champions.learning import decided, fitted
from inference.champions.plan import Plan
from inference.champions.recipe import ChampionRecipe
from inference.datasets import idc
from inference.datasets.pixels import read_rgb
from inference.datasets.sample import Manifest, Sample
from inference.recipes.part import digest_of
from inference.recipes.provenance import Fitted, Stamp
from inference.training.batches import InMemory
from inference.training.device import device

#: What the recipe calls the network that softens labels.
TEACHER = "teacher"


def read(root: Path) -> Manifest:
    """The data set, from the folder that holds all sets."""
    return idc.read(root / "idc")


def load(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """N×50×50×3 uint8; the few patches that the slide's edge cut smaller are filled with white."""
    fields = np.full((len(samples), idc.PATCH_PX, idc.PATCH_PX, 3), 255, np.uint8)
    for index, sample in enumerate(samples):
        patch = read_rgb(sample.path)[: idc.PATCH_PX, : idc.PATCH_PX]
        fields[index, : patch.shape[0], : patch.shape[1]] = patch
    return fields


def train(plan: Plan, samples: Sequence[Sample], folder: Path) -> Fitted[FieldNetwork]:
    """The network fitted to `samples` by the recipe: readers, attention, novelty distance; checkpoints in `folder`."""
    fields = torch.from_numpy(load(samples))
    labels = soften(plan, samples, fields, folder)
    learned = [
        fit_reader(plan, name, samples, fields, labels, folder)
        for name in plan.recipe.networks
        if name.startswith("reader_")
    ]
    network = FieldNetwork([each.thing for each in learned]).eval()
    network.novelty.fit(pooled_statistics(network, fields[:: max(1, len(fields) // 3000)]))
    fit_attention(network, samples, fields, plan.recipe, plan.seed)
    return Fitted(network, Stamp("readers", frozenset().union(*(each.stamp.seen for each in learned))))


def soften(plan: Plan, samples: Sequence[Sample], fields: Tensor, folder: Path) -> Tensor:
    """The labels, float N, moved by the recipe's `softening` towards what smaller trainings say that never saw the
    patient.

    The outlines behind the labels are coarse. A network's own answer on what it was trained on repeats them; one that
    did not see the patient follows the tissue (distillation after Hinton 2015, cross-fitted).
    """
    labels = torch.tensor([float(sample.label_binary or False) for sample in samples])
    softening = plan.recipe.setting("softening")
    if softening == 0:
        return labels
    groups = [sample.group_id for sample in samples]
    folds = min(int(plan.recipe.setting("teachers")), len(set(groups)))
    said = torch.zeros(len(samples))
    for number, (inside, outside) in enumerate(GroupKFold(folds).split(groups, groups=groups)):
        taught = replace(plan, seed=plan.seed + number)
        own = [samples[i] for i in inside]
        teacher = fit_reader(
            taught, TEACHER, own, fields[inside], labels[inside], folder / f"teacher-{number}"
        )
        said[outside] = torch.from_numpy(chances(teacher.thing, fields[outside], device()))
    return labels + softening * (said - labels)


def fit_reader(
    plan: Plan, name: str, samples: Sequence[Sample], fields: Tensor, labels: Tensor, folder: Path
) -> Fitted[FieldReader]:
    """One reader of `fields` (N×50×50×3 uint8, `labels` float N in 0–1), the recipe's network `name`."""
    nothing = torch.zeros(len(labels), 0)
    source = InMemory((fields.permute(0, 3, 1, 2), nothing, nothing, labels), labels).to(device())
    learned = fitted(
        plan, name, samples, source, folder, classes=2, decided_by=_decided_by(plan.recipe, name)
    )
    assert isinstance(learned.thing, FieldReader)
    return Fitted(learned.thing, learned.stamp)


def _decided_by(recipe: ChampionRecipe, name: str) -> str:
    """The digest of what decides the training of network `name` besides its stages, each of which says for itself what
    it is: of a reader the teachers, too, who soften its labels."""
    said: list[object] = [decided(recipe, name)]
    if name != TEACHER:
        softened = [recipe.setting(key) for key in ("softening", "teachers")]
        said += [digest_of(recipe.network(TEACHER)), *softened]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@torch.no_grad()
def pooled_statistics(network: FieldNetwork, fields: Tensor) -> NDArray[np.float32]:
    """What `Novelty` looks at, N×352."""
    return np.concatenate(
        [statistics(network.first.backbone.pyramid(prepare(chunk))).numpy() for chunk in fields.split(64)]
    )


@torch.no_grad()
def _pooled(network: FieldNetwork, fields: Tensor) -> tuple[Tensor, Tensor]:
    """The first reader's features N×1280 and the logits N of all fields."""
    features, logits = [], []
    for chunk in fields.split(64):
        features.append(network.first.pooled(prepare(chunk)))
        logits.append(network(chunk).logit)
    return torch.cat(features), torch.cat(logits)


def fit_attention(
    network: FieldNetwork, samples: Sequence[Sample], fields: Tensor, recipe: ChampionRecipe, seed: int = 0
) -> None:
    """Teach the attention: a bag of one patient's fields is positive when any of them is. The readers stand still,
    and half of the bags are drawn from fields without carcinoma only, since nearly every patient has some."""
    features, logits = _pooled(network, fields)
    most = int(recipe.setting("bag_fields"))
    positive = torch.tensor([bool(sample.label_binary) for sample in samples])
    of_patient: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        of_patient[sample.group_id].append(index)
    members = [torch.tensor(indices) for indices in of_patient.values()]
    generator = Generator().manual_seed(seed)
    torch.manual_seed(seed)
    for parameter in (network.attention.content, network.attention.gate, network.attention.score):
        parameter.reset_parameters()
    optimiser = torch.optim.AdamW(network.attention.parameters(), lr=1e-3, weight_decay=0.1)
    for _ in range(int(recipe.setting("bag_steps"))):
        losses = []
        for number in torch.randint(len(members), (16,), generator=generator).tolist():
            own = members[number]
            clean = own[~positive[own]]
            chosen = clean if torch.rand(1, generator=generator) < 0.5 and len(clean) else own
            count = min(len(chosen), int(torch.randint(2, most + 1, (1,), generator=generator)))
            bag = chosen[torch.randperm(len(chosen), generator=generator)[:count]]
            weights = torch.softmax(network.attention(features[bag]), dim=0)
            logit = (weights * logits[bag]).sum()
            losses.append(F.binary_cross_entropy_with_logits(logit, positive[bag].any().float()))
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()


@torch.no_grad()
def score(
    network: FieldNetwork, fields: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits and distances of N×50×50×3 fields, mirrored copies averaged as at serving time."""
    logits, distances = [], []
    for chunk in torch.from_numpy(fields).split(64):
        answers = [network(each) for each in mirrored(chunk)]
        logits.append(torch.stack([answer.logit for answer in answers]).mean(dim=0).numpy())
        distances.append(answers[0].distance.numpy())
    return np.concatenate(logits).astype(np.float64), np.concatenate(distances).astype(np.float64)
