/** Cornerstone3D, fed with raw pixels: its start, our image loader and the metadata that it asks for. World
 * coordinates are stored pixels (spacing 1), so that one transform serves image, marks and measurements. */
import { Enums, RenderingEngine, cache, getShouldUseCPURendering, imageLoader, init, metaData, type Types } from '@cornerstonejs/core';
import type { ImageMetadata } from './pixels';
import { bytesPerFrame, fetchBytes, pixelArray } from './pixels';

const SCHEME = 'cad';
const CACHE_BYTES = 768 * 1024 * 1024;

interface Source {
  address: string;
  metadata: ImageMetadata;
  fallback: string;
  progress: (fraction: number) => void;
  /** Why the frame cannot be had; Cornerstone keeps the reason to itself. */
  failed: (reason: unknown) => void;
}

const sources = new Map<string, Source>();
let engine: RenderingEngine | null = null;

/** Make a frame loadable and return the id that Cornerstone knows it by. */
export function registerFrame(image: string, frame: number, source: Source): string {
  const id = `${SCHEME}:${image}/${frame}`;
  sources.set(id, source);
  return id;
}

function load(imageId: string): { promise: Promise<Types.IImage>; cancelFn: () => void } {
  const abort = new AbortController();
  const source = sources.get(imageId);
  if (!source) throw new Error(`unknown image ${imageId}`);
  const promise = makeImage(imageId, source, abort.signal);
  promise.catch(source.failed);
  return { promise, cancelFn: () => abort.abort() };
}

async function makeImage(imageId: string, source: Source, signal: AbortSignal): Promise<Types.IImage> {
  const { metadata } = source;
  const bytes = await fetchBytes(source.address, bytesPerFrame(metadata), source.fallback, signal, source.progress);
  const pixels = pixelArray(bytes, metadata);
  const isColour = metadata.samples === 3;
  const window = windowOf(metadata);
  return {
    imageId,
    minPixelValue: metadata.min ?? 0,
    maxPixelValue: metadata.max ?? 255,
    slope: 1,
    intercept: 0,
    windowCenter: window.center,
    windowWidth: window.width,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR_EXACT,
    getPixelData: () => pixels,
    rows: metadata.rows,
    columns: metadata.columns,
    height: metadata.rows,
    width: metadata.columns,
    color: isColour,
    rgba: false,
    numberOfComponents: metadata.samples,
    columnPixelSpacing: 1,
    rowPixelSpacing: 1,
    invert: metadata.photometric === 'MONOCHROME1',
    photometricInterpretation: metadata.photometric,
    sizeInBytes: pixels.byteLength,
    dataType: pixels.constructor.name as Types.PixelDataTypedArrayString,
  } as unknown as Types.IImage;
}

/** The window that the image asks for, or its whole range. */
export function windowOf(metadata: ImageMetadata): { center: number; width: number } {
  if (metadata.samples === 3) return { center: 127.5, width: 255 };
  if (metadata.window && metadata.window.width > 0) return metadata.window;
  const low = metadata.min ?? 0;
  const high = Math.max(metadata.max ?? 255, low + 1);
  return { center: (low + high) / 2, width: high - low };
}

function describe(type: string, imageId: unknown): unknown {
  const source = typeof imageId === 'string' ? sources.get(imageId) : undefined;
  if (!source) return undefined;
  const { metadata } = source;
  const window = windowOf(metadata);
  switch (type) {
    case 'imagePixelModule':
      return {
        bitsAllocated: metadata.bits_allocated,
        bitsStored: metadata.bits_allocated,
        highBit: metadata.bits_allocated - 1,
        samplesPerPixel: metadata.samples,
        photometricInterpretation: metadata.photometric,
        pixelRepresentation: metadata.signed ? 1 : 0,
        windowCenter: window.center,
        windowWidth: window.width,
        voiLUTFunction: Enums.VOILUTFunctionType.LINEAR_EXACT,
      };
    case 'imagePlaneModule':
      return {
        rows: metadata.rows,
        columns: metadata.columns,
        imageOrientationPatient: [1, 0, 0, 0, 1, 0],
        rowCosines: [1, 0, 0],
        columnCosines: [0, 1, 0],
        imagePositionPatient: [0, 0, 0],
        columnPixelSpacing: 1,
        rowPixelSpacing: 1,
        pixelSpacing: [1, 1],
        frameOfReferenceUID: imageId,
      };
    case 'generalSeriesModule':
      return { modality: 'OT', seriesInstanceUID: imageId };
    case 'voiLutModule':
      return { windowCenter: [window.center], windowWidth: [window.width] };
    default:
      return undefined;
  }
}

/** The one rendering engine of the page, started with the first image. */
export function renderingEngine(): RenderingEngine {
  if (engine) return engine;
  init();
  imageLoader.registerImageLoader(SCHEME, load as unknown as Types.ImageLoaderFn);
  metaData.addProvider(describe, 10_000);
  cache.setMaxCacheSize(CACHE_BYTES);
  engine = new RenderingEngine('case');
  return engine;
}

/** Whether pixels are drawn without WebGL. */
export const drawsOnCpu = (): boolean => getShouldUseCPURendering();
