/** A picture or DICOM image, drawn by Cornerstone3D at full resolution and bit depth. */
import { Enums, type StackViewport } from '@cornerstonejs/core';
import type { CaseImage, CaseWords, ImageMetadata, ImageView } from '../api_types';
import { getJson } from '../server/client';
import { Cine } from './cine';
import {
  SCREEN_RANGE,
  drawThrough,
  drawsOnCpu,
  loadFrame,
  registerFrames,
  renderingEngine,
  shownGreys,
} from './cornerstone';
import { PaneFrame } from './frame';
import { type Point, scaleOf } from './geometry';
import { type Chosen, chosenOf, openingPlace, windowText } from './greys';
import { Overlay, type OverlayEvents } from './overlay';
import { type HangsTogether, type PaneEvents, type Tool, drawnBy } from './pane';
import { errorText } from './pixels';
import { RasterPlace } from './raster_place';
import { type Pointed, bindPointer } from './raster_pointer';
import { ReadAhead } from './read_ahead';

let paneCount = 0;

/** A pane with window and level and frames; where its image lies in it, turned and mirrored, is `RasterPlace`'s. */
export class RasterPane implements Pointed {
  readonly together: HangsTogether;
  readonly element: HTMLElement;
  readonly overlay: Overlay;
  ready: Promise<boolean>;
  private readonly frame: PaneFrame;
  private readonly lies: RasterPlace;
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
  /** The window that the reader made or chose; none as long as the frames are shown as they open. */
  private chosen: Chosen | null = null;
  /** The windows and tables that the header names, where there are several. */
  private windows: HTMLSelectElement | null = null;

  constructor(
    readonly image: CaseImage,
    private readonly words: CaseWords,
    private readonly events: PaneEvents,
    overlayEvents: OverlayEvents,
    private readonly hanging: AbortSignal,
  ) {
    this.frame = new PaneFrame(image, words);
    this.element = this.frame.element;
    this.together = this.lies = new RasterPlace(image, this.frame.view, (isMirrored) =>
      this.frame.showMirrored(isMirrored),
    );
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

  get isFlipped(): boolean {
    return this.lies.isFlipped;
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
    this.viewport = this.lies.viewport = viewport;
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
    this.lies.open();
  }

  private viewChanged(): void {
    const transform = this.lies.transform();
    if (!transform) return;
    const size = [this.frame.view.clientWidth, this.frame.view.clientHeight] as const;
    this.overlay.update(transform, size);
    this.frame.scale.update(transform, size);
    this.events.changed(this);
  }

  // --- as the reader left it ----------------------------------------------------------------------------

  view(): ImageView | null {
    if (!this.isDrawn) return null;
    const { chosen } = this;
    const { place, isFlipped } = this.lies;
    return {
      window:
        chosen?.kind === 'window' ? { center: chosen.center, width: chosen.width, function: chosen.function } : null,
      table: chosen?.kind === 'table' ? chosen.name : null,
      inverted: this.isInverted,
      flipped: isFlipped,
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
    this.lies.restore(flipped, zoom !== null && centre ? { zoom, centre } : null);
    if (frame > 0 && frame < this.image.frames) this.showFrame(frame);
  }

  // --- commands -----------------------------------------------------------------------------------------

  setTool(tool: Tool): void {
    this.tool = tool;
    this.element.dataset['tool'] = tool;
    this.overlay.setMode(drawnBy(tool) ?? 'none');
  }

  fit(): void {
    this.lies.fit();
  }

  actualSize(): void {
    this.lies.actualSize();
  }

  reset(): void {
    if (!this.viewport || !this.metadata) return;
    this.viewport.resetProperties();
    this.viewport.setProperties({ voiRange: SCREEN_RANGE });
    this.choose(null);
    this.lies.reset();
  }

  flip(): void {
    this.lies.flip();
  }

  invert(): void {
    if (!this.viewport) return;
    this.viewport.setProperties({ invert: !this.viewport.getProperties().invert });
    this.viewport.render();
  }

  panBy(dx: number, dy: number): void {
    this.lies.panBy(dx, dy);
  }

  zoomBy(factor: number, around?: Point): void {
    this.lies.zoomBy(factor, around);
  }

  reveal(box: readonly [number, number, number, number]): void {
    this.lies.reveal(box);
  }

  stateText(): string {
    const transform = this.lies.transform();
    if (!this.viewport || !transform || this.element.dataset['ready'] !== 'true') return '';
    const zoom = `${Math.round(scaleOf(transform) * 100)} %`;
    const shown = shownGreys(this.viewport);
    return shown ? `${windowText(shown, this.chosen)} · ${zoom}` : zoom;
  }

  resize(): void {
    if (!this.viewport) return;
    // The engine draws all panes and leaves alone those whose size did not change.
    renderingEngine().resize(true, true);
    this.lies.again();
    this.viewChanged();
  }

  /** The hanging has ended. */
  private dispose(): void {
    this.cine?.stop();
    this.ahead?.stop();
    if (this.viewport) renderingEngine().disableElement(this.viewportId);
    this.viewport = this.lies.viewport = null;
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
