"""Which recipes no version can be made of, and why."""

from __future__ import annotations

from inference.recipes.schema import Recipe


class ExportError(Exception):
    """A run that cannot become a version of the store. The sentence says why, and what would be needed."""


def why_not(recipe: Recipe) -> str:
    """Why no version can be made of such a recipe, and what would be needed; empty where one can."""
    stream = recipe.streams[0]
    if recipe.head is not None:
        return (
            f"its answer is that of the head {recipe.head.name}, and the store serves networks as ONNX; the head "
            "and all before it would have to be written as one graph"
        )
    if stream.patches is not None or stream.aggregate is not None:
        return (
            "it reads an image as a bag of patches, and a plain classifier is served whole images; a pipeline of "
            "inference/runtime that cuts and pools patches would be needed"
        )
    if recipe.preprocess:
        blocks = ", ".join(block.name for block in recipe.preprocess)
        return (
            f"serving has no {blocks} before the network; a pipeline of inference/runtime that does the same would "
            "be needed"
        )
    if recipe.data.roi == "mask":
        return (
            "its regions are cut out by the truth's outline, which no image of a clinic has; a recipe of whole "
            "images (data.roi: none) would be needed"
        )
    return ""
