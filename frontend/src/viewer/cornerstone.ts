/** Cornerstone3D, fed with raw pixels: its start, our image loader and the metadata that it asks for. World
 * coordinates are pixels of the turned picture, stretched where they are not square. */
import {
  Enums,
  RenderingEngine,
  cache,
  getShouldUseCPURendering,
  imageLoader,
  init,
  metaData,
  type Types,
} from '@cornerstonejs/core';
import type { CaseImage, ImageMetadata } from '../api_types';
import { getBytes } from '../server/client';
import { pixelAspect } from './calibration';
import { type Turn, turnedPixels, turnedSize, turnedSpacing } from './orientation';
import { bytesPerFrame, pixelArray } from './pixels';

const SCHEME = 'cad';
const CACHE_BYTES = 768 * 1024 * 1024;

type Progress = (fraction: number) => void;

interface Source {
  pixels: string;
  metadata: ImageMetadata;
  turn: Turn;
  /** Of the turned picture, (x, y); see `worldSpacing`. */
  spacing: readonly [number, number];
  /** How many hangings and loads need it. */
  holders: number;
}

/** By image, those that hang or are being loaded. */
const sources = new Map<string, Source>();

/** Keep a source until the function that is returned is called. */
function holdSource(id: string, source: Source): () => void {
  source.holders += 1;
  return () => {
    source.holders -= 1;
    if (source.holders === 0 && sources.get(id) === source) sources.delete(id);
  };
}

/** By frame, those who wait for it: panes of one image, some of them put away meanwhile, share one load. */
const progressListeners = new Map<string, Set<Progress>>();
let engine: RenderingEngine | null = null;

/**
 * Make an image's frames loadable for as long as its hanging lasts.
 *
 * @returns The ids that Cornerstone knows the frames by.
 */
export function registerFrames(image: CaseImage, metadata: ImageMetadata, hanging: AbortSignal): string[] {
  hanging.throwIfAborted();
  const source = sources.get(image.id) ?? {
    pixels: image.urls.pixels ?? '',
    metadata,
    turn: image.turn,
    spacing: worldSpacing(image),
    holders: 0,
  };
  sources.set(image.id, source);
  hanging.addEventListener('abort', holdSource(image.id, source), { once: true });
  return Array.from({ length: Math.max(metadata.frames, 1) }, (_, frame) => `${SCHEME}:${image.id}/${frame}`);
}

/** How large a pixel of the turned picture is in the world, (x, y): the shorter side is 1. */
export function worldSpacing(image: CaseImage): [number, number] {
  const aspect = pixelAspect(image);
  return turnedSpacing(aspect < 1 ? [1 / aspect, 1] : [1, aspect], image.turn);
}

const sourceIdOf = (imageId: string): string => imageId.slice(SCHEME.length + 1, imageId.lastIndexOf('/'));
const frameNumberOf = (imageId: string): string => imageId.slice(imageId.lastIndexOf('/') + 1);

/** Bring a frame's pixels into Cornerstone's cache, from which a viewport shows them at once. A pane that is put away
 * lets its load go on: the next hanging of the image finds it there.
 *
 * Raises why the frame cannot be had, which a viewport keeps to itself. */
export async function loadFrame(imageId: string, onProgress: Progress = () => undefined): Promise<void> {
  // Its start makes our loader known.
  renderingEngine();
  const others = progressListeners.get(imageId) ?? new Set();
  progressListeners.set(imageId, others.add(onProgress));
  try {
    await imageLoader.loadAndCacheImage(imageId);
  } finally {
    others.delete(onProgress);
    if (others.size === 0) progressListeners.delete(imageId);
  }
}

function loadImage(imageId: string): { promise: Promise<Types.IImage>; cancelFn: () => void } {
  const abort = new AbortController();
  const source = sources.get(sourceIdOf(imageId));
  if (!source) throw new Error(`unknown image ${imageId}`);
  const release = holdSource(sourceIdOf(imageId), source);
  return { promise: makeImage(imageId, source, abort.signal).finally(release), cancelFn: () => abort.abort() };
}

async function makeImage(
  imageId: string,
  { pixels: address, metadata, turn, spacing }: Source,
  signal: AbortSignal,
): Promise<Types.IImage> {
  const onProgress = (fraction: number): void =>
    progressListeners.get(imageId)?.forEach((listener) => listener(fraction));
  const bytes = await getBytes(`${address}?frame=${frameNumberOf(imageId)}`, bytesPerFrame(metadata), onProgress, {
    signal,
  });
  const pixels = turnedPixels(pixelArray(bytes, metadata), metadata, metadata.samples, turn);
  const { rows, columns } = turnedSize(metadata, turn);
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
    rows,
    columns,
    height: rows,
    width: columns,
    color: isColour,
    rgba: false,
    numberOfComponents: metadata.samples,
    columnPixelSpacing: spacing[0],
    rowPixelSpacing: spacing[1],
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

function metadataFor(type: string, imageId: unknown): unknown {
  const source = typeof imageId === 'string' ? sources.get(sourceIdOf(imageId)) : undefined;
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
        ...turnedSize(metadata, source.turn),
        imageOrientationPatient: [1, 0, 0, 0, 1, 0],
        rowCosines: [1, 0, 0],
        columnCosines: [0, 1, 0],
        imagePositionPatient: [0, 0, 0],
        columnPixelSpacing: source.spacing[0],
        rowPixelSpacing: source.spacing[1],
        pixelSpacing: [source.spacing[1], source.spacing[0]],
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
  imageLoader.registerImageLoader(SCHEME, loadImage);
  metaData.addProvider(metadataFor, 10_000);
  cache.setMaxCacheSize(CACHE_BYTES);
  engine = new RenderingEngine('case');
  return engine;
}

/** Whether pixels are drawn without WebGL. */
export const drawsOnCpu = (): boolean => getShouldUseCPURendering();
