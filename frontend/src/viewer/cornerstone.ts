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
  type StackViewport,
  type Types,
} from '@cornerstonejs/core';
import type { CaseImage, ImageMetadata } from '../api_types';
import { getBytes, getJson } from '../server/client';
import { pixelAspect } from './calibration';
import { type Chosen, drawGreys, greysBy } from './greys';
import { type Turn, turnedPixels, turnedSize, turnedSpacing } from './orientation';
import { type StoredValues, bytesPerFrame, pixelArray } from './pixels';

const SCHEME = 'cad';
const CACHE_BYTES = 768 * 1024 * 1024;

type Progress = (fraction: number) => void;

interface Source {
  pixels: string;
  /** Where the metadata of a frame are, and those of the first. */
  address: string;
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
    address: image.urls.metadata,
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

/** A frame of grey values: what it was made from, and the picture that Cornerstone draws. */
interface GreyFrame {
  readonly stored: StoredValues;
  readonly metadata: ImageMetadata;
  readonly picture: Uint8Array;
  /** What the picture was made by. */
  by: Chosen | null;
}

/** By Cornerstone's image; with the image they go. */
const greyFrames = new WeakMap<object, GreyFrame>();

async function makeImage(imageId: string, source: Source, signal: AbortSignal): Promise<Types.IImage> {
  const onProgress = (fraction: number): void =>
    progressListeners.get(imageId)?.forEach((listener) => listener(fraction));
  const frame = frameNumberOf(imageId);
  const { metadata: first, turn, spacing } = source;
  const [bytes, metadata] = await Promise.all([
    getBytes(`${source.pixels}?frame=${frame}`, bytesPerFrame(first), onProgress, { signal }),
    frame === '0' || first.frames_alike
      ? first
      : getJson<ImageMetadata>(`${source.address}?frame=${frame}`, { signal }),
  ]);
  const stored = turnedPixels(pixelArray(bytes, metadata), metadata, metadata.samples, turn);
  const { rows, columns } = turnedSize(metadata, turn);
  const isColour = metadata.samples === 3;
  const picture = isColour ? (stored as Uint8Array) : new Uint8Array(stored.length);
  if (!isColour) drawGreys(stored, greysBy(metadata, null), picture);
  const image = {
    imageId,
    minPixelValue: 0,
    maxPixelValue: 255,
    slope: 1,
    intercept: 0,
    windowCenter: SCREEN_WINDOW.center,
    windowWidth: SCREEN_WINDOW.width,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR_EXACT,
    getPixelData: () => picture,
    rows,
    columns,
    height: rows,
    width: columns,
    color: isColour,
    rgba: false,
    numberOfComponents: metadata.samples,
    columnPixelSpacing: spacing[0],
    rowPixelSpacing: spacing[1],
    invert: false,
    photometricInterpretation: isColour ? 'RGB' : 'MONOCHROME2',
    sizeInBytes: picture.byteLength + (isColour ? 0 : stored.byteLength),
    dataType: 'Uint8Array',
  } as unknown as Types.IImage;
  if (!isColour) greyFrames.set(image, { stored, metadata, picture, by: null });
  return image;
}

/** Cornerstone is given greys of the screen, which it shows as they are. */
const SCREEN_WINDOW = { center: 127.5, width: 255 };
export const SCREEN_RANGE: Types.VOIRange = { lower: 0, upper: 255 };

/** The metadata of the frame that a viewport shows; none for colour. */
export function shownGreys(viewport: StackViewport): ImageMetadata | null {
  const image = viewport.getCornerstoneImage() as object | undefined;
  return (image && greyFrames.get(image)?.metadata) ?? null;
}

/** Draw the frame that a viewport shows through a window or table, or as it opens. Colour is left as it is. */
export function drawThrough(viewport: StackViewport, chosen: Chosen | null): void {
  const image = viewport.getCornerstoneImage() as object | undefined;
  const frame = image && greyFrames.get(image);
  if (!frame || frame.by === chosen) return;
  drawGreys(frame.stored, greysBy(frame.metadata, chosen), frame.picture);
  frame.by = chosen;
  if (drawsOnCpu()) {
    // Without WebGL the picture is drawn anew when its window is another one: so much that no grey differs.
    const { upper } = viewport.getProperties().voiRange ?? SCREEN_RANGE;
    viewport.setProperties({ voiRange: { lower: 0, upper: upper > 255 ? 255 : 255 + 1e-6 } });
  } else {
    // A viewport on WebGL has a copy of its own.
    const { imageData } = viewport.getImageData() as Types.IImageData;
    (imageData.getPointData().getScalars().getData() as Uint8Array).set(frame.picture);
    imageData.modified();
  }
  viewport.render();
}

function metadataFor(type: string, imageId: unknown): unknown {
  const source = typeof imageId === 'string' ? sources.get(sourceIdOf(imageId)) : undefined;
  if (!source) return undefined;
  const { metadata } = source;
  switch (type) {
    case 'imagePixelModule':
      return {
        bitsAllocated: 8,
        bitsStored: 8,
        highBit: 7,
        samplesPerPixel: metadata.samples,
        photometricInterpretation: metadata.samples === 3 ? 'RGB' : 'MONOCHROME2',
        pixelRepresentation: 0,
        windowCenter: SCREEN_WINDOW.center,
        windowWidth: SCREEN_WINDOW.width,
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
      return { windowCenter: [SCREEN_WINDOW.center], windowWidth: [SCREEN_WINDOW.width] };
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

/** Move the image by so many CSS pixels. */
export function shiftImage(viewport: StackViewport, dx: number, dy: number): void {
  if (drawsOnCpu()) {
    // Without WebGL `setPan` takes other units than `getPan` gives, so the camera itself is moved.
    const { focalPoint } = viewport.getCamera();
    const from = viewport.canvasToWorld([0, 0]);
    const to = viewport.canvasToWorld([dx, dy]);
    if (focalPoint)
      viewport.setCamera({
        focalPoint: focalPoint.map((value, axis) => value + (from[axis] ?? 0) - (to[axis] ?? 0)) as Types.Point3,
      });
  } else {
    const [x, y] = viewport.getPan();
    viewport.setPan([x + dx, y + dy]);
  }
  viewport.render();
}

/** Whether pixels are drawn without WebGL. */
export const drawsOnCpu = (): boolean => getShouldUseCPURendering();
