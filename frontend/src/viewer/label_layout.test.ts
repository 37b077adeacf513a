import { describe, expect, test } from 'vitest';
import { type ScreenBox, placeLabels } from './label_layout';

const pane = [300, 200] as const;
const size = { width: 60, height: 18 };

function placesOf(...boxes: ScreenBox[]): ReturnType<typeof placeLabels>['places'] {
  const labels = boxes.map((box) => ({ box, ...size }));
  return placeLabels(labels, pane).places;
}

/** Numbers that are the same in every run (mulberry32). */
function numbersFrom(seed: number): (from: number, to: number) => number {
  let state = seed;
  return (from, to) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return from + (((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * (to - from);
  };
}

describe('labels', () => {
  test('stand on the upper left corner of what they name', () => {
    expect(placesOf([100, 100, 140, 140])).toEqual([{ x: 100, y: 79, leader: false }]);
  });

  test('of what is not seen are not there, nor counted', () => {
    expect(placeLabels([{ box: [400, 10, 420, 30], ...size }], pane)).toEqual({ places: [null], more: null });
  });

  test('leave the name of the image free as long as there is room', () => {
    const name: ScreenBox = [0, 0, 120, 30];
    const box: ScreenBox = [10, 22, 40, 60];
    const [beside] = placeLabels([{ box, ...size }], pane, [name]).places;
    expect(beside).toEqual({ x: 10, y: 63, leader: false });
    expect(placeLabels([{ box, ...size }], pane, [[0, 0, 300, 200]]).places[0]).not.toBeNull();
  });

  test('that stand apart have a line', () => {
    const crowd = Array.from({ length: 20 }, (_, index): ScreenBox => [140, 90, 150 + index, 100]);
    expect(placesOf(...crowd).at(-1)?.leader).toBe(true);
  });

  test('that have no room are counted, and the first of the list have the choice', () => {
    const labels = Array.from({ length: 5 }, () => ({ box: [10, 10, 20, 20] as const, ...size }));
    const { places, more } = placeLabels(labels, [60, 60]);
    expect(places.map(Boolean)).toEqual([true, true, false, false, false]);
    expect(more).toEqual({ labels: [2, 3, 4], place: [24, 42, 60, 60] });
  });

  test.each([
    ['large', 900, 600, 8],
    ['one of four', 420, 300, 15],
    ['on a telephone', 150, 110, 12],
    ['tiny', 44, 30, 5],
    ['smaller than a label', 12, 9, 3],
    ['crowded', 300, 200, 90],
  ])('in a pane that is %s are whole, cover nothing, and none is lost', (_, width, height, count) => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const between = numbersFrom(seed);
      const labels = Array.from({ length: count }, () => {
        // Boxes of every size, also beyond the pane, and half of them at one place.
        const [x, y] = between(0, 1) < 0.5 ? [width / 2, height / 2] : [between(-60, width), between(-60, height)];
        const box: ScreenBox = [x, y, x + between(1, width), y + between(1, height)];
        return { box, width: between(18, 70), height: 18 };
      });
      const furniture: ScreenBox[] = [[0, 0, Math.min(80, width), 22]];
      const { places, more } = placeLabels(labels, [width, height], furniture);
      const boxes = places.flatMap((place, index): ScreenBox[] => {
        const label = labels[index];
        return place && label ? [[place.x, place.y, place.x + label.width, place.y + label.height]] : [];
      });
      if (more?.place) boxes.push(more.place);
      const isWhole = ([x0, y0, x1, y1]: ScreenBox): boolean =>
        Math.min(x0, y0) >= 0 && x1 <= width + 1e-9 && y1 <= height + 1e-9;
      const isApart = ([x0, y0, x1, y1]: ScreenBox, [ox0, oy0, ox1, oy1]: ScreenBox): boolean =>
        x0 >= ox1 - 1e-9 || ox0 >= x1 - 1e-9 || y0 >= oy1 - 1e-9 || oy0 >= y1 - 1e-9;
      expect(boxes.filter((box) => !isWhole(box))).toEqual([]);
      expect(boxes.filter((box, index) => !boxes.slice(index + 1).every((other) => isApart(box, other)))).toEqual([]);
      const seen = labels.flatMap(({ box: [x0, y0, x1, y1] }, index) =>
        x0 < width && x1 > 0 && y0 < height && y1 > 0 ? [index] : [],
      );
      const placed = places.flatMap((place, index) => (place ? [index] : []));
      expect([...placed, ...(more?.labels ?? [])].sort((one, other) => one - other)).toEqual(seen);
      if (more && width >= 36 && height >= 18) expect(more.place).not.toBeNull();
    }
  });
});
