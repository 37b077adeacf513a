/** One table from stored values to greys: the server's at opening, the reader's window afterwards. */
import { describe, expect, test } from 'vitest';
import type { ImageMetadata } from '../api_types';
import { base64 } from '../testing/greys';
import { type Chosen, chosenOf, drawGreys, greysBy, windowText } from './greys';

const metadata = (facts: Partial<ImageMetadata>): ImageMetadata =>
  ({
    photometric: 'MONOCHROME2',
    slope: 1,
    intercept: 0,
    window: { center: 50, width: 100 },
    window_function: 'LINEAR',
    display: { first: 0, table: base64(new Uint8Array(101)) },
    windows: [],
    modality_table: null,
    padding: null,
    ...facts,
  }) as ImageMetadata;

const linear = (center: number, width: number): Chosen => ({ kind: 'window', center, width, function: 'LINEAR' });

describe('stored values are drawn by their table', () => {
  const greys = { first: -1, table: Uint8Array.of(10, 20, 30) };

  test.each([
    ['unsigned', Uint16Array.of(0, 1, 2, 65535), [20, 30, 30, 30]],
    ['signed', Int16Array.of(-32768, -2, -1, 0, 1, 2, 32767), [10, 10, 10, 20, 30, 30, 30]],
    ['of 8 bits', Uint8Array.of(0, 1, 255), [20, 30, 30]],
  ])('%s, and those outside take the nearest', (_, stored, right) => {
    const picture = new Uint8Array(stored.length);
    drawGreys(stored, greys, picture);
    expect([...picture]).toEqual(right);
  });

  test('that the server sends', () => {
    expect([...greysBy(metadata({ display: { first: 5, table: base64([1, 2, 255]) } }), null).table]).toEqual([
      1, 2, 255,
    ]);
  });
});

describe("a reader's window", () => {
  const at = (facts: Partial<ImageMetadata>, chosen: Chosen): number[] => {
    const { table } = greysBy(metadata(facts), chosen);
    return [0, 25, 50, 75, 100].map((stored) => table[stored] as number);
  };

  test('is linear', () => expect(at({}, linear(50.5, 101))).toEqual([0, 64, 128, 191, 255]));

  test('of width 1 is a step', () => expect(at({}, linear(50.5, 1))).toEqual([0, 0, 0, 255, 255]));

  test('is given after slope and intercept', () =>
    expect(at({ slope: -2, intercept: 200 }, linear(100.5, 201))).toEqual([255, 191, 128, 64, 0]));

  test('is given after a modality table', () => {
    const entries = Uint16Array.from({ length: 101 }, (_, stored) => 1000 + 10 * stored);
    const table = { first: 0, table: base64(new Uint8Array(entries.buffer)) };
    expect(at({ modality_table: table }, linear(1500.5, 1001))).toEqual([0, 64, 128, 191, 255]);
  });

  test('leaves what is low bright where the image says so, and padding black', () =>
    expect(at({ photometric: 'MONOCHROME1', padding: [0, 30] }, linear(50.5, 101))).toEqual([0, 0, 128, 64, 0]));

  test.each([
    ['LINEAR_EXACT', [0, 64, 128, 191, 255]],
    ['SIGMOID', [30, 69, 128, 186, 225]],
  ] as const)('that the header offers as %s is one', (by, right) => {
    const chosen = chosenOf({ name: 'a', center: 50, width: 100, function: by, display: null }) as Chosen;
    expect(at({}, chosen)).toEqual(right);
  });
});

test('a table that the header offers is used as it is', () => {
  const display = { first: 0, table: base64([9, 8, 7]) };
  const chosen = chosenOf({ name: 'SOFT', center: null, width: null, function: 'LUT', display }) as Chosen;
  expect([...greysBy(metadata({}), chosen).table]).toEqual([9, 8, 7]);
  expect(windowText(metadata({}), chosen)).toBe('LUT SOFT');
});

test.each([
  ['a window', {}, null, 'W 100  L 50'],
  ['a sigmoid', { window_function: 'SIGMOID' as const }, null, 'W 100  L 50 SIGMOID'],
  ['a table', { window_function: 'LUT' as const }, null, 'LUT'],
  ['the window of the reader', { window_function: 'SIGMOID' as const }, linear(20, 40.4), 'W 40  L 20'],
  ['fractions', { slope: 0.001 }, linear(0.123, 0.5), 'W 0.500  L 0.123'],
])('the toolbar says how a frame is shown: %s', (_, facts, chosen, text) => {
  expect(windowText(metadata(facts), chosen)).toBe(text);
});
