"""Whether a study meets a model's input contract, and if not, why, in words for a clinician."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import translation

from cad_platform.studies import slides
from cad_platform.studies.models import Instance
from cad_platform.studies.sorting import SortedImage
from inference.contract import CalibratedRegion, InputContract, Spacing


def spacing_um(instance: Instance) -> Spacing | None:
    """µm per stored pixel, (x, y): of the whole image, or of a slide's level 0. None where no one pair is true."""
    slide = getattr(instance, "slide", None)
    if instance.spacing_um is not None or slide is None or slide.mpp_x is None:
        return instance.spacing_um
    return slide.mpp_x, slide.mpp_y or slide.mpp_x


def regions(instance: Instance) -> tuple[CalibratedRegion, ...]:
    """The parts of the image with a scale of their own, as a model is told of them."""
    return tuple(
        CalibratedRegion(box=(each.x0, each.y0, each.x1, each.y1), kind=each.kind, spacing_um=each.spacing_um)
        for each in instance.image_facts.regions
    )


def none_to_read(images: Sequence[SortedImage]) -> str:
    """The sentence for a study of which no image is one that models read."""
    with translation.override("en"):
        reasons = dict.fromkeys(image.reason for image in images if image.reason)
    because = f": {'; '.join(reasons)}" if reasons else ""
    return f"not analysed: the study has no image that this model reads{because}"


def why_not(instances: Sequence[Instance], contract: InputContract) -> str:
    """An empty string where an image meets the contract: the model says of the others why it does not read them.
    `instances` in the study's order, by which images are counted."""
    if not instances:
        return "not analysed: the study has no images"
    if len(instances) > contract.max_images:
        return f"not analysed: {len(instances)} images, at most {contract.max_images} are read together"
    reasons = [_why_not_image(instance, contract) for instance in instances]
    if not all(reasons):
        return ""
    return f"{reasons[0]}{' (image 1)' if len(reasons) > 1 else ''}"


def _why_not_image(instance: Instance, contract: InputContract) -> str:
    is_slide = instance.kind == Instance.Kind.SLIDE
    if ("slide" if is_slide else "image") not in contract.kinds:
        what = "whole slides are" if is_slide else "single images are"
        return f"not analysed: {what} not read by this model"
    if missing := slides.slide_of(instance).missing:
        return f"not analysed: {missing[0]}"
    if contract.needs_pixel_spacing and spacing_um(instance) is None:
        return "not analysed: µm per pixel missing"
    outside = [contract.why_not_spacing(spacing_um(instance))]
    outside += [contract.why_not_spacing(region.spacing_um) for region in regions(instance)]
    if not is_slide:
        outside.append(contract.why_not_size(instance.columns, instance.rows))
    return next(filter(None, outside), "")
