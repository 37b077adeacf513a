/** Heat maps: an 8-bit grey picture of 0–1 made into colours. Perceptually even maps that colour-blind readers tell
 * apart; low values are transparent, so that only what stands out covers the image. */

import { getBlob } from '../server/client';

type Stop = readonly [number, number, number];

/** Inferno and viridis (Smith & van der Walt, CC0), sampled at nine places. */
const INFERNO: readonly Stop[] = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
];
const VIRIDIS: readonly Stop[] = [
  [68, 1, 84],
  [71, 45, 123],
  [59, 82, 139],
  [44, 114, 142],
  [33, 145, 140],
  [40, 174, 128],
  [94, 201, 98],
  [173, 220, 48],
  [253, 231, 37],
];

function colourAt(stops: readonly Stop[], value: number): Stop {
  const place = value * (stops.length - 1);
  const index = Math.min(Math.floor(place), stops.length - 2);
  const low = stops[index] as Stop;
  const high = stops[index + 1] as Stop;
  const part = place - index;
  return [0, 1, 2].map((channel) =>
    Math.round((low[channel] as number) * (1 - part) + (high[channel] as number) * part),
  ) as unknown as Stop;
}

/** On stained tissue, itself warm, the cool map stands out; on grey images the warm one. */
const colourMapFor = (isColour: boolean): readonly Stop[] => (isColour ? VIRIDIS : INFERNO);

function colourTable(isColour: boolean): Uint8ClampedArray {
  const entries = new Uint8ClampedArray(256 * 4);
  for (let value = 0; value < 256; value += 1) {
    const [red, green, blue] = colourAt(colourMapFor(isColour), value / 255);
    entries.set([red, green, blue, Math.min(255, Math.max(0, (value - 12) * 3.2))], value * 4);
  }
  return entries;
}

/** Load the grey picture at an address and colour it, pixel by pixel. */
export async function loadHeatmap(address: string, isColour: boolean): Promise<HTMLCanvasElement> {
  const picture = await createImageBitmap(await getBlob(address));
  const canvas = document.createElement('canvas');
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('no canvas');
  context.drawImage(picture, 0, 0);
  picture.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const colours = colourTable(isColour);
  for (let offset = 0; offset < pixels.data.length; offset += 4) {
    const entry = (pixels.data[offset] as number) * 4;
    pixels.data.set(colours.subarray(entry, entry + 4), offset);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** Fill a canvas with the colours from 0 at its left border to 1 at its right. */
export function drawLegend(canvas: HTMLCanvasElement, isColour: boolean): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  for (let x = 0; x < canvas.width; x += 1) {
    context.fillStyle = `rgb(${colourAt(colourMapFor(isColour), x / (canvas.width - 1)).join(' ')})`;
    context.fillRect(x, 0, 1, canvas.height);
  }
}
