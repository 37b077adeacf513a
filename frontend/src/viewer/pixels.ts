/** Raw pixels from the platform's API. The server decodes, so no codec runs in the browser. */
import type { CaseWords, ImageMetadata } from '../api_types';
import { ServerError } from '../server/client';

/** One frame as the server sends it: native, whatever the file had. */
export type StoredValues = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Int16Array<ArrayBuffer>;

/** Why an image cannot be shown, as a sentence for the reader. */
export function errorText(error: unknown, words: CaseWords): string {
  if (error instanceof ServerError) return error.message || words.no_connection;
  return error instanceof Error ? error.message : '';
}

/** The size of one uncompressed frame, as the server sends it. */
export function bytesPerFrame(metadata: ImageMetadata): number {
  return (metadata.rows * metadata.columns * metadata.samples * metadata.bits_allocated) / 8;
}

/** Little-endian bytes as the stored values, or as the interleaved colours, that they are. */
export function pixelArray(bytes: Uint8Array<ArrayBuffer>, metadata: ImageMetadata): StoredValues {
  if (metadata.bits_allocated === 8) return bytes;
  return metadata.signed ? new Int16Array(bytes.buffer) : new Uint16Array(bytes.buffer);
}
