"""A network that finds the region first: the first of two stages, of which the second describes or classifies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.blocks.learned import NotFitted, groups_seen
from inference.blocks.losses import dice_bce
from inference.blocks.networks.arrays import arrays_of, with_arrays
from inference.blocks.networks.unet import UNet
from inference.blocks.preprocess.segmentation import Keep, Otsu, Side, kept_region
from inference.blocks.registry import block

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@block("segment", "network")
class NetworkOutline:
    """A small U-Net that learns in `fit` to outline the training fold's regions, at `side`² pixels.

    `taught_by: truth` are the outlines that the set has; `otsu` is a threshold on the `brightness` side, for sets
    without outlines, which a recipe has to declare. An image without an outline teaches that there is none.
    Where the network finds nothing the whole image is the region, as with every segmentation.
    """

    def __init__(
        self,
        width: int = 8,
        depth: int = 3,
        side: int = 96,
        epochs: int = 30,
        learning_rate: float = 3e-3,
        batch: int = 8,
        images: int = 400,
        keep: Keep = "largest",
        taught_by: Literal["truth", "otsu"] = "truth",
        brightness: Side = "dark",
        seed: int = 0,
    ) -> None:
        if side % 2**depth:
            raise ValueError(f"a side of {side} pixels cannot be halved {depth} times")
        self.width = width
        self.depth = depth
        self.side = side
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch = batch
        self.images = images
        self.keep = keep
        self.taught_by = taught_by
        self.brightness = brightness
        self.seed = seed
        self.fitted_on: frozenset[str] | None = None
        self._network: UNet | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The network as its weights alone."""
        state = dict(self.__dict__)
        if self._network is not None:
            state["_network"] = arrays_of(self._network)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state.get("_network") is not None:
            self._network = with_arrays(self._fresh(), state["_network"])

    def fit(
        self, images: Sequence[Pixels], masks: Sequence[NDArray[Any]], groups: Sequence[Any] | None = None
    ) -> Self:
        """`masks` are the truth's outlines, 0 outside; at most `images` of them, drawn by seed.

        Raises
        ------
        ValueError
            No image has an outline, or the numbers differ.
        """
        if len(images) != len(masks):
            raise ValueError(f"network: {len(images)} images do not go with {len(masks)} outlines")
        if self.taught_by == "otsu":
            threshold = Otsu(side=self.brightness, keep="all")
            masks = [threshold(image) for image in images]
        if not any(np.any(mask) for mask in masks):
            raise ValueError("network: no image of the training fold has an outline")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            chosen = torch.randperm(len(images))[: self.images].tolist()
            shown = torch.stack([self._shown(images[i]) for i in chosen])
            truth = torch.stack([self._outline(masks[i]) for i in chosen])
            self._network = self._fresh()
            self._descend(self._network, shown, truth)
        self._network.eval()
        self.fitted_on = groups_seen(groups)
        return self

    def __call__(self, image: Pixels) -> Mask:
        if self._network is None:
            raise NotFitted("a network that outlines has not been fitted to outlines")
        with torch.no_grad():
            likely = torch.sigmoid(self._network(self._shown(image)[None])[0, -1]).numpy()
        height, width = image.shape[:2]
        full = cv2.resize(likely, (width, height), interpolation=cv2.INTER_LINEAR)
        return kept_region(np.asarray(full > 0.5), self.keep)

    def _fresh(self) -> UNet:
        return UNet(1, self.width, self.depth)

    def _descend(self, network: UNet, shown: Tensor, truth: Tensor) -> None:
        loss = dice_bce()
        optimiser = torch.optim.AdamW(network.parameters(), self.learning_rate, weight_decay=1e-4)
        network.train()
        for _ in range(self.epochs):
            for chosen in torch.randperm(len(shown)).split(self.batch):
                images, masks = shown[chosen], truth[chosen]
                if torch.rand(()) < 0.5:
                    images, masks = images.flip(3), masks.flip(3)
                optimiser.zero_grad(set_to_none=True)
                loss(network(images), masks).backward()
                optimiser.step()

    def _shown(self, image: Pixels) -> Tensor:
        """1×`side`×`side` as three channels, normalised."""
        small = cv2.resize(image, (self.side, self.side), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(small).float().div(127.5).sub(1).expand(3, -1, -1).clone()

    def _outline(self, mask: NDArray[Any]) -> Tensor:
        whole = np.asarray(mask > 0, np.uint8)
        small = cv2.resize(whole, (self.side, self.side), interpolation=cv2.INTER_NEAREST)
        return torch.from_numpy(small).float()[None]
