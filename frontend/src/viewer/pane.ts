/** One image on the screen, whatever draws it: Cornerstone for pictures and DICOM, OpenSeadragon for slides. A pane
 * lives as long as its hanging: when that signal aborts, it leaves the page, and nothing that still comes for it
 * changes anything. */
import type { CaseImage, ImageView } from '../api_types';
import type { DrawnKind } from './annotation_layer';
import type { Point } from './geometry';
import type { Overlay } from './overlay';

/** What dragging with the first mouse button does. */
export type Tool = 'window' | 'pan' | 'zoom' | DrawnKind;

/** What a drag with this tool draws over the image. */
export const drawnBy = (tool: Tool): DrawnKind | null => (tool === 'length' || tool === 'arrow' ? tool : null);

/** What the stage may ask of a pane. */
export interface Pane {
  readonly image: CaseImage;
  /** The focusable frame: image, overlay and labels. */
  readonly element: HTMLElement;
  readonly overlay: Overlay;
  /** Whether the image was drawn; false when its failure is shown in its place, or the hanging ended before. */
  readonly ready: Promise<boolean>;
  /** Unknown until the image has come. */
  readonly isColour: boolean | null;
  /** The frame that is on the screen, from 0. */
  readonly shownFrame: number;
  /** Whether the reader flipped or inverted it. */
  readonly isFlipped: boolean;
  readonly isInverted: boolean;
  /** How the reader has it, as far as that is not as it opens; none while nothing is drawn. */
  view(): ImageView | null;
  /** Show it as it was left. */
  restore(view: ImageView): void;
  setTool(tool: Tool): void;
  fit(): void;
  /** One image pixel to one CSS pixel. */
  actualSize(): void;
  /** As it opens, on the frame that is on the screen. */
  reset(): void;
  flip(): void;
  invert(): void;
  panBy(dx: number, dy: number): void;
  zoomBy(factor: number, around?: Point): void;
  /** Say which frames of a clip the models read; empty where they said nothing. */
  showFramesRead(words: string): void;
  /** Bring an image box into view, without moving when it is seen well. */
  reveal(box: readonly [number, number, number, number]): void;
  /** Of a clip: go to a frame, by so many frames, or play them. */
  showFrame(frame: number): void;
  step(frames: number): void;
  togglePlay(): void;
  /** For the toolbar: "W 400 L 40 · 85 %". */
  stateText(): string;
  resize(): void;
  /** Of panes that hang beside each other: see `RasterPane`. */
  readonly together?: HangsTogether;
}

/** Mammograms stand with their chest walls in the middle and share one physical scale. */
export interface HangsTogether {
  /** Put the image at this border of its pane. How it is turned and mirrored is its own and the same everywhere. */
  hangAt(border: 'left' | 'right'): void;
  /** CSS pixels per stored pixel of a row at which the whole image fits. */
  fitScale(): number;
  setScale(scale: number): void;
}

/** What a pane tells the stage. */
export interface PaneEvents {
  /** The image is there, at first or after a failure. */
  drawn(pane: Pane): void;
  changed(pane: Pane): void;
  /** Another frame of a clip is on the screen. */
  frameShown(pane: Pane): void;
  activated(pane: Pane): void;
  panned(pane: Pane, dx: number, dy: number): void;
  zoomed(pane: Pane, factor: number): void;
}
