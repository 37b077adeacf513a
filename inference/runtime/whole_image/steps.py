"""What a recipe does to an image before its network or its head: blocks by name, with what they have learned, as they
stand in the manifest's `preprocessing`, run by the blocks' own code.

`before` changes the image; `described` turns it into what its streams look at, packed into one row of bytes for the
graph: the pixels of each stream's patches, or numbers about them as the bytes of their float32. What the steps made of
a picture that anybody can make again stands beside them: where other code or another library makes something else of
it, nothing is served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from inference.blocks import registry
from inference.blocks.features.row import outline_of, row_of
from inference.blocks.learned import NotFitted
from inference.blocks.parameters import BlockError, make
from inference.contract import AnalysisError, ModelManifest, NotApplicable
from inference.runtime.budget import Array, afford
from inference.runtime.whole_image.bags import Grid
from inference.runtime.whole_image.preprocessing import Size, is_rgb, network_input, sizes_of, stretched

BEFORE, DESCRIBED, MADE = "before", "described", "made"
#: How long the packed row is: in numbers where all streams give numbers, in bytes where one gives pixels.
NUMBERS, BYTES = "numbers", "bytes"
#: Bytes for a pixel of the image at its first size while steps work on it: stains in float64 take most.
_BYTES_PER_PX = 200
#: A number beyond is said to be this: whoever asks with noise must not overflow the head.
LARGEST = 2.0**24
#: Numbers that are kept of what was made of the picture, and by how much each may differ: relative, or in grey levels.
_KEPT, _ALIKE, _GREY = 64, 1e-4, 1.0
_PICTURE_PX = 128

Image = NDArray[np.uint8]


def entry(
    name: str, parameters: Mapping[str, Any], learned: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A block as it stands in a manifest."""
    return {
        "block": name,
        "parameters": dict(parameters),
        **({} if learned is None else {"learned": dict(learned)}),
    }


def has_steps(preprocessing: Mapping[str, object]) -> bool:
    """Whether anything but the sizes is done to an image."""
    return BEFORE in preprocessing or DESCRIBED in preprocessing


def is_packed(preprocessing: Mapping[str, object]) -> bool:
    """Whether the graph takes a row of bytes instead of an image."""
    return DESCRIBED in preprocessing


def packed_shape(preprocessing: Mapping[str, object]) -> tuple[int, ...]:
    """Of that row."""
    if BYTES in preprocessing:
        return (1, 1, 1, int(cast(int, preprocessing[BYTES])))
    return (1, 1, int(cast(int, preprocessing[NUMBERS])), 4)


@dataclass(frozen=True, eq=False)
class _Described:
    """One stream: the patches of an image (itself, where it is not cut), and hand-made features of each; its pixels
    where there are none."""

    patches: Grid | None
    size: Size | None
    outline: Callable[[Image], NDArray[np.bool_]] | None
    features: tuple[Callable[..., NDArray[np.float64]], ...]

    def parts(self, image: Image) -> list[Image]:
        cut = [image] if self.patches is None else self.patches.patches(image)
        return cut if self.size is None else [stretched(part, self.size) for part in cut]

    def row(self, image: Image) -> NDArray[np.float32]:
        rows = [
            row_of(self.features, part, None if self.outline is None else outline_of(self.outline, part))
            for part in self.parts(image)
        ]
        return np.asarray(np.clip(np.concatenate(rows), -LARGEST, LARGEST), np.float32)

    def bytes(self, image: Image) -> NDArray[np.uint8]:
        if self.features:
            return bytes_of(self.row(image)).reshape(-1)
        return np.ascontiguousarray(np.stack(self.parts(image))).reshape(-1)


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of one version."""

    sizes: tuple[Size, ...]
    before: tuple[Callable[[Image], Image], ...]
    described: tuple[_Described, ...]
    packed_bytes: int = 0

    def changed(self, image: Image) -> Image:
        """`looked_at` as the first network or feature sees it."""
        image = stretched(image, self.sizes[0])
        for step in self.before:
            image = step(image)
        return image

    def row(self, image: Image) -> NDArray[np.float32]:
        """What the features say of the changed image; empty where none is asked."""
        return np.concatenate(
            [np.zeros(0, np.float32), *(each.row(image) for each in self.described if each.features)]
        )

    def tensor(self, image: Image) -> NDArray[np.uint8]:
        """`looked_at` as the graph takes it: an image, or a row: 1×1×F×4, the bytes of each number, the highest first;
        1×1×1×L where pixels are among them.

        Raises
        ------
        NotApplicable
            The steps cannot work with the image, or need more memory than one image may take.
        """
        height, width = self.sizes[0]
        packed = Array(self.packed_bytes, 1, 2)
        afford(image.shape[1], image.shape[0], None, Array(width, height, _BYTES_PER_PX), packed)
        try:
            changed = self.changed(image)
            if self.described:
                row = np.concatenate([stream.bytes(changed) for stream in self.described])
                numbers = all(stream.features for stream in self.described)
                return row.reshape((1, 1, -1, 4) if numbers else (1, 1, 1, -1))
        except (ValueError, ArithmeticError, LookupError) as error:
            words = " ".join(str(error).split())
            raise NotApplicable(
                f"not analysed: what comes before the network cannot work with it: {words}"
            ) from error
        for size in self.sizes[1:]:
            changed = stretched(changed, size)
        return network_input(changed)


def bytes_of(row: NDArray[np.float32]) -> NDArray[np.uint8]:
    """F float32 → F×4, the highest byte first."""
    return row.astype(">f4").view(np.uint8).reshape(-1, 4)


def steps_of(manifest: ModelManifest) -> Steps:
    """The steps of the version, made once a process.

    Raises
    ------
    AnalysisError
        A block or a library is not here, or makes something else here than where the version was exported.
    """
    which = f"{manifest.name} {manifest.version}"
    try:
        return _checked(json.dumps(manifest.preprocessing, sort_keys=True))
    except _Otherwise as error:
        raise AnalysisError(f"{which} is not served here: {error}") from error


class _Otherwise(Exception):
    pass


@lru_cache(maxsize=8)
def _checked(canonical: str) -> Steps:
    preprocessing = json.loads(canonical)
    try:
        steps = made(preprocessing)
        said = example(steps, is_rgb(preprocessing))
    except ModuleNotFoundError as error:
        raise _Otherwise(
            f"its steps before the network need the package {error.name} (requirements-laboratory.lock)"
        ) from error
    except (BlockError, NotFitted, LookupError, TypeError, ValueError) as error:
        raise _Otherwise(f"its steps before the network cannot be made: {error}") from error
    recorded = np.array(preprocessing[MADE], np.float64)
    most = _ALIKE * np.maximum(1, np.abs(recorded)) if _gives_numbers(steps) else _GREY
    if recorded.shape != said.shape or not (np.abs(recorded - said) <= most).all():
        raise _Otherwise(
            "its steps before the network make something else of a picture here than where it was exported"
        )
    return steps


def made(preprocessing: Mapping[str, object]) -> Steps:
    """The blocks of a manifest's `preprocessing`, unchecked.

    Raises
    ------
    BlockError, LookupError, TypeError, ValueError
        It names no block of this installation, or numbers that no such block has learned.
    ModuleNotFoundError
        A block's library is not installed.
    """
    before = cast(Sequence[dict[str, Any]], preprocessing.get(BEFORE, ()))
    described = cast(Sequence[dict[str, Any]], preprocessing.get(DESCRIBED, ()))
    long = int(np.prod(packed_shape(preprocessing))) if described else 0
    return Steps(
        sizes_of(preprocessing),
        tuple(_block("preprocess", each) for each in before),
        tuple(
            _Described(
                None if stream.get("patches") is None else Grid(**stream["patches"]),
                None if stream.get("size") is None else (stream["size"][0], stream["size"][1]),
                None if stream.get("segment") is None else _block("segment", stream["segment"]),
                tuple(_block("features", each) for each in stream["features"]),
            )
            for stream in described
        ),
        long,
    )


def example(steps: Steps, rgb: bool) -> NDArray[np.float64]:
    """Numbers of what the steps make of a disc in noise, evenly spaced."""
    height, width = (min(side, _PICTURE_PX) for side in steps.sizes[0])
    y, x = np.ogrid[:height, :width]
    disc = ((y - height / 2) / height) ** 2 + ((x - width / 2) / width) ** 2 < 0.06
    noise = np.random.default_rng(0).integers(40, 90, (height, width))
    plain = np.clip(noise + 90 * disc, 0, 255).astype(np.uint8)
    picture = np.stack([plain, plain // 2, 200 - plain // 2], axis=-1) if rgb else plain
    small = Steps(((height, width), *steps.sizes[1:]), steps.before, steps.described)
    changed = small.changed(picture)
    values = (small.row(changed) if _gives_numbers(steps) else changed).astype(np.float64).reshape(-1)
    return values[np.arange(min(_KEPT, values.size)) * values.size // min(_KEPT, values.size)]


def _gives_numbers(steps: Steps) -> bool:
    return any(stream.features for stream in steps.described)


def _block(family: str, stated: Mapping[str, Any]) -> Any:
    name = stated["block"]
    if name not in registry.shipped(family):
        raise ValueError(f"{name} is no {family} block of this installation")
    block = make(family, name, stated["parameters"], seed=0)
    return block.take(stated["learned"]) if "learned" in stated else block
