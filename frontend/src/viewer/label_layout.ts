/** Where labels stand: whole inside the pane, none over another, and as near to what they name as that allows. What has
 * no room is counted, never cut or covered. */

/** In CSS pixels from the pane's top left corner: x0, y0, x1, y1. */
export type ScreenBox = readonly [number, number, number, number];

/** A label's size, and what it names. */
export interface Labelled {
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

interface Layout {
  /** By label; none where what it names is not seen, or no room is left. */
  places: (LabelPlace | null)[];
  /** The labels that no room is left for, and where their number stands; nowhere in a pane smaller than that. */
  more: { labels: number[]; place: ScreenBox | null } | null;
}

const GAP = 3;
/** How far from its box a label may be without a line to it. */
const NEAR = 8;
/** Of the badge that counts what has no room. */
const BADGE = [36, 18] as const;

const overlaps = (one: ScreenBox, other: ScreenBox): boolean =>
  one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

const distance = (one: ScreenBox, other: ScreenBox): number =>
  Math.hypot(Math.max(0, one[0] - other[2], other[0] - one[2]), Math.max(0, one[1] - other[3], other[1] - one[3]));

type Spot = readonly [number, number];

/** The places of a label from the best to the worst: at the corners of its box, inside it, then around it in widening
 * rings. */
function* candidates({ box: [x0, y0, x1, y1], width, height }: Labelled): Generator<Spot> {
  yield [x0, y0 - GAP - height];
  yield [x1 - width, y0 - GAP - height];
  yield [x0, y1 + GAP];
  yield [x1 - width, y1 + GAP];
  yield [x1 + GAP, y0];
  yield [x0 - GAP - width, y0];
  yield [x0 + GAP, y0 + GAP];
  for (let ring = 1; ring <= 8; ring += 1) {
    for (let step = -ring; step <= ring; step += 1) {
      const along = step * (width / 2 + GAP);
      yield [x0 + along, y0 - GAP - height - ring * (height + GAP)];
      yield [x0 + along, y1 + GAP + ring * (height + GAP)];
      yield [x1 + GAP + ring * (width / 2), y0 + step * (height + GAP)];
      yield [x0 - GAP - width - ring * (width / 2), y0 + step * (height + GAP)];
    }
  }
}

/** Places all over the pane, the nearest to the box first. */
function anywhere({ box, width, height }: Labelled, [paneWidth, paneHeight]: Spot): Spot[] {
  const spots: Spot[] = [];
  for (let y = 0; y < paneHeight; y += height) for (let x = 0; x < paneWidth; x += width) spots.push([x, y]);
  const far = ([x, y]: Spot): number => distance([x, y, x + width, y + height], box);
  return spots.sort((one, other) => far(one) - far(other));
}

/**
 * Place labels one after the other; those first in the list have the choice.
 *
 * @param size - of the pane, in CSS pixels.
 * @param furniture - What else stands on the pane, such as its name: left free as long as there is room elsewhere.
 */
export function placeLabels(
  labels: readonly Labelled[],
  size: readonly [number, number],
  furniture: readonly ScreenBox[] = [],
): Layout {
  const whole = layOut(labels, size, furniture, []);
  if (!whole.more) return whole;
  // Some must go. Their number has a place of its own, which no label takes.
  const [width, height] = size;
  if (width < BADGE[0] || height < BADGE[1]) return whole;
  const place: ScreenBox = [width - BADGE[0], height - BADGE[1], width, height];
  const counted = layOut(labels, size, furniture, [place]);
  return { ...counted, more: counted.more && { labels: counted.more.labels, place } };
}

function layOut(
  labels: readonly Labelled[],
  [paneWidth, paneHeight]: readonly [number, number],
  furniture: readonly ScreenBox[],
  reserved: readonly ScreenBox[],
): Layout {
  const taken = [...reserved];
  const pane: ScreenBox = [0, 0, paneWidth, paneHeight];
  const without: number[] = [];
  const free = (label: Labelled, spots: Iterable<Spot>, avoided: readonly ScreenBox[]): ScreenBox | null => {
    for (const [wantedX, wantedY] of spots) {
      const x = Math.min(Math.max(wantedX, 0), paneWidth - label.width);
      const y = Math.min(Math.max(wantedY, 0), paneHeight - label.height);
      const place: ScreenBox = [x, y, x + label.width, y + label.height];
      if (![...taken, ...avoided].some((other) => overlaps(place, other))) return place;
    }
    return null;
  };
  // Where one found no room, a larger one after it finds none; in a crowd that saves most of the search.
  let tooWide = Infinity;
  const places = labels.map((label, index) => {
    const { box, width, height } = label;
    if (!overlaps(box, pane)) return null;
    const fits = width < tooWide && width <= paneWidth && height <= paneHeight;
    const place =
      fits &&
      (free(label, candidates(label), furniture) ??
        free(label, candidates(label), []) ??
        free(label, anywhere(label, [paneWidth, paneHeight]), []));
    if (!place) {
      without.push(index);
      tooWide = Math.min(tooWide, width);
      return null;
    }
    taken.push(place);
    return { x: place[0], y: place[1], leader: distance(place, box) > NEAR };
  });
  return { places, more: without.length > 0 ? { labels: without, place: null } : null };
}
