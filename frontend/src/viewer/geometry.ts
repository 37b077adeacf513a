/** Coordinates. An image point is in stored pixels, the origin at the top left corner of the first pixel (level 0
 * for slides); a screen point is in CSS pixels from the pane's top left corner. */

export type Point = readonly [number, number];

/** Image → screen: (x, y) ↦ (a·x + c·y + e, b·x + d·y + f). */
export interface Affine {
  a: number;
  b: number;
  c: number;
  d: number;
  e: number;
  f: number;
}

/** The transform of an image of this size (in pixels), found by asking where three of its corners are on the screen. */
export function affineFrom(toScreen: (point: Point) => Point, width: number, height: number): Affine {
  const [e, f] = toScreen([0, 0]);
  const [rightX, rightY] = toScreen([width, 0]);
  const [downX, downY] = toScreen([0, height]);
  return { a: (rightX - e) / width, b: (rightY - f) / width, c: (downX - e) / height, d: (downY - f) / height, e, f };
}

/** Where an image point is on the screen. */
export function imageToScreen(t: Affine, [x, y]: Point): Point {
  return [t.a * x + t.c * y + t.e, t.b * x + t.d * y + t.f];
}

/** Which image point is under a screen point; the transform must be invertible. */
export function screenToImage(t: Affine, [x, y]: Point): Point {
  const determinant = t.a * t.d - t.b * t.c;
  const dx = x - t.e;
  const dy = y - t.f;
  return [(t.d * dx - t.c * dy) / determinant, (t.a * dy - t.b * dx) / determinant];
}

/** How many image pixels to the right and down (or back) lie in a step along the screen's axes; turned by quarters or
 * mirrored, the image's axes are other ones. */
export function screenStep({ a, b, c, d }: Affine, [x, y]: Point): Point {
  const determinant = a * d - b * c;
  const scale = Math.hypot(a, b);
  return [((d * x - c * y) * scale) / determinant, ((a * y - b * x) * scale) / determinant];
}

/** False while a pane has no size or its viewer no camera. */
export const isInvertible = (t: Affine): boolean => Object.values(t).every(Number.isFinite) && t.a * t.d !== t.b * t.c;

/** CSS pixels per image pixel. */
export function scaleOf(t: Affine): number {
  return Math.hypot(t.a, t.b);
}

/** Where an image lies in a pane, told so that a pane of another size shows the same. */
export interface Place {
  /** Its scale over that at which all of it fits. */
  zoom: number;
  /** The image point in the middle of the pane. */
  centre: Point;
}

/** Where an image lies; `fit` is the scale at which all of it fits, `middle` that of the pane on the screen. */
export function placeIn(transform: Affine, fit: number, middle: Point): Place {
  const [x, y] = screenToImage(transform, middle);
  const rounded = (value: number): number => Math.round(value * 10) / 10;
  return { zoom: Math.round((scaleOf(transform) / fit) * 10_000) / 10_000, centre: [rounded(x), rounded(y)] };
}

/** The transform as CSS, for content that is itself `sx` by `sy` image pixels per unit. */
export const cssMatrix = (t: Affine, sx = 1, sy = 1): string =>
  `matrix(${t.a * sx},${t.b * sx},${t.c * sy},${t.d * sy},${t.e},${t.f})`;

/** A length in words: millimetres, micrometres below one millimetre. */
export function formatLength(micrometres: number): string {
  if (micrometres >= 1000) return `${(micrometres / 1000).toFixed(1)} mm`;
  return `${micrometres.toFixed(micrometres < 10 ? 1 : 0)} µm`;
}
