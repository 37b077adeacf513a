/** Hanging protocols: which image hangs in which place, and which others belong to it. */
import type { CaseImage } from '../api_types';

/** A place on the stage. */
export interface Place {
  /** Of the standard view that belongs here, "L CC". */
  name: string;
  side: 'R' | 'L';
  /** All that belong here, the first to hang at the front. */
  images: readonly CaseImage[];
  /** How many of them hang by themselves; the rest is kept aside and shown only when asked for. */
  hung: number;
}

/** What hangs together, by row. */
interface Hanging {
  rows: Place[][];
}

/** The views of a place, the one that it is named for first; others stand in for it where it is missing. */
const ROWS: readonly (readonly [string, ...string[]])[] = [
  ['CC', 'XCC', 'XCCL', 'XCCM', 'FB'],
  ['MLO', 'ML', 'LM', 'LMO', 'SIO', 'ISO'],
];

export const isKeptAside = (image: CaseImage): boolean => image.roles.includes('kept_aside');

/** Whether an image is the standard view of its place, taken in the usual way. */
export const isStandard = (image: CaseImage, place: Place): boolean =>
  image.view_modifiers.length === 0 && place.name === `${image.laterality} ${image.view.toUpperCase()}`;

/** The smaller hangs before the larger: what is kept aside comes last, stand-ins after the view itself, and special
 * exposures (implant displaced, spot, magnified) after plain ones. */
function rank(image: CaseImage, views: readonly string[]): number[] {
  return [
    Number(isKeptAside(image)),
    views.indexOf(image.view.toUpperCase()),
    Number(image.view_modifiers.length > 0),
    Number(!image.roles.includes('hung')),
  ];
}

function isBefore(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((value, place) => value !== other[place]);
  return at === -1 ? 0 : (one[at] as number) - (other[at] as number);
}

function placeOf(side: 'R' | 'L', views: readonly [string, ...string[]], images: readonly CaseImage[]): Place {
  // Sorting is stable: what repeats keeps the order of the study's images.
  const here = images
    .filter((image) => image.laterality === side && views.includes(image.view.toUpperCase()))
    .sort((one, other) => isBefore(rank(one, views), rank(other, views)));
  return { name: `${side} ${views[0]}`, side, images: here, hung: here.filter((image) => !isKeptAside(image)).length };
}

/** Mammograms stand back to back, as the reader would face the patient: the right breast on the left, chest walls in
 * the middle, CC above MLO. None where the images do not make at least two of the four views. */
function mammographyHanging(images: readonly CaseImage[]): Hanging | null {
  const rows = ROWS.map((views) => [placeOf('R', views, images), placeOf('L', views, images)]).filter((row) =>
    row.some((place) => place.hung > 0),
  );
  return rows.flat().filter((place) => place.hung > 0).length >= 2 ? { rows } : null;
}

const PROTOCOLS = new Map<string, (images: readonly CaseImage[]) => Hanging | null>([
  ['mammography', mammographyHanging],
  ['single', () => null],
]);

/** What a protocol makes of the images; none where it shows one at a time, as one that is not known here does. */
export function hangingOf(protocol: string, images: readonly CaseImage[]): Hanging | null {
  return PROTOCOLS.get(protocol)?.(images) ?? null;
}
