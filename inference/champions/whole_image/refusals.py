"""Which recipes no version can be made of, and why."""

from __future__ import annotations

from inference.champions.whole_image.stated import size_changer
from inference.recipes.schema import Recipe


class ExportError(Exception):
    """A run that cannot become a version of the store. The sentence says why, and what would be needed."""


def why_not(recipe: Recipe) -> str:
    """Why no version can be made of such a recipe, and what would be needed; empty where one can."""
    if any(stream.patches is not None or stream.aggregate is not None for stream in recipe.streams):
        return (
            "it reads an image as a bag of patches, and versions are served whole images; a pipeline of "
            "inference/runtime that cuts and pools patches would be needed"
        )
    by_hand = [bool(stream.features) for stream in recipe.streams]
    if any(by_hand) and not all(by_hand):
        return (
            "networks and hand-made features describe its images together, and a graph takes either pixels or numbers; "
            "streams of one kind would be needed"
        )
    if not any(by_hand) and len({stream.resize for stream in recipe.streams}) > 1:
        return "its networks look at images of different sizes, and one is served; the same `resize` would be needed"
    changer = "" if any(by_hand) or recipe.streams[0].resize is not None else size_changer(recipe)
    if changer:
        return (
            f"{changer} gives its network images of another size than the recipe reads; the size as `resize` of the "
            "stream would be needed"
        )
    if recipe.data.roi == "mask":
        return (
            "its regions are cut out by the truth's outline, which no image of a clinic has; a recipe of whole "
            "images (data.roi: none) would be needed"
        )
    return ""
