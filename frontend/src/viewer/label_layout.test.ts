import { describe, expect, test } from 'vitest';
import { placeLabels } from './label_layout';

const pane = [300, 200] as const;
const size = { width: 60, height: 18 };

describe('labels', () => {
  test('stand on the upper left corner of what they name', () => {
    expect(placeLabels([{ box: [100, 100, 140, 140], ...size }], pane)).toEqual([{ x: 100, y: 79, leader: false }]);
  });

  test.each([
    ['left', [-30, 100, 4, 140]],
    ['right', [296, 100, 340, 140]],
    ['top', [100, -20, 140, 6]],
    ['bottom', [100, 196, 140, 240]],
    ['corner', [290, 0, 300, 8]],
    ['whole pane', [0, 0, 300, 200]],
  ] as const)('of a box at the %s are whole inside the pane', (_, box) => {
    const [place] = placeLabels([{ box, ...size }], pane);
    expect(place).not.toBeNull();
    expect(place?.x).toBeGreaterThanOrEqual(0);
    expect(place?.y).toBeGreaterThanOrEqual(0);
    expect((place?.x ?? 0) + size.width).toBeLessThanOrEqual(300);
    expect((place?.y ?? 0) + size.height).toBeLessThanOrEqual(200);
  });

  test('of what is not seen are not there', () => {
    expect(placeLabels([{ box: [400, 10, 420, 30], ...size }], pane)).toEqual([null]);
  });

  test('of twenty boxes in one place do not cover one another, and those that stand apart have a line', () => {
    const boxes = Array.from({ length: 20 }, (_, index) => ({ box: [140, 90, 150 + index, 100] as const, ...size }));
    const places = placeLabels(boxes, pane);
    for (const [index, one] of places.entries()) {
      for (const other of places.slice(index + 1)) {
        if (!one || !other) continue;
        const apart = Math.abs(one.x - other.x) >= size.width || Math.abs(one.y - other.y) >= size.height;
        expect(apart).toBe(true);
      }
    }
    expect(places.filter(Boolean).length).toBeGreaterThan(15);
    expect(places.at(-1)?.leader).toBe(true);
  });

  test('that have no room are left out, never laid over others', () => {
    const boxes = Array.from({ length: 5 }, () => ({ box: [10, 10, 20, 20] as const, ...size }));
    expect(placeLabels(boxes, [60, 40]).filter(Boolean)).toHaveLength(2);
  });
});
