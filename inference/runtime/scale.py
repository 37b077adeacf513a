"""How long a pixel is, where in an image, and whether it is square: one pair for all the image, or one a region."""

from __future__ import annotations

from dataclasses import dataclass

from imaging.description import Description
from inference.contract import Box, CalibratedRegion, ImageReference, Spacing

#: A mark lies in a region when at least this share of its box does: outlines end on the network's pixels, not the
#: image's.
_INSIDE = 0.95
#: Sides that differ less count as square: rounding of what headers say.
_SQUARE_WITHIN = 0.01


@dataclass(frozen=True)
class Scale:
    """The scale of one image: `spacing_um` everywhere, or `regions` with their own, or nothing known but, perhaps, how
    much higher than wide a pixel is."""

    spacing_um: Spacing | None = None
    regions: tuple[CalibratedRegion, ...] = ()
    aspect: float | None = None
    """A pixel's height over its width, where only that is known."""

    def at(self, box: Box) -> Spacing | None:
        """µm per stored pixel, (x, y), for lengths within `box`; None where no one pair is true: across two regions,
        outside all of them, or in one that shows no distances (a Doppler or M-mode trace)."""
        if not self.regions:
            return self.spacing_um
        above: list[Spacing | None] = []
        for region in self.regions:  # of those that overlap the first lies on top
            share = _share_inside(box, region.box)
            spacing = region.spacing_um if region.kind == "2d" else None
            if share >= _INSIDE:
                return spacing if all(other == spacing for other in above) else None
            if share > 1 - _INSIDE:  # it hides a part of what lies below it
                above.append(spacing)
        return None

    def shape_is_known(self, box: Box) -> bool:
        """Whether height can be compared with width there. Where nothing at all is said of the scale, pixels are
        taken as square, as PS3.3 C.7.6.3.1.7 does."""
        return not self.regions or self.at(box) is not None

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel over its width, as far as it is the same in all the image; else 1."""
        pairs = (
            [region.spacing_um for region in self.regions if region.kind == "2d" and region.spacing_um]
            if self.regions
            else [self.spacing_um]
        )
        aspects = [pair[1] / pair[0] for pair in pairs if pair is not None]
        if not self.regions and self.spacing_um is None and self.aspect is not None:
            aspects = [self.aspect]
        if not aspects or max(aspects) - min(aspects) > _SQUARE_WITHIN * min(aspects):
            return 1.0
        return 1.0 if abs(aspects[0] - 1) <= _SQUARE_WITHIN else aspects[0]


def scale_of(image: ImageReference, found: Description) -> Scale:
    """What the study says of the image's scale, else what its file says."""
    if image.regions or image.spacing_um is not None or image.pixel_aspect is not None:
        return Scale(image.spacing_um, image.regions, image.pixel_aspect)
    facts = found.facts
    regions = tuple(
        CalibratedRegion(
            box=(region.x0, region.y0, region.x1, region.y1), kind=region.kind, spacing_um=region.spacing_um
        )
        for region in facts.regions
    )
    own = None if regions else facts.spacing_um or found.pixel_spacing_um
    return Scale(own, regions, facts.pixel_aspect)


def _share_inside(box: Box, region: Box) -> float:
    across = min(box[2], region[2]) - max(box[0], region[0])
    down = min(box[3], region[3]) - max(box[1], region[1])
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / ((box[2] - box[0]) * (box[3] - box[1]))
