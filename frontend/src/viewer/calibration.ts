/** How long a stretch of an image is, and what cannot be said of it. An image has one spacing, or regions with their
 * own (PS3.3 C.8.5.5), or none: a length that no single calibration covers has no millimetres. */
import type { CaseImage, CaseRegion } from '../api_types';
import type { Point } from './geometry';

/** Micrometres per stored pixel, (x, y). */
type Spacing = readonly [number, number];

/** A length in micrometres; or in stored pixels, and whether other parts of the image are calibrated. */
type Length = { micrometres: number } | { pixels: number; isElsewhere: boolean };

/** The spacing of the whole image; none where its regions speak, or nobody knows. */
export function wholeSpacing(image: CaseImage): Spacing | null {
  if (image.regions.length > 0) return null;
  if (image.spacing_um) return image.spacing_um;
  return image.pixel_spacing_um ? [image.pixel_spacing_um, image.pixel_spacing_um] : null;
}

type Extent = CaseRegion['box'];

const isApart = (one: Extent, other: Extent): boolean =>
  one[2] < other[0] || other[2] < one[0] || one[3] < other[1] || other[3] < one[1];

const holds = (outer: Extent, inner: Extent): boolean =>
  outer[0] <= inner[0] && outer[1] <= inner[1] && inner[2] <= outer[2] && inner[3] <= outer[3];

const isSame = (one: Spacing | null, other: Spacing | null): boolean =>
  one === other || (one !== null && other !== null && one[0] === other[0] && one[1] === other[1]);

/** The one spacing that all of these agree on. */
function agreed(spacings: readonly (Spacing | null)[]): Spacing | null {
  const [first = null, ...others] = spacings;
  return others.every((other) => isSame(first, other)) ? first : null;
}

/** The calibration that holds from one point to the other: that of the region which both lie in. Of regions that
 * overlap the first counts; where it hides a part only of the one below, both must agree. */
function spacingBetween(image: CaseImage, from: Point, to: Point): Spacing | null {
  if (image.regions.length === 0) return wholeSpacing(image);
  const extent: Extent = [
    Math.min(from[0], to[0]),
    Math.min(from[1], to[1]),
    Math.max(from[0], to[0]),
    Math.max(from[1], to[1]),
  ];
  const over: (Spacing | null)[] = [];
  for (const { box, spacing_um } of image.regions) {
    if (holds(box, extent)) return agreed([...over, spacing_um]);
    if (!isApart(box, extent)) over.push(spacing_um);
  }
  return null;
}

/** The calibration that holds at a point of the stored image; of regions that overlap the first counts. */
export const spacingAt = (image: CaseImage, at: Point): Spacing | null => spacingBetween(image, at, at);

/** Measure from one point of the stored image to another. */
export function measure(image: CaseImage, from: Point, to: Point): Length {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const spacing = spacingBetween(image, from, to);
  if (spacing) return { micrometres: Math.hypot(dx * spacing[0], dy * spacing[1]) };
  return { pixels: Math.hypot(dx, dy), isElsewhere: isCalibrated(image) };
}

/** Whether any length in the image has millimetres. */
export const isCalibrated = (image: CaseImage): boolean =>
  wholeSpacing(image) !== null || image.regions.some((region) => region.spacing_um !== null);

/** What the scale bar goes by everywhere: the whole image's spacing, or the one that all calibrated regions share. */
export const scaleBarSpacing = (image: CaseImage): Spacing | null =>
  wholeSpacing(image) ?? agreed(image.regions.map((region) => region.spacing_um).filter((spacing) => spacing !== null));

/** The height of a stored pixel over its width, 1 where nothing says otherwise. */
export function pixelAspect(image: CaseImage): number {
  const spacing = scaleBarSpacing(image);
  if (spacing) return spacing[1] / spacing[0];
  const aspects = image.regions.flatMap(({ spacing_um }) => (spacing_um ? [spacing_um[1] / spacing_um[0]] : []));
  const [first = image.pixel_aspect ?? 1] = aspects;
  // Regions that differ in depth share the pixels' shape; where they do not, the pixels are drawn as they are stored.
  return aspects.every((aspect) => Math.abs(aspect / first - 1) < 0.001) ? first : 1;
}
