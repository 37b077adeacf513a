/** Metadata and raw pixels from the platform's API. The server decodes, so no codec runs in the browser. */

export interface ImageMetadata {
  rows: number;
  columns: number;
  frames: number;
  samples: number;
  bits_allocated: number;
  signed: boolean;
  photometric: string;
  window: { center: number; width: number } | null;
  slope: number;
  intercept: number;
  min: number | null;
  max: number | null;
  pixel_spacing_um: number | null;
  lossy: boolean;
  slide: { mpp_x: number | null; objective_power: number | null } | null;
}

export type PixelArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Float32Array;

/** A refusal with the server's own sentence. */
export class ImageError extends Error {}

async function refusal(response: Response, fallback: string): Promise<ImageError> {
  try {
    const problem = (await response.json()) as { detail?: string };
    return new ImageError(problem.detail ?? fallback);
  } catch {
    return new ImageError(fallback);
  }
}

async function get(address: string, signal: AbortSignal, fallback: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, {
      credentials: 'same-origin',
      signal,
      headers: { Accept: 'application/json, application/octet-stream' },
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ImageError(fallback);
  }
  if (!response.ok) throw await refusal(response, fallback);
  return response;
}

export async function fetchMetadata(address: string, fallback: string, signal: AbortSignal): Promise<ImageMetadata> {
  return (await get(address, signal, fallback)).json() as Promise<ImageMetadata>;
}

/** The bytes of an answer, with progress from 0 to 1 as they arrive. */
export async function fetchBytes(
  address: string,
  expected: number,
  fallback: string,
  signal: AbortSignal,
  progress: (fraction: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await get(address, signal, fallback);
  if (!response.body) return new Uint8Array(await response.arrayBuffer());
  const bytes = new Uint8Array(expected);
  let filled = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (filled + value.length > expected) throw new ImageError(fallback);
    bytes.set(value, filled);
    filled += value.length;
    progress(filled / expected);
  }
  // Half an image must never look like a whole one.
  if (filled !== expected) throw new ImageError(fallback);
  return bytes;
}

export function bytesPerFrame(metadata: ImageMetadata): number {
  return (metadata.rows * metadata.columns * metadata.samples * metadata.bits_allocated) / 8;
}

/** Little-endian bytes as numbers, slope and intercept applied. */
export function pixelArray(bytes: Uint8Array<ArrayBuffer>, metadata: ImageMetadata): PixelArray {
  const { bits_allocated: bits, signed, slope, intercept } = metadata;
  let stored: PixelArray;
  if (bits === 8) stored = signed ? new Int8Array(bytes.buffer) : bytes;
  else stored = signed ? new Int16Array(bytes.buffer) : new Uint16Array(bytes.buffer);
  if (slope === 1 && intercept === 0) return stored;
  return Float32Array.from(stored, (value) => value * slope + intercept);
}
