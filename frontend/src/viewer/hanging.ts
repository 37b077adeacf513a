/** How images hang: the protocols that modalities name (`cad_platform/modalities`). */
import type { CaseImage } from '../api_types';

/** Which image hangs in which place. */
export interface Hanging {
  /** Images by row; an empty place keeps the others where the eye expects them. */
  rows: (CaseImage | null)[][];
}

const CC = /CC$/i;
const MLO = /^(MLO|ML|LM|LMO|SIO)$/i;

function findView(images: readonly CaseImage[], side: 'R' | 'L', view: RegExp): CaseImage | null {
  return images.find((image) => image.laterality === side && view.test(image.view)) ?? null;
}

/** Mammograms stand back to back, as the reader would face the patient: the right breast on the left, chest walls in
 * the middle, CC above MLO. None where the images do not make at least two of the four views. */
function mammographyHanging(images: readonly CaseImage[]): Hanging | null {
  const rows = [CC, MLO]
    .map((view) => [findView(images, 'R', view), findView(images, 'L', view)])
    .filter((row) => row.some((image) => image !== null));
  const placed = rows.flat().filter((image) => image !== null);
  return placed.length >= 2 ? { rows } : null;
}

const PROTOCOLS = new Map<string, (images: readonly CaseImage[]) => Hanging | null>([
  ['mammography', mammographyHanging],
  ['single', () => null],
]);

/** What a protocol makes of the images; none where it shows one at a time, as one that is not known here does. */
export function hangingOf(protocol: string, images: readonly CaseImage[]): Hanging | null {
  return PROTOCOLS.get(protocol)?.(images) ?? null;
}

/** Which border of a picture the chest wall is at: the one with more tissue beside it. None when unclear. */
export function chestWallSide(
  pixels: ArrayLike<number>,
  rows: number,
  columns: number,
  darkIsHigh: boolean,
): 'left' | 'right' | null {
  const strip = Math.max(1, Math.round(columns * 0.12));
  const step = Math.max(1, Math.floor(rows / 200));
  let left = 0;
  let right = 0;
  let low = Infinity;
  let high = -Infinity;
  for (let y = 0; y < rows; y += step) {
    for (let x = 0; x < strip; x += 3) {
      const a = pixels[y * columns + x] ?? 0;
      const b = pixels[y * columns + columns - 1 - x] ?? 0;
      left += a;
      right += b;
      low = Math.min(low, a, b);
      high = Math.max(high, a, b);
    }
  }
  const count = Math.ceil(rows / step) * Math.ceil(strip / 3);
  const difference = (left - right) / count / Math.max(high - low, 1);
  if (Math.abs(difference) < 0.04) return null;
  return difference > 0 !== darkIsHigh ? 'left' : 'right';
}
