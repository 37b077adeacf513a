/** How the stored picture is turned to hang as views hang: clockwise by quarters, before it is mirrored. */
import type { CaseImage } from '../api_types';
import type { Point } from './geometry';
import type { StoredValues } from './pixels';

export type Turn = CaseImage['turn'];

interface Size {
  rows: number;
  columns: number;
}

const liesDown = (turn: Turn): boolean => turn === 90 || turn === 270;

/** The size of the turned picture. */
export const turnedSize = ({ rows, columns }: Size, turn: Turn): Size =>
  liesDown(turn) ? { rows: columns, columns: rows } : { rows, columns };

/** The spacing of the turned picture's pixels, (x, y). */
export const turnedSpacing = ([x, y]: readonly [number, number], turn: Turn): [number, number] =>
  liesDown(turn) ? [y, x] : [x, y];

/** Where a point of the stored picture is in the turned one; pixels' borders are whole numbers in both. */
export function turnedPoint([x, y]: Point, { rows, columns }: Size, turn: Turn): Point {
  switch (turn) {
    case 0:
      return [x, y];
    case 90:
      return [rows - y, x];
    case 180:
      return [columns - x, rows - y];
    case 270:
      return [y, columns - x];
  }
}

/** The pixels of the turned picture, row by row, `samples` values each. */
export function turnedPixels<Pixels extends StoredValues>(
  pixels: Pixels,
  size: Size,
  samples: number,
  turn: Turn,
): Pixels {
  if (turn === 0) return pixels;
  const { rows, columns } = size;
  const turned = pixels.slice() as Pixels;
  const width = turnedSize(size, turn).columns;
  for (let y = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1) {
      const [toX, toY] =
        turn === 90 ? [rows - 1 - y, x] : turn === 180 ? [columns - 1 - x, rows - 1 - y] : [y, columns - 1 - x];
      for (let sample = 0; sample < samples; sample += 1)
        turned[(toY * width + toX) * samples + sample] = pixels[(y * columns + x) * samples + sample] as number;
    }
  }
  return turned;
}
