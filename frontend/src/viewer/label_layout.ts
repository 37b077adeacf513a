/** Where labels stand: whole inside the pane, none over another, and as near to what they name as that allows. */

/** In CSS pixels from the pane's top left corner: x0, y0, x1, y1. */
export type ScreenBox = readonly [number, number, number, number];

/** A label's size, and what it names. */
interface Labelled {
  box: ScreenBox;
  width: number;
  height: number;
}

/** The label's top left corner; `leader` where it stands apart and a line must say what it belongs to. */
export interface LabelPlace {
  x: number;
  y: number;
  leader: boolean;
}

const GAP = 3;
/** How far from its box a label may be without a line to it. */
const NEAR = 8;

const overlaps = (one: ScreenBox, other: ScreenBox): boolean =>
  one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

const distance = (one: ScreenBox, other: ScreenBox): number =>
  Math.hypot(Math.max(0, one[0] - other[2], other[0] - one[2]), Math.max(0, one[1] - other[3], other[1] - one[3]));

/** The places of a label from the best to the worst: at the corners of its box, inside it, then around it in widening
 * rings. */
function* candidates({ box: [x0, y0, x1, y1], width, height }: Labelled): Generator<readonly [number, number]> {
  yield [x0, y0 - GAP - height];
  yield [x1 - width, y0 - GAP - height];
  yield [x0, y1 + GAP];
  yield [x1 - width, y1 + GAP];
  yield [x1 + GAP, y0];
  yield [x0 - GAP - width, y0];
  yield [x0 + GAP, y0 + GAP];
  for (let ring = 1; ring <= 12; ring += 1) {
    for (let step = -ring; step <= ring; step += 1) {
      const along = step * (width / 2 + GAP);
      yield [x0 + along, y0 - GAP - height - ring * (height + GAP)];
      yield [x0 + along, y1 + GAP + ring * (height + GAP)];
      yield [x1 + GAP + ring * (width / 2), y0 + step * (height + GAP)];
      yield [x0 - GAP - width - ring * (width / 2), y0 + step * (height + GAP)];
    }
  }
}

/**
 * Place labels one after the other; those first in the list have the choice.
 *
 * @param size - of the pane, in CSS pixels.
 * @returns A place for each label; none where what it names is not seen, or no room is left for it.
 */
export function placeLabels(
  labels: readonly Labelled[],
  [paneWidth, paneHeight]: readonly [number, number],
): (LabelPlace | null)[] {
  const taken: ScreenBox[] = [];
  const pane: ScreenBox = [0, 0, paneWidth, paneHeight];
  return labels.map((label) => {
    const { box, width, height } = label;
    if (!overlaps(box, pane) || width > paneWidth || height > paneHeight) return null;
    for (const [wantedX, wantedY] of candidates(label)) {
      const x = Math.min(Math.max(wantedX, 0), paneWidth - width);
      const y = Math.min(Math.max(wantedY, 0), paneHeight - height);
      const place: ScreenBox = [x, y, x + width, y + height];
      if (taken.some((other) => overlaps(place, other))) continue;
      taken.push(place);
      return { x, y, leader: distance(place, box) > NEAR };
    }
    return null;
  });
}
