import { describe, expect, test } from 'vitest';
import type { CaseImage } from '../api_types';
import { caseImage, fourViews } from '../testing/case_page';
import { chestWallSide, hangingOf } from './hanging';

/** The names of the images that hang, by row; null where a place is empty. */
const mammograms = (images: readonly CaseImage[]): (string | null)[][] | null =>
  hangingOf('mammography', images)?.rows.map((row) => row.map((image) => image && image.name)) ?? null;
const named = (...names: string[]): CaseImage[] => names.map((name) => caseImage(name));

describe('mammograms', () => {
  test('hang right beside left and CC above MLO, in whatever order they came', () => {
    expect(mammograms(fourViews().reverse())).toEqual([
      ['R CC', 'L CC'],
      ['R MLO', 'L MLO'],
    ]);
  });

  test('leave the place of a missing view empty', () => {
    expect(mammograms(named('R CC', 'R MLO', 'L MLO'))).toEqual([
      ['R CC', null],
      ['R MLO', 'L MLO'],
    ]);
  });

  test.each([
    [
      'of one breast keep to its side',
      ['L CC', 'L MLO'],
      [
        [null, 'L CC'],
        [null, 'L MLO'],
      ],
    ],
    [
      'of different views and sides keep their places',
      ['L CC', 'R MLO'],
      [
        [null, 'L CC'],
        ['R MLO', null],
      ],
    ],
    ['of one kind of view make one row', ['R MLO', 'L MLO'], [['R MLO', 'L MLO']]],
    ['of a true lateral have it in the place of an MLO', ['L ML', 'R LM'], [['R LM', 'L ML']]],
  ])('two %s', (_, names, rows) => {
    expect(mammograms(named(...names))).toEqual(rows);
  });

  test('that repeat a view hang the one that came first', () => {
    const again = caseImage('R CC', { id: 'again' });
    const hanging = hangingOf('mammography', [...fourViews(), again]);
    expect(hanging?.rows[0]?.[0]?.id).toBe('r-cc');
    expect(hanging?.rows.flat()).not.toContain(again);
  });

  test('of other views have no place beside the four', () => {
    expect(mammograms([...named('R XCCL', 'L AT'), ...fourViews()])).toEqual(mammograms(fourViews()));
  });

  test('hang alone where they are single or say no side', () => {
    expect(mammograms(named('R CC'))).toBeNull();
    expect(mammograms(named(' CC', ' MLO'))).toBeNull();
    expect(mammograms([])).toBeNull();
  });

  test('that repeat one view and have no other hang alone', () => {
    expect(mammograms([caseImage('R CC'), caseImage('R CC', { id: 'again' })])).toBeNull();
  });
});

describe('a protocol', () => {
  test.each([
    ['says so', 'single'],
    ['is none', ''],
    ['is not known', 'of a later platform'],
    ['has the name of something that every object has', 'constructor'],
  ])('shows one image at a time where it %s', (_, protocol) => {
    expect(hangingOf(protocol, fourViews())).toBeNull();
  });
});

describe('the chest wall', () => {
  const rows = 40;
  const columns = 100;
  /** Bright from the left border to `to`, dark beyond. */
  const breast = (to: number, bright: number, dark: number): number[] =>
    Array.from({ length: rows * columns }, (_, place) => (place % columns < to ? bright : dark));
  const mirrored = (picture: number[]): number[] =>
    picture.map((_, place) => picture[place - (place % columns) + columns - 1 - (place % columns)] as number);

  test('is where there is tissue', () => {
    expect(chestWallSide(breast(60, 900, 20), rows, columns, false)).toBe('left');
    expect(chestWallSide(mirrored(breast(60, 900, 20)), rows, columns, false)).toBe('right');
  });

  test('is found where dark is stored as high', () => {
    expect(chestWallSide(breast(60, 20, 900), rows, columns, true)).toBe('left');
  });

  test('is nowhere in an even picture or one that is the same from both sides', () => {
    expect(chestWallSide(breast(100, 500, 500), rows, columns, false)).toBeNull();
    const left = breast(20, 900, 20);
    const right = mirrored(left);
    const both = left.map((value, place) => Math.max(value, right[place] as number));
    expect(chestWallSide(both, rows, columns, false)).toBeNull();
  });
});
