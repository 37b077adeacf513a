/** Raw pixels from the platform's API. The server decodes, so no codec runs in the browser. */
import type { CaseWords, ImageMetadata } from '../api_types';
import { ServerError, SignedOut } from '../server/client';

type PixelArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Float32Array;

/** Why an image cannot be shown, as a sentence for the reader. */
export function errorText(error: unknown, words: CaseWords): string {
  if (error instanceof SignedOut) return words.signed_out;
  if (error instanceof ServerError) return error.message || words.no_connection;
  return error instanceof Error ? error.message : '';
}

/** The size of one uncompressed frame, as the server sends it. */
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
