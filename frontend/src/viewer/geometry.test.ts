import { describe, expect, test } from 'vitest';
import {
  type Affine,
  affineFrom,
  cssMatrix,
  formatLength,
  imageToScreen,
  isInvertible,
  scaleOf,
  screenToImage,
} from './geometry';

/** Mirrored, turned by a quarter, twice as large and moved. */
const turned: Affine = { a: 0, b: 2, c: 2, d: 0, e: 30, f: -7 };

describe('a transform', () => {
  test('is found again from where it takes three corners', () => {
    expect(affineFrom((point) => imageToScreen(turned, point), 300, 500)).toEqual(turned);
  });

  test('and its inverse lead back to the point', () => {
    expect(screenToImage(turned, imageToScreen(turned, [12.5, 99]))).toEqual([12.5, 99]);
  });

  test('has the scale of a length along a row, mirrored or turned', () => {
    expect(scaleOf(turned)).toBe(2);
    expect(scaleOf({ a: -0.5, b: 0, c: 0, d: 0.5, e: 0, f: 0 })).toBe(0.5);
  });

  test('is irregular without a camera and without a size', () => {
    expect(isInvertible(turned)).toBe(true);
    expect(isInvertible(affineFrom(() => [NaN, NaN], 300, 500))).toBe(false);
    expect(isInvertible(affineFrom(() => [5, 5], 300, 500))).toBe(false);
  });

  test('in CSS stretches a smaller picture over the image', () => {
    expect(cssMatrix({ a: 1, b: 0, c: 0, d: 1, e: 4, f: 5 }, 8, 16)).toBe('matrix(8,0,0,16,4,5)');
  });
});

test.each([
  [4.26, '4.3 µm'],
  [850, '850 µm'],
  [1000, '1.0 mm'],
  [12340, '12.3 mm'],
])('%d micrometres are said as %s', (micrometres, words) => {
  expect(formatLength(micrometres)).toBe(words);
});
