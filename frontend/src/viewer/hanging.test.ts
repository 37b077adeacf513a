import { describe, expect, test } from 'vitest';
import { caseImage, fourViews } from '../testing/case_page';
import { chestWallSide, hangingOf, mammographyHanging } from './hanging';

const names = (rows: (ReturnType<typeof caseImage> | null)[][] | undefined): (string | null)[][] | undefined =>
  rows?.map((row) => row.map((image) => image && image.name));

describe('mammograms', () => {
  test('hang right beside left and CC above MLO, in whatever order they came', () => {
    expect(names(mammographyHanging(fourViews().reverse())?.rows)).toEqual([
      ['R CC', 'L CC'],
      ['R MLO', 'L MLO'],
    ]);
  });

  test('leave the place of a missing view empty', () => {
    const images = fourViews().filter((image) => image.name !== 'L CC');
    expect(names(mammographyHanging(images)?.rows)).toEqual([
      ['R CC', null],
      ['R MLO', 'L MLO'],
    ]);
  });

  test('of one kind of view make one row, a true lateral in the place of an MLO', () => {
    expect(names(mammographyHanging([caseImage('L ML'), caseImage('R ML')])?.rows)).toEqual([['R ML', 'L ML']]);
  });

  test('hang alone where they are single or say no side', () => {
    expect(mammographyHanging([caseImage('R CC')])).toBeNull();
    expect(mammographyHanging([caseImage(' CC'), caseImage(' MLO')])).toBeNull();
  });
});

describe('a protocol', () => {
  test('is found by the name that the modality gives it', () => {
    expect(hangingOf('mammography', fourViews())).toEqual(mammographyHanging(fourViews()));
  });

  test('shows one image at a time where it says so, or is not known', () => {
    expect(hangingOf('single', fourViews())).toBeNull();
    expect(hangingOf('of a later platform', fourViews())).toBeNull();
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
