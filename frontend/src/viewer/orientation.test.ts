import { describe, expect, test } from 'vitest';
import { type Turn, turnedPixels, turnedPoint, turnedSize } from './orientation';

/** Two rows of three. */
const size = { rows: 2, columns: 3 };
const stored = Uint8Array.from([1, 2, 3, 4, 5, 6]);

describe('a picture turned clockwise', () => {
  test.each([
    [0, [1, 2, 3, 4, 5, 6]],
    [90, [4, 1, 5, 2, 6, 3]],
    [180, [6, 5, 4, 3, 2, 1]],
    [270, [3, 6, 2, 5, 1, 4]],
  ] as [Turn, number[]][])('by %i° has its pixels, and every point, where it is turned to', (turn, pixels) => {
    const turned = turnedPixels(stored, size, 1, turn);
    expect([...turned]).toEqual(pixels);
    const { columns } = turnedSize(size, turn);
    for (let y = 0; y < size.rows; y += 1) {
      for (let x = 0; x < size.columns; x += 1) {
        const [toX, toY] = turnedPoint([x + 0.5, y + 0.5], size, turn);
        expect(turned[Math.floor(toY) * columns + Math.floor(toX)]).toBe(stored[y * size.columns + x]);
      }
    }
  });

  test('keeps the colours of a pixel together', () => {
    expect([...turnedPixels(Uint8Array.from([1, 2, 3, 4, 5, 6]), { rows: 1, columns: 2 }, 3, 180)]).toEqual([
      4, 5, 6, 1, 2, 3,
    ]);
  });
});
