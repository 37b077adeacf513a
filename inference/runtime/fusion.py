"""One answer of several images of a patient: the rule that the platform's study, and the laboratory's figures a
patient, are made by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: In a manifest's calibration: of how many of a study's images its answer is made, its most suspicious ones; of one
#: where nothing is said.
FUSED = "fused_images"
#: A probability is never taken for nearer to 0 or 1 than the six decimals that results keep.
_EDGE = 1e-6


def fused(images: Sequence[Mapping[str, float]], positive: str) -> dict[str, float]:
    """The odds of `positive` are the mean of the images' odds; the other classes share the rest as they do on average.

    Between the mean of the logits, which lets an image that shows nothing outvote one that does, and the most
    suspicious image alone, which takes every chance resemblance for the patient's. Of one image its own answer.
    """
    if len(images) == 1:
        return dict(images[0])
    bounded = [min(max(image[positive], _EDGE), 1 - _EDGE) for image in images]
    odds = sum(p / (1 - p) for p in bounded) / len(images)
    chance = odds / (1 + odds)
    others = {
        name: sum(image[name] for image in images) / len(images) for name in images[0] if name != positive
    }
    rest = sum(others.values())
    shares = {
        name: (1 - chance) * (value / rest if rest else 1 / len(others)) for name, value in others.items()
    }
    return {name: round(shares.get(name, chance), 6) for name in images[0]}
