/** A picture or DICOM image, drawn by Cornerstone3D at full resolution and bit depth. */
import { Enums, type StackViewport } from '@cornerstonejs/core';
import type { CaseImage, CaseWords, ImageMetadata, ImageView } from '../api_types';
import { getJson } from '../server/client';
import { Cine } from './cine';
import { pixelAspect } from './calibration';
import {
  SCREEN_RANGE,
  drawThrough,
  drawsOnCpu,
  loadFrame,
  registerFrames,
  renderingEngine,
  shiftImage,
  shownGreys,
  worldSpacing,
} from './cornerstone';
import { PaneFrame } from './frame';
import {
  type Affine,
  type Place,
  type Point,
  affineFrom,
  imageToScreen,
  isInvertible,
  placeIn,
  scaleOf,
  screenToImage,
} from './geometry';
import { type Chosen, chosenOf, openingPlace, windowText } from './greys';
import { turnedPoint, turnedSize } from './orientation';
import { Overlay, type OverlayEvents } from './overlay';
import { type HangsTogether, type PaneEvents, type Tool, drawnBy } from './pane';
import { errorText } from './pixels';
import { type Pointed, bindPointer } from './raster_pointer';
import { ReadAhead } from './read_ahead';

let paneCount = 0;

/** A pane with window and level and frames; the image is turned and mirrored as its description says. */
export class RasterPane implements Pointed, HangsTogether {
  readonly together: HangsTogether = this;
  readonly element: HTMLElement;
  readonly overlay: Overlay;
  ready: Promise<boolean>;
  private readonly frame: PaneFrame;
  private readonly viewportId = `pane-${(paneCount += 1)}`;
  private viewport: StackViewport | null = null;
  private metadata: ImageMetadata | null = null;
  tool: Tool = 'window';
  /** The frames as Cornerstone knows them, and the one asked for last. */
  private frames: string[] = [];
  private requestedFrame = 0;
  shownFrame = 0;
  private cine: Cine | null = null;
  private ahead: ReadAhead | null = null;
  isFlipped = false;
  /** The window that the reader made or chose; none as long as the frames are shown as they open. */
  private chosen: Chosen | null = null;
  /** The windows and tables that the header names, where there are several. */
  private windows: HTMLSelectElement | null = null;
  /** Where the reader put the image; none as long as it lies as it opens. */
  private place: Place | null = null;
  /** The border at which the image stands, for mammograms that hang together. */
  private border: 'left' | 'right' | null = null;

  constructor(
    readonly image: CaseImage,
    private readonly words: CaseWords,
    private readonly events: PaneEvents,
    overlayEvents: OverlayEvents,
    private readonly hanging: AbortSignal,
  ) {
    this.frame = new PaneFrame(image, words);
    this.element = this.frame.element;
    this.overlay = new Overlay(image, words, overlayEvents);
    this.frame.view.after(this.overlay.element);
    bindPointer(this, this.frame.view, events);
    hanging.addEventListener('abort', () => this.dispose());
    this.ready = this.load();
  }

  get isColour(): boolean | null {
    return this.metadata && this.metadata.samples === 3;
  }

  get isDrawn(): boolean {
    return this.viewport !== null && this.metadata !== null;
  }

  get isInverted(): boolean {
    return this.viewport?.getProperties().invert === true;
  }

  private async load(): Promise<boolean> {
    this.frame.loading(null);
    try {
      const metadata = await getJson<ImageMetadata>(this.image.urls.metadata, { signal: this.hanging });
      this.frames = registerFrames(this.image, metadata, this.hanging);
      await loadFrame(this.frames[0] as string, (fraction) => this.frame.loading(fraction));
      this.hanging.throwIfAborted();
      await this.drawFirstFrame(metadata);
    } catch (error) {
      if (this.hanging.aborted) return false;
      this.frame.failed(errorText(error, this.words), () => {
        this.ready = this.load();
      });
      return false;
    }
    this.frame.done(drawsOnCpu() ? this.words.cpu : '');
    this.events.drawn(this);
    this.viewChanged();
    return true;
  }

  /** Draw the first frame, which is loaded. */
  private async drawFirstFrame(metadata: ImageMetadata): Promise<void> {
    const engine = renderingEngine();
    const element = this.frame.view;
    engine.enableElement({
      viewportId: this.viewportId,
      element,
      type: Enums.ViewportType.STACK,
      defaultOptions: { background: [0, 0, 0] },
    });
    const viewport = engine.getViewport<StackViewport>(this.viewportId);
    this.viewport = viewport;
    await viewport.setStack(this.frames, 0);
    this.hanging.throwIfAborted();
    if (!viewport.getImageData()) throw new Error('');
    this.metadata = metadata;
    viewport.setProperties({ voiRange: SCREEN_RANGE });
    drawThrough(viewport, this.chosen);
    this.offerWindows(metadata);
    for (const name of [Enums.Events.IMAGE_RENDERED, Enums.Events.CAMERA_MODIFIED, Enums.Events.STACK_NEW_IMAGE]) {
      element.addEventListener(name, () => this.viewChanged());
    }
    if (metadata.frames > 1 && !this.cine) {
      this.cine = new Cine(metadata.frames, this.image.frame_time_ms, this.words, (frame) => this.drawFrame(frame));
      this.ahead = new ReadAhead(metadata.frames, (frame) => loadFrame(this.frames[frame] as string));
      this.element.append(this.cine.element);
    }
    this.applyMirror();
    this.alignAtBorder();
    viewport.render();
  }

  private viewChanged(): void {
    const transform = this.transform();
    if (!transform) return;
    const size = [this.frame.view.clientWidth, this.frame.view.clientHeight] as const;
    this.overlay.update(transform, size);
    this.frame.scale.update(transform, size);
    this.events.changed(this);
  }

  /** From the stored image to the screen; none while there is no image or no room for it. */
  private transform(): Affine | null {
    const { viewport, image } = this;
    if (!viewport) return null;
    const [width, height] = worldSpacing(image);
    const transform = affineFrom(
      (stored) => {
        const [x, y] = turnedPoint(stored, image, image.turn);
        return viewport.worldToCanvas([(x - 0.5) * width, (y - 0.5) * height, 0]);
      },
      image.columns,
      image.rows,
    );
    return isInvertible(transform) ? transform : null;
  }

  // --- hanging ------------------------------------------------------------------------------------------

  hangAt(border: 'left' | 'right'): void {
    this.border = border;
    this.alignAtBorder();
  }

  fitScale(): number {
    const { clientWidth, clientHeight } = this.frame.view;
    const size = turnedSize(this.image, this.image.turn);
    const [width, height] = worldSpacing(this.image);
    const scale = Math.min(clientWidth / (size.columns * width), clientHeight / (size.rows * height));
    // That is of the shorter side of a pixel; what is asked for is of a stored row.
    return scale * Math.max(1, 1 / pixelAspect(this.image));
  }

  setScale(scale: number): void {
    const transform = this.transform();
    if (!this.viewport || !transform || this.place) return;
    this.viewport.setZoom((this.viewport.getZoom() * scale) / scaleOf(transform));
    this.alignAtBorder();
    this.viewport.render();
  }

  /** Where the image is on the screen: x0, y0, x1, y1. */
  private bounds(transform: Affine): [number, number, number, number] {
    const [ax, ay] = imageToScreen(transform, [0, 0]);
    const [bx, by] = imageToScreen(transform, [this.image.columns, this.image.rows]);
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  private alignAtBorder(): void {
    const transform = this.transform();
    if (!this.border || !transform) return;
    const [left, top, right, bottom] = this.bounds(transform);
    const { clientWidth, clientHeight } = this.frame.view;
    // Flipped by the reader, the chest wall is at the image's other border.
    const atLeft = (this.border === 'left') !== this.isFlipped;
    const wanted = atLeft ? 0 : clientWidth - (right - left);
    this.shift(wanted - left, (clientHeight - (bottom - top)) / 2 - top);
  }

  // --- as the reader left it ----------------------------------------------------------------------------

  view(): ImageView | null {
    if (!this.isDrawn) return null;
    const { chosen, place } = this;
    return {
      window:
        chosen?.kind === 'window' ? { center: chosen.center, width: chosen.width, function: chosen.function } : null,
      table: chosen?.kind === 'table' ? chosen.name : null,
      inverted: this.isInverted,
      flipped: this.isFlipped,
      zoom: place?.zoom ?? null,
      centre: place ? [...place.centre] : null,
      frame: this.shownFrame,
      plane: null,
      path: 0,
    };
  }

  restore({ window, table, inverted, flipped, zoom, centre, frame }: ImageView): void {
    if (!this.viewport || !this.metadata) return;
    const offered = this.metadata.windows.findIndex((each) => each.function === 'LUT' && each.name === table);
    const named = this.metadata.windows[offered];
    if (window) this.choose({ kind: 'window', ...window });
    else if (named) this.choose(chosenOf(named), offered);
    if (inverted !== this.isInverted) this.invert();
    if (flipped !== this.isFlipped) this.flip();
    this.alignAtBorder();
    if (zoom !== null && centre) this.showPlace({ zoom, centre });
    if (frame > 0 && frame < this.image.frames) this.showFrame(frame);
  }

  /** The reader moved it: this is where it lies now. */
  private keepPlace(): void {
    const transform = this.transform();
    const { clientWidth, clientHeight } = this.frame.view;
    if (transform) this.place = placeIn(transform, this.fitScale(), [clientWidth / 2, clientHeight / 2]);
  }

  private showPlace(place: Place): void {
    this.place = place;
    const transform = this.transform();
    if (!this.viewport || !transform) return;
    const { clientWidth, clientHeight } = this.frame.view;
    this.viewport.setZoom((this.viewport.getZoom() * this.fitScale() * place.zoom) / scaleOf(transform));
    const zoomed = this.transform();
    if (!zoomed) return;
    const [x, y] = imageToScreen(zoomed, place.centre);
    this.shift(clientWidth / 2 - x, clientHeight / 2 - y);
  }

  private get isMirrored(): boolean {
    return this.image.mirror !== this.isFlipped;
  }

  private applyMirror(): void {
    this.viewport?.setCamera({ flipHorizontal: this.isMirrored });
    this.frame.showMirrored(this.isMirrored);
    this.viewport?.render();
  }

  // --- commands -----------------------------------------------------------------------------------------

  setTool(tool: Tool): void {
    this.tool = tool;
    this.element.dataset['tool'] = tool;
    this.overlay.setMode(drawnBy(tool) ?? 'none');
  }

  fit(): void {
    if (!this.viewport) return;
    this.place = null;
    this.viewport.resetCamera();
    this.applyMirror();
    this.alignAtBorder();
    this.viewport.render();
  }

  actualSize(): void {
    const transform = this.transform();
    if (transform) this.zoomBy(1 / scaleOf(transform));
  }

  reset(): void {
    if (!this.viewport || !this.metadata) return;
    this.viewport.resetProperties();
    this.viewport.setProperties({ voiRange: SCREEN_RANGE });
    this.choose(null);
    this.viewport.resetCamera();
    this.place = null;
    this.isFlipped = false;
    this.cine?.goTo(0);
    this.applyMirror();
    this.alignAtBorder();
    this.viewport.render();
  }

  flip(): void {
    if (!this.viewport) return;
    this.isFlipped = !this.isFlipped;
    this.applyMirror();
    if (this.place) this.showPlace(this.place);
  }

  invert(): void {
    if (!this.viewport) return;
    this.viewport.setProperties({ invert: !this.viewport.getProperties().invert });
    this.viewport.render();
  }

  panBy(dx: number, dy: number): void {
    this.shift(dx, dy);
    this.keepPlace();
  }

  private shift(dx: number, dy: number): void {
    if (this.viewport) shiftImage(this.viewport, dx, dy);
  }

  zoomBy(factor: number, around?: Point): void {
    const before = this.transform();
    if (!this.viewport || !before) return;
    const centre = around ?? this.fixedPointOfZoom();
    const scale = scaleOf(before);
    const bounded = Math.min(Math.max(scale * factor, this.fitScale() / 4), 32) / scale;
    const point = screenToImage(before, centre);
    this.viewport.setZoom(this.viewport.getZoom() * bounded);
    const zoomed = this.transform();
    if (!zoomed) return;
    const [x, y] = imageToScreen(zoomed, point);
    this.panBy(centre[0] - x, centre[1] - y);
  }

  /** What a zoom without a pointer leaves in place: the chest wall where views hang, else the middle. */
  private fixedPointOfZoom(): Point {
    const { clientWidth, clientHeight } = this.frame.view;
    if (this.border) return [this.border === 'left' ? 0 : clientWidth, clientHeight / 2];
    return [clientWidth / 2, clientHeight / 2];
  }

  reveal([x0, y0, x1, y1]: readonly [number, number, number, number]): void {
    const transform = this.transform();
    if (!transform) return;
    const { clientWidth, clientHeight } = this.frame.view;
    const [x, y] = imageToScreen(transform, [(x0 + x1) / 2, (y0 + y1) / 2]);
    const seen = x > 0 && x < clientWidth && y > 0 && y < clientHeight;
    if (!seen) this.panBy(clientWidth / 2 - x, clientHeight / 2 - y);
  }

  stateText(): string {
    const transform = this.transform();
    if (!this.viewport || !transform || this.element.dataset['ready'] !== 'true') return '';
    const zoom = `${Math.round(scaleOf(transform) * 100)} %`;
    const shown = shownGreys(this.viewport);
    return shown ? `${windowText(shown, this.chosen)} · ${zoom}` : zoom;
  }

  resize(): void {
    if (!this.viewport) return;
    // The engine draws all panes and leaves alone those whose size did not change.
    renderingEngine().resize(true, true);
    if (this.place) this.showPlace(this.place);
    else this.alignAtBorder();
    this.viewChanged();
  }

  /** The hanging has ended. */
  private dispose(): void {
    this.cine?.stop();
    this.ahead?.stop();
    if (this.viewport) renderingEngine().disableElement(this.viewportId);
    this.viewport = null;
    this.element.remove();
  }

  // --- frames -------------------------------------------------------------------------------------------

  private async drawFrame(frame: number): Promise<void> {
    this.requestedFrame = frame;
    if (this.cine?.isPlaying) this.ahead?.from(frame);
    const isOvertaken = (): boolean => this.hanging.aborted || this.requestedFrame !== frame;
    try {
      // Loaded here: a viewport keeps quiet about a frame that cannot be had, and would stand under another's number.
      await loadFrame(this.frames[frame] as string);
      if (isOvertaken()) return;
      await this.viewport?.setImageIdIndex(frame);
      if (isOvertaken()) return;
      if (this.viewport) drawThrough(this.viewport, this.chosen);
      this.shownFrame = frame;
      this.cine?.show(frame);
      this.events.frameShown(this);
    } catch (error) {
      if (isOvertaken()) return;
      this.cine?.stop();
      this.frame.failed(errorText(error, this.words), () => {
        this.frame.done();
        void this.drawFrame(frame);
      });
    }
  }

  showFrame(frame: number): void {
    this.cine?.goTo(frame);
  }

  step(frames: number): void {
    this.cine?.step(frames);
  }

  showFramesRead(words: string): void {
    this.frame.showFramesRead(words);
  }

  scrollFrames(by: number): void {
    this.cine?.scroll(by);
  }

  togglePlay(): void {
    this.cine?.toggle();
  }

  // --- greys --------------------------------------------------------------------------------------------

  private offerWindows(metadata: ImageMetadata): void {
    const { windows } = metadata;
    if (windows.length < 2 || this.windows) return;
    const names = windows.map((offered) => offered.name);
    this.windows = this.frame.offer(this.words.window, names, openingPlace(metadata), (place) => {
      const offered = windows[place];
      if (offered) this.choose(chosenOf(offered), place);
    });
  }

  /** Show the frames through a window or a table, or as they open; `place` is the one of those that are named. */
  private choose(chosen: Chosen | null, place = -1): void {
    this.chosen = chosen;
    if (!this.viewport || !this.metadata) return;
    drawThrough(this.viewport, chosen);
    if (this.windows) this.windows.selectedIndex = chosen ? place : openingPlace(this.metadata);
    this.viewChanged();
  }

  /** Left and right change the width, up and down the level: a full range in about 600 CSS pixels. */
  changeWindow(dx: number, dy: number): void {
    const shown = this.viewport && shownGreys(this.viewport);
    if (!shown) return;
    const from = this.chosen?.kind === 'window' ? this.chosen : shown.window;
    if (!from) return;
    const full = (shown.max ?? 255) - (shown.min ?? 0) || 1;
    const width = Math.max(from.width + (dx * full) / 600, full / 1000);
    this.choose({ kind: 'window', center: from.center + (dy * full) / 600, width, function: 'LINEAR' });
  }
}
