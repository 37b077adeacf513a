"""The recipe of the histopathology model: IDC patches → `FieldNetwork`: two readers of single fields, then the
attention over bags of fields of one patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from inference.blocks.augment import cut_out, mixed_stains
from inference.blocks.networks.backbone import imagenet_backbone
from inference.blocks.networks.efficientnet import effnet_lite1
from inference.blocks.networks.novelty import statistics
from inference.blocks.sampling import shuffled
from inference.champions.histopathology.network import FieldNetwork, FieldReader, prepare
from inference.datasets import idc
from inference.datasets.pixels import read_rgb
from inference.datasets.sample import Manifest, Sample
from inference.training.device import device, laid_out
from inference.training.fit import Schedule, fit, fit_soup


@dataclass(frozen=True)
class Settings:
    """What a recipe may set. `epochs`: of each reader on mixed pairs, as many as there are; the first is an
    EfficientNet-Lite0, the others Lite1. `plain_epochs`: of the second part of each reader's training, without mixed
    pairs, which is run `restarts` times and averaged. `frozen`: stages that stay at their ImageNet values.
    `softening`, `teacher_epochs` (mixed, plain): see `soften`."""

    epochs: tuple[int, ...] = (16, 12)
    plain_epochs: tuple[int, ...] = (12, 12)
    restarts: int = 2
    frozen: int = 0
    softening: float = 0.4
    teacher_epochs: tuple[int, int] = (8, 5)
    batch: int = 64
    learning_rate: float = 1e-3
    plain_rate: float = 6e-4
    backbone_rate: float = 0.6


DEFAULT = Settings()
_MIXED_SHARE = 0.5
_TEACHERS = 4
_BAG_FIELDS = 24
_BAG_STEPS = 400


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


def train(samples: Sequence[Sample], run: Path, settings: Settings = DEFAULT, seed: int = 0) -> FieldNetwork:
    """The network fitted to `samples`: readers, attention, novelty distance."""
    fields = torch.from_numpy(load(samples))
    labels = soften(samples, fields, run, settings, seed)
    readers = [
        fit_reader(fields, labels, run / f"reader-{which}", which, settings, seed)
        for which in range(len(settings.epochs))
    ]
    network = FieldNetwork(readers).eval()
    network.novelty.fit(pooled_statistics(network, fields[:: max(1, len(fields) // 3000)]))
    fit_attention(network, samples, fields, seed)
    return network


def soften(samples: Sequence[Sample], fields: Tensor, run: Path, settings: Settings, seed: int) -> Tensor:
    """The labels, float N, moved by `softening` towards what smaller trainings say that never saw the patient.

    The outlines behind the labels are coarse. A network's own answer on what it was trained on repeats them; one that
    did not see the patient follows the tissue (distillation after Hinton 2015, cross-fitted). What the teachers say is
    kept in `run`, for the same question alone.
    """
    labels = torch.tensor([float(sample.label_binary or False) for sample in samples])
    if settings.softening == 0:
        return labels
    taught = replace(
        settings, epochs=settings.teacher_epochs[:1], plain_epochs=settings.teacher_epochs[1:], restarts=1
    )
    kept = run / "teachers.npz"
    asked = [repr(taught), str(seed), *(sample.id for sample in samples)]
    if not kept.is_file() or list(np.load(kept)["asked"]) != asked:
        groups = [sample.group_id for sample in samples]
        folds = GroupKFold(min(_TEACHERS, len(set(groups)))).split(groups, groups=groups)
        chances = np.zeros(len(samples), np.float32)
        for number, (inside, outside) in enumerate(folds):
            teacher = fit_reader(
                fields[inside], labels[inside], run / f"teacher-{number}", 0, taught, seed + number
            )
            chances[outside] = _chances(teacher, fields[outside])
        run.mkdir(parents=True, exist_ok=True)
        np.savez(kept, asked=np.array(asked), chances=chances)
    said = torch.from_numpy(np.load(kept)["chances"])
    return labels + settings.softening * (said - labels)


@torch.no_grad()
def _chances(reader: FieldReader, fields: Tensor) -> NDArray[np.float32]:
    """The probability of carcinoma N, of mirrored copies together."""
    place = device()
    reader.to(place).eval()
    rows = [
        torch.stack([reader(turned) for turned in _mirrored(chunk.to(place))]).mean(dim=0).sigmoid().cpu()
        for chunk in fields.split(64)
    ]
    return np.asarray(torch.cat(rows).numpy(), np.float32)


def _mirrored(fields: Tensor) -> tuple[Tensor, ...]:
    return fields, torch.flip(fields, (2,)), torch.flip(fields, (1,)), torch.flip(fields, (1, 2))


def fit_reader(
    fields: Tensor, labels: Tensor, run: Path, which: int, settings: Settings = DEFAULT, seed: int = 0
) -> FieldReader:
    """One reader of `fields` (N×50×50×3 uint8, `labels` float N in 0–1). The first keeps ImageNet's batch statistics,
    the others learn their own."""
    torch.manual_seed(seed + which)
    if which == 0:
        backbone: nn.Module = imagenet_backbone()
        backbone.freeze(settings.frozen)  # type: ignore[operator]
    else:
        backbone = effnet_lite1(weights="imagenet", freeze=settings.frozen)
        backbone.fixed_statistics = False
    network = laid_out(FieldReader(backbone))
    fields, labels = fields.to(device()), labels.to(device())

    def plain(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(len(labels), settings.batch, generator):
            yield mixed_stains(fields[chosen].float(), generator), labels[chosen]

    def mixed(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for image, label in plain(generator):
            image = cut_out(image.permute(0, 3, 1, 2), generator).permute(0, 2, 3, 1)
            # mixing pairs (Zhang 2018) keeps the network from learning the labels' noise by heart
            draw = torch.rand((2, len(label)), generator=generator, device=generator.device)
            keep = torch.where(draw[1] < _MIXED_SHARE, 1 - 0.5 * draw[0], 1.0)
            other = torch.randperm(len(label), generator=generator, device=generator.device)
            weight = keep.view(-1, 1, 1, 1)
            yield image * weight + image[other] * (1 - weight), label * keep + label[other] * (1 - keep)

    steps = len(labels) // settings.batch
    first = Schedule(
        settings.epochs[which], steps, learning_rate=settings.learning_rate, backbone_rate=settings.backbone_rate,
        weight_decay=0.05, averaging=0.995, seed=seed + which,
    )  # fmt: skip
    second = Schedule(
        settings.plain_epochs[which], steps, learning_rate=settings.plain_rate,
        backbone_rate=settings.backbone_rate, weight_decay=0.05, averaging=0.995, seed=seed + which + 100,
    )  # fmt: skip
    fitted = fit(network, mixed, _loss, first, run)
    fitted = fit_soup(fitted, plain, _loss, second, run / "plain", settings.restarts)
    if which > 0 and settings.frozen == 0:  # averaged weights have no statistics of their own yet
        update_bn(plain(Generator(device=device()).manual_seed(seed)), fitted.to(device()))
    assert isinstance(fitted, FieldReader)
    return fitted.cpu().eval()


def _loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    fields, labels = batch
    smoothed = labels * 0.9 + 0.05  # the outlines are coarse, so labels near a border are noise
    return F.binary_cross_entropy_with_logits(network(fields), smoothed)


@torch.no_grad()
def pooled_statistics(network: FieldNetwork, fields: Tensor) -> NDArray[np.float32]:
    """What `Novelty` looks at, N×352."""
    return np.concatenate(
        [statistics(network.first.backbone(prepare(chunk))).numpy() for chunk in fields.split(64)]
    )


@torch.no_grad()
def _pooled(network: FieldNetwork, fields: Tensor) -> tuple[Tensor, Tensor]:
    """The first reader's features N×1280 and the logits N of all fields."""
    features, logits = [], []
    for chunk in fields.split(64):
        features.append(network.first.pooled(prepare(chunk)))
        logits.append(network(chunk).logit)
    return torch.cat(features), torch.cat(logits)


def fit_attention(network: FieldNetwork, samples: Sequence[Sample], fields: Tensor, seed: int = 0) -> None:
    """Teach the attention: a bag of one patient's fields is positive when any of them is. The readers stand still,
    and half of the bags are drawn from fields without carcinoma only, since nearly every patient has some."""
    features, logits = _pooled(network, fields)
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
    for _ in range(_BAG_STEPS):
        losses = []
        for number in torch.randint(len(members), (16,), generator=generator).tolist():
            own = members[number]
            clean = own[~positive[own]]
            chosen = clean if torch.rand(1, generator=generator) < 0.5 and len(clean) else own
            count = min(len(chosen), int(torch.randint(2, _BAG_FIELDS + 1, (1,), generator=generator)))
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
        answers = [network(each) for each in _mirrored(chunk)]
        logits.append(torch.stack([answer.logit for answer in answers]).mean(dim=0).numpy())
        distances.append(answers[0].distance.numpy())
    return np.concatenate(logits).astype(np.float64), np.concatenate(distances).astype(np.float64)
