/** From stored values to the greys of the screen, by one table for each frame. At opening it is the server's, which
 * knows all that the header says; the reader's own window is made into a table here. */
import type { ImageMetadata, OfferedWindowAnswer, TableAnswer } from '../api_types';
import type { StoredValues } from './pixels';

/** An 8-bit grey for each stored value from `first`; values outside take the nearest. */
interface Greys {
  readonly first: number;
  readonly table: Uint8Array;
}

/** A way of showing a frame that is not the one it opens with. */
export type Chosen =
  | { kind: 'window'; center: number; width: number; function: WindowFunction }
  | { kind: 'table'; name: string; answer: TableAnswer };

type WindowFunction = 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID';

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** A table as the server sends it. */
const greysOf = ({ first, table }: TableAnswer): Greys => ({ first, table: bytesOf(table) });

/** What the header offers, as it is chosen. */
export function chosenOf({ name, center, width, function: by, display }: OfferedWindowAnswer): Chosen | null {
  if (by === 'LUT') return display && { kind: 'table', name, answer: display };
  return center === null || width === null ? null : { kind: 'window', center, width, function: by };
}

/** Which of the windows and tables that the header names the frame opens with; -1 for none of them. */
export function openingPlace({ windows, window, window_function: by }: ImageMetadata): number {
  if (by === 'LUT') return windows.findIndex((offered) => offered.function === by);
  return windows.findIndex(
    (offered) => offered.function === by && offered.center === window?.center && offered.width === window?.width,
  );
}

/** How a frame is shown, for the toolbar: "W 400  L 40", and what is no line between black and white by its name. */
export function windowText(metadata: ImageMetadata, chosen: Chosen | null): string {
  if (chosen?.kind === 'table') return `LUT ${chosen.name}`;
  const { center, width } = chosen ?? metadata.window ?? { center: 0, width: 0 };
  const by = chosen?.function ?? metadata.window_function;
  if (by === 'LUT') return `LUT ${metadata.windows.find((offered) => offered.function === 'LUT')?.name ?? ''}`.trim();
  // Values of a fractional rescale are told apart by their fractions.
  const isFine = metadata.slope % 1 !== 0 && width < 100;
  const rounded = (value: number): string => (isFine ? value.toPrecision(3) : String(Math.round(value)));
  return `W ${rounded(width)}  L ${rounded(center)}${by === 'SIGMOID' ? ' SIGMOID' : ''}`;
}

/** Decoded once, for dragging asks for it with every step. */
const openings = new WeakMap<ImageMetadata, Greys>();

function openingOf(metadata: ImageMetadata): Greys {
  const opening = openings.get(metadata) ?? greysOf(metadata.display as TableAnswer);
  openings.set(metadata, opening);
  return opening;
}

/** The table of a frame by what was chosen, or the one that it opens with. */
export function greysBy(metadata: ImageMetadata, chosen: Chosen | null): Greys {
  const opening = openingOf(metadata);
  if (!chosen) return opening;
  if (chosen.kind === 'table') return greysOf(chosen.answer);
  const { first } = opening;
  const table = new Uint8Array(opening.table.length);
  const values = modalityValues(metadata, opening);
  const [low, high] = metadata.padding ?? [1, 0];
  for (let index = 0; index < table.length; index += 1) {
    const stored = first + index;
    if (stored >= low && stored <= high) continue;
    const shade = windowed(values(stored), chosen);
    table[index] = Math.round(255 * (metadata.photometric === 'MONOCHROME1' ? 1 - shade : shade));
  }
  return { first, table };
}

/** The modality transform: by its table, or else slope and intercept. */
function modalityValues({ slope, intercept, modality_table: answer }: ImageMetadata, opening: Greys) {
  if (!answer) return (stored: number): number => stored * slope + intercept;
  const entries = new Uint16Array(bytesOf(answer.table).buffer);
  const last = opening.first + entries.length - 1;
  return (stored: number): number => entries[Math.min(stored, last) - answer.first] ?? 0;
}

/** 0 to 1 through a window (PS3.3 C.11.2.1.2.1 and C.11.2.1.3). */
function windowed(value: number, { center, width, function: by }: Chosen & { kind: 'window' }): number {
  if (by === 'SIGMOID') return 1 / (1 + Math.exp((-4 * (value - center)) / width));
  if (by === 'LINEAR' && width === 1) return value > center - 0.5 ? 1 : 0;
  const exact = by === 'LINEAR_EXACT' || width < 1;
  const shade = exact ? (value - center) / width + 0.5 : (value - (center - 0.5)) / (width - 1) + 0.5;
  return Math.min(Math.max(shade, 0), 1);
}

/** Write the picture of stored values into `picture`, one grey each. */
export function drawGreys(stored: StoredValues, { first: lowest, table }: Greys, picture: Uint8Array): void {
  const size = stored.BYTES_PER_ELEMENT === 1 ? 0x100 : 0x10000;
  const isSigned = stored instanceof Int16Array;
  // By bit pattern, so that the loop over millions of pixels needs no bounds.
  const greys = new Uint8Array(size);
  for (let pattern = 0; pattern < size; pattern += 1) {
    const value = isSigned && pattern >= 0x8000 ? pattern - 0x10000 : pattern;
    greys[pattern] = table[Math.min(Math.max(value - lowest, 0), table.length - 1)] ?? 0;
  }
  const patterns = isSigned ? new Uint16Array(stored.buffer, stored.byteOffset, stored.length) : stored;
  // Four pixels at a time where their bytes lie so: twice as fast, which shows when a window is dragged.
  const whole = isAligned(stored, picture) ? stored.length >> 2 : 0;
  const words = new Uint32Array(stored.buffer, whole ? stored.byteOffset : 0, whole * 2);
  const fours = new Uint32Array(picture.buffer, whole ? picture.byteOffset : 0, whole);
  const grey = (pattern: number): number => greys[pattern] as number;
  for (let index = 0; index < whole; index += 1) {
    const first = words[2 * index] as number;
    const second = words[2 * index + 1] as number;
    fours[index] =
      grey(first & 0xffff) | (grey(first >>> 16) << 8) | (grey(second & 0xffff) << 16) | (grey(second >>> 16) << 24);
  }
  for (let index = 4 * whole; index < patterns.length; index += 1) picture[index] = grey(patterns[index] as number);
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const isAligned = (stored: StoredValues, picture: Uint8Array): boolean =>
  isLittleEndian && stored.BYTES_PER_ELEMENT === 2 && stored.byteOffset % 4 === 0 && picture.byteOffset % 4 === 0;
