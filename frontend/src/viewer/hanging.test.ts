import { describe, expect, test } from 'vitest';
import type { CaseImage } from '../api_types';
import { caseImage, fourViews } from '../testing/case_page';
import { hangingOf } from './hanging';

/** The names of the images that hang, by row; null where a place is empty. */
const mammograms = (images: readonly CaseImage[]): (string | null)[][] | null =>
  hangingOf('mammography', images)?.rows.map((row) =>
    row.map((place) => (place.hung > 0 ? (place.images[0]?.name ?? null) : null)),
  ) ?? null;
/** The ids of all that belong to a place, in order. */
const placeIds = (images: readonly CaseImage[], name: string): string[] =>
  hangingOf('mammography', images)
    ?.rows.flat()
    .find((place) => place.name === name)
    ?.images.map((image) => image.id) ?? [];
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

  test('that repeat a view hang the one that came first, and the others follow it', () => {
    const again = caseImage('R CC', { id: 'again' });
    expect(placeIds([...fourViews(), again], 'R CC')).toEqual(['r-cc', 'again']);
  });

  test('of special exposures follow the plain ones, whatever order they came in', () => {
    const displaced = caseImage('L CC', { id: 'displaced', view_modifiers: ['ID'] });
    const spot = caseImage('L CC', { id: 'spot', view_modifiers: ['S', 'M'] });
    expect(placeIds([displaced, spot, ...fourViews()], 'L CC')).toEqual(['l-cc', 'displaced', 'spot']);
    expect(mammograms([displaced, ...named('R CC')])).toEqual([['R CC', 'L CC']]);
  });

  test('of a true lateral follow the MLO, and hang only where there is none', () => {
    const images = named('L ML', 'L MLO', 'R ML', 'R CC');
    expect(placeIds(images, 'L MLO')).toEqual(['l-mlo', 'l-ml']);
    expect(mammograms(images)).toEqual([
      ['R CC', null],
      ['R ML', 'L MLO'],
    ]);
  });

  test('that are kept aside come last, and never hang by themselves', () => {
    const raw = (name: string): CaseImage =>
      caseImage(name, { id: `raw ${name}`, roles: ['kept_aside'], kept_aside_reason: 'Raw.' });
    expect(placeIds([raw('L CC'), ...fourViews()], 'L CC')).toEqual(['l-cc', 'raw L CC']);
    expect(mammograms([raw('L CC'), ...named('R CC', 'R MLO')])).toEqual([
      ['R CC', null],
      ['R MLO', null],
    ]);
    expect(placeIds([raw('L CC'), ...named('R CC', 'R MLO')], 'L CC')).toEqual(['raw L CC']);
  });

  test('of exaggerated views belong to the CC', () => {
    expect(placeIds([...named('R XCCL'), ...fourViews()], 'R CC')).toEqual(['r-cc', 'r-xccl']);
  });

  test('of other views have no place beside the four', () => {
    expect(mammograms([...named('R AT', 'L AT'), ...fourViews()])).toEqual(mammograms(fourViews()));
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
