/** A picture or DICOM image, drawn by Cornerstone3D at full resolution and bit depth. */
import { Enums, type StackViewport, type Types } from '@cornerstonejs/core';
import type { CaseImage, CaseWords, ImageMetadata } from '../api_types';
import { getJson } from '../server/client';
import { Cine } from './cine';
import { drawsOnCpu, loadFrame, registerFrames, renderingEngine, windowOf } from './cornerstone';
import { PaneFrame } from './frame';
import { type Affine, type Point, affineFrom, imageToScreen, isInvertible, scaleOf, screenToImage } from './geometry';
import { chestWallSide } from './hanging';
import { Overlay, type OverlayEvents } from './overlay';
import type { HangsTogether, Pane, PaneEvents, Tool } from './pane';
import { errorText } from './pixels';

let paneCount = 0;

/** A pane with window and level, frames, mirroring, and a chest wall that can be turned to the middle. */
export class RasterPane implements Pane, HangsTogether {
  readonly together: HangsTogether = this;
  readonly element: HTMLElement;
  readonly overlay: Overlay;
  ready: Promise<boolean>;
  private readonly frame: PaneFrame;
  private readonly viewportId = `pane-${(paneCount += 1)}`;
  private viewport: StackViewport | null = null;
  private metadata: ImageMetadata | null = null;
  private tool: Tool = 'window';
  /** The frames as Cornerstone knows them, and the one asked for last. */
  private frames: string[] = [];
  private requestedFrame = 0;
  private cine: Cine | null = null;
  private mirrored = false;
  /** Where the chest wall belongs on the screen, for mammograms that hang together. */
  private wallSide: 'left' | 'right' | null = null;

  constructor(
    readonly image: CaseImage,
    private readonly words: CaseWords,
    private readonly events: PaneEvents,
    overlayEvents: OverlayEvents,
    private readonly hanging: AbortSignal,
  ) {
    this.frame = new PaneFrame(image, words);
    this.element = this.frame.element;
    this.overlay = new Overlay(image.columns, image.rows, image.pixel_spacing_um, overlayEvents);
    this.frame.view.after(this.overlay.element);
    this.bindPointer();
    hanging.addEventListener('abort', () => this.dispose());
    this.ready = this.load();
  }

  get isColour(): boolean | null {
    return this.metadata && this.metadata.samples === 3;
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
    viewport.setProperties({ voiRange: this.defaultRange(metadata) });
    for (const name of [Enums.Events.IMAGE_RENDERED, Enums.Events.CAMERA_MODIFIED, Enums.Events.STACK_NEW_IMAGE]) {
      element.addEventListener(name, () => this.viewChanged());
    }
    if (metadata.frames > 1 && !this.cine) {
      this.cine = new Cine(metadata.frames, this.words, (frame) => this.showFrame(frame));
      this.element.append(this.cine.element);
    }
    this.orientChestWall();
    viewport.render();
  }

  private defaultRange(metadata: ImageMetadata): Types.VOIRange {
    const { center, width } = windowOf(metadata);
    return { lower: center - width / 2, upper: center + width / 2 };
  }

  private viewChanged(): void {
    const transform = this.transform();
    if (!transform) return;
    this.overlay.update(transform);
    this.frame.showScale(this.image.pixel_spacing_um ? this.image.pixel_spacing_um / scaleOf(transform) : null);
    this.events.changed(this);
  }

  /** From image to screen; none while there is no image or no room for it. */
  private transform(): Affine | null {
    const { viewport } = this;
    if (!viewport) return null;
    const transform = affineFrom(
      ([x, y]) => viewport.worldToCanvas([x - 0.5, y - 0.5, 0]),
      this.image.columns,
      this.image.rows,
    );
    return isInvertible(transform) ? transform : null;
  }

  // --- hanging ------------------------------------------------------------------------------------------

  /** Turn the chest wall towards `side` and put it at that border of the pane. */
  hangTowards(side: 'left' | 'right'): void {
    this.wallSide = side;
    this.orientChestWall();
  }

  private orientChestWall(): void {
    const image = this.viewport?.getCornerstoneImage();
    if (!this.viewport || !image || !this.wallSide || !this.metadata) return;
    const at = chestWallSide(
      image.getPixelData(),
      this.image.rows,
      this.image.columns,
      this.metadata.photometric === 'MONOCHROME1',
    );
    this.setMirrored(at !== null && at !== this.wallSide);
    this.alignWall();
  }

  /** CSS pixels per image pixel at which the whole image fits. */
  fitScale(): number {
    const { clientWidth, clientHeight } = this.frame.view;
    return Math.min(clientWidth / this.image.columns, clientHeight / this.image.rows);
  }

  setScale(scale: number): void {
    const transform = this.transform();
    if (!this.viewport || !transform) return;
    this.viewport.setZoom((this.viewport.getZoom() * scale) / scaleOf(transform));
    this.alignWall();
    this.viewport.render();
  }

  private alignWall(): void {
    const transform = this.transform();
    if (!this.wallSide || !transform) return;
    const left = Math.min(transform.e, transform.e + transform.a * this.image.columns);
    const width = Math.abs(transform.a) * this.image.columns;
    const wanted = this.wallSide === 'left' ? 0 : this.frame.view.clientWidth - width;
    const height = Math.abs(transform.d) * this.image.rows;
    this.panBy(wanted - left, (this.frame.view.clientHeight - height) / 2 - transform.f);
  }

  private setMirrored(mirrored: boolean): void {
    this.mirrored = mirrored;
    this.viewport?.setCamera({ flipHorizontal: mirrored });
    this.viewport?.render();
  }

  // --- commands -----------------------------------------------------------------------------------------

  setTool(tool: Tool): void {
    this.tool = tool;
    this.element.dataset['tool'] = tool;
    this.overlay.setMode(tool === 'length' ? 'length' : 'none');
  }

  fit(): void {
    if (!this.viewport) return;
    const mirrored = this.mirrored;
    this.viewport.resetCamera();
    this.setMirrored(mirrored);
    this.alignWall();
    this.viewport.render();
  }

  actualSize(): void {
    const transform = this.transform();
    if (transform) this.zoomBy(1 / scaleOf(transform));
  }

  reset(): void {
    if (!this.viewport || !this.metadata) return;
    this.viewport.resetProperties();
    this.viewport.setProperties({ voiRange: this.defaultRange(this.metadata) });
    this.viewport.resetCamera();
    this.setMirrored(false);
    this.orientChestWall();
    this.overlay.clearLengths();
    this.viewport.render();
  }

  flip(): void {
    if (this.viewport) this.setMirrored(!this.mirrored);
  }

  invert(): void {
    if (!this.viewport) return;
    this.viewport.setProperties({ invert: !this.viewport.getProperties().invert });
    this.viewport.render();
  }

  panBy(dx: number, dy: number): void {
    if (!this.viewport) return;
    if (drawsOnCpu()) {
      // Without WebGL `setPan` takes other units than `getPan` gives, so the camera itself is moved.
      const { focalPoint } = this.viewport.getCamera();
      const from = this.viewport.canvasToWorld([0, 0]);
      const to = this.viewport.canvasToWorld([dx, dy]);
      if (focalPoint)
        this.viewport.setCamera({
          focalPoint: focalPoint.map((value, axis) => value + (from[axis] ?? 0) - (to[axis] ?? 0)) as Types.Point3,
        });
    } else {
      const [x, y] = this.viewport.getPan();
      this.viewport.setPan([x + dx, y + dy]);
    }
    this.viewport.render();
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
    if (this.wallSide) return [this.wallSide === 'left' ? 0 : clientWidth, clientHeight / 2];
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
    const range = this.viewport.getProperties().voiRange;
    if (!range || this.isColour) return zoom;
    return `W ${Math.round(range.upper - range.lower)}  L ${Math.round((range.upper + range.lower) / 2)} · ${zoom}`;
  }

  resize(): void {
    if (!this.viewport) return;
    // The engine draws all panes and leaves alone those whose size did not change.
    renderingEngine().resize(true, true);
    if (this.wallSide) this.alignWall();
    this.viewChanged();
  }

  /** The hanging has ended. */
  private dispose(): void {
    this.cine?.stop();
    if (this.viewport) renderingEngine().disableElement(this.viewportId);
    this.viewport = null;
    this.element.remove();
  }

  // --- frames -------------------------------------------------------------------------------------------

  private async showFrame(frame: number): Promise<void> {
    this.requestedFrame = frame;
    const isOvertaken = (): boolean => this.hanging.aborted || this.requestedFrame !== frame;
    try {
      // Loaded here: a viewport keeps quiet about a frame that cannot be had, and would stand under another's number.
      await loadFrame(this.frames[frame] as string);
      if (isOvertaken()) return;
      await this.viewport?.setImageIdIndex(frame);
      if (!isOvertaken()) this.cine?.show(frame);
    } catch (error) {
      if (isOvertaken()) return;
      this.cine?.stop();
      this.frame.failed(errorText(error, this.words), () => {
        this.frame.done();
        void this.showFrame(frame);
      });
    }
  }

  step(frames: number): void {
    this.cine?.step(frames);
  }

  togglePlay(): void {
    this.cine?.toggle();
  }

  // --- pointer ------------------------------------------------------------------------------------------

  private bindPointer(): void {
    this.element.addEventListener('pointerdown', (event) => {
      this.events.activated(this);
      if (event.target instanceof Element && event.target.closest('button, input')) return;
      const tool: Tool = event.button === 1 ? 'pan' : event.button === 2 ? 'zoom' : this.tool;
      this.drag(event, tool);
    });
    this.element.addEventListener('focus', () => this.events.activated(this));
    this.element.addEventListener('contextmenu', (event) => event.preventDefault());
    this.element.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        const bounds = this.frame.view.getBoundingClientRect();
        const factor = Math.exp(-event.deltaY * 0.0015);
        this.zoomBy(factor, [event.clientX - bounds.left, event.clientY - bounds.top]);
        this.events.zoomed(this, factor);
      },
      { passive: false },
    );
  }

  private drag(start: PointerEvent, tool: Tool): void {
    if (!this.viewport || !this.metadata || tool === 'length') return;
    start.preventDefault();
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(start.pointerId);
    const bounds = this.frame.view.getBoundingClientRect();
    const anchor: Point = [start.clientX - bounds.left, start.clientY - bounds.top];
    let { clientX: x, clientY: y } = start;
    const onMove = (event: PointerEvent): void => {
      const dx = event.clientX - x;
      const dy = event.clientY - y;
      ({ clientX: x, clientY: y } = event);
      if (tool === 'pan') {
        this.panBy(dx, dy);
        this.events.panned(this, dx, dy);
      } else if (tool === 'zoom') {
        const factor = Math.exp(-dy * 0.006);
        this.zoomBy(factor, anchor);
        this.events.zoomed(this, factor);
      } else this.changeWindow(dx, dy);
    };
    const onEnd = (): void => {
      this.element.removeEventListener('pointermove', onMove);
      this.element.removeEventListener('pointerup', onEnd);
      this.element.removeEventListener('pointercancel', onEnd);
    };
    this.element.addEventListener('pointermove', onMove);
    this.element.addEventListener('pointerup', onEnd);
    this.element.addEventListener('pointercancel', onEnd);
  }

  /** Left and right change the width, up and down the level: a full range in about 600 CSS pixels. */
  private changeWindow(dx: number, dy: number): void {
    const range = this.viewport?.getProperties().voiRange;
    if (!this.viewport || !this.metadata || !range) return;
    const full = Math.max((this.metadata.max ?? 255) - (this.metadata.min ?? 0), 1);
    const width = Math.max(range.upper - range.lower + (dx * full) / 600, full / 1000);
    const centre = (range.upper + range.lower) / 2 + (dy * full) / 600;
    this.viewport.setProperties({ voiRange: { lower: centre - width / 2, upper: centre + width / 2 } });
    this.viewport.render();
  }
}
