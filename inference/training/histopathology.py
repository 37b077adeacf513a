"""The recipe of the histopathology model: IDC patches → `FieldNetwork`: two readers of single fields, then the
attention over bags of fields of one patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.datasets import idc
from inference.datasets.sample import Manifest, Sample
from inference.models.backbone import imagenet_backbone
from inference.models.blocks.efficientnet import effnet_lite1
from inference.models.novelty import statistics
from inference.models.tissue import FieldNetwork, FieldReader, prepare
from inference.preprocessing.pixels import read_rgb
from inference.training.augment import cut_out, stains
from inference.training.fit import Schedule, fit, shuffled


@dataclass(frozen=True)
class Settings:
    """What a recipe may set. `epochs`: of each reader, as many as there are; the first is an EfficientNet-Lite0, the
    others Lite1. `plain_epochs`: of the second part of each reader's training, without mixed pairs."""

    epochs: tuple[int, ...] = (10, 6)
    plain_epochs: tuple[int, ...] = (8, 8)
    batch: int = 64
    learning_rate: float = 1e-3
    plain_rate: float = 6e-4
    backbone_rate: float = 0.6


DEFAULT = Settings()
_MIXED_SHARE = 0.5
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
    readers = [
        train_reader(samples, run / f"reader-{which}", which, settings, seed)
        for which in range(len(settings.epochs))
    ]
    network = FieldNetwork(readers).eval()
    fields = torch.from_numpy(load(samples))
    network.novelty.fit(pooled_statistics(network, fields[:: max(1, len(fields) // 3000)]))
    fit_attention(network, samples, fields, seed)
    return network


def train_reader(
    samples: Sequence[Sample], run: Path, which: int, settings: Settings, seed: int
) -> FieldReader:
    """One reader; its stem and first stage stay at their ImageNet values."""
    torch.manual_seed(seed + which)
    if which == 0:
        backbone: nn.Module = imagenet_backbone()
        backbone.freeze(1)  # type: ignore[operator]
    else:
        backbone = effnet_lite1(weights="imagenet", freeze=1)
    network = FieldReader(backbone)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fields = torch.from_numpy(load(samples))
    labels = torch.tensor([float(sample.label_binary or False) for sample in samples])

    def plain(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(len(samples), settings.batch, generator):
            yield stains(fields[chosen].float(), generator), labels[chosen]

    def mixed(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for image, label in plain(generator):
            image = cut_out(image.permute(0, 3, 1, 2), generator).permute(0, 2, 3, 1)
            # mixing pairs (Zhang 2018) keeps the network from learning the labels' noise by heart
            keep = 1 - 0.5 * torch.rand(len(label), generator=generator)
            keep = torch.where(torch.rand(len(label), generator=generator) < _MIXED_SHARE, keep, 1.0)
            other = torch.randperm(len(label), generator=generator)
            weight = keep.view(-1, 1, 1, 1)
            yield image * weight + image[other] * (1 - weight), label * keep + label[other] * (1 - keep)

    steps = len(samples) // settings.batch
    first = Schedule(
        settings.epochs[which], steps, learning_rate=settings.learning_rate, backbone_rate=settings.backbone_rate,
        weight_decay=0.05, averaging=0.995, seed=seed + which,
    )  # fmt: skip
    second = Schedule(
        settings.plain_epochs[which], steps, learning_rate=settings.plain_rate,
        backbone_rate=settings.backbone_rate, weight_decay=0.05, averaging=0.995, seed=seed + which + 100,
    )  # fmt: skip
    fitted = fit(fit(network, mixed, _loss, first, run), plain, _loss, second, run / "plain")
    assert isinstance(fitted, FieldReader)
    return fitted


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
        turned = (chunk, torch.flip(chunk, (2,)), torch.flip(chunk, (1,)), torch.flip(chunk, (1, 2)))
        answers = [network(each) for each in turned]
        logits.append(torch.stack([answer.logit for answer in answers]).mean(dim=0).numpy())
        distances.append(answers[0].distance.numpy())
    return np.concatenate(logits).astype(np.float64), np.concatenate(distances).astype(np.float64)
