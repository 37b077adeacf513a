/** A whole slide, drawn by OpenSeadragon from Deep Zoom tiles. */
import OpenSeadragon from 'openseadragon';
import type { CaseImage, CaseWords, ImageMetadata, ImageView } from '../api_types';
import { getJson } from '../server/client';
import { PaneFrame } from './frame';
import { type Affine, type Point, affineFrom, imageToScreen, isInvertible, scaleOf } from './geometry';
import { Overlay, type OverlayEvents } from './overlay';
import { type Pane, type PaneEvents, type Tool, drawnBy } from './pane';
import { errorText } from './pixels';

/** A pane that shows a slide at any magnification; it has no window, mirroring or frames. */
export class SlidePane implements Pane {
  readonly element: HTMLElement;
  readonly overlay: Overlay;
  readonly isColour = true;
  // A slide has one frame, no left and right, and its colours are read as they are.
  readonly shownFrame = 0;
  readonly isFlipped = false;
  readonly isInverted = false;
  ready: Promise<boolean>;
  private readonly frame: PaneFrame;
  private viewer: OpenSeadragon.Viewer | null = null;
  private metadata: ImageMetadata | null = null;
  private plane = 0;
  private path = 0;
  private planes: HTMLSelectElement | null = null;
  private paths: HTMLSelectElement | null = null;

  constructor(
    readonly image: CaseImage,
    private readonly words: CaseWords,
    private readonly events: PaneEvents,
    overlayEvents: OverlayEvents,
    private readonly hanging: AbortSignal,
  ) {
    this.frame = new PaneFrame(image, words);
    this.element = this.frame.element;
    this.element.classList.add('pane--slide');
    this.overlay = new Overlay(image, words, overlayEvents);
    this.frame.view.after(this.overlay.element);
    this.element.addEventListener('pointerdown', () => events.activated(this));
    this.element.addEventListener('focus', () => events.activated(this));
    hanging.addEventListener('abort', () => this.dispose());
    this.ready = this.load();
  }

  private async load(): Promise<boolean> {
    this.frame.loading(null);
    try {
      const isFirst = !this.metadata;
      this.metadata = await getJson<ImageMetadata>(this.image.urls.metadata, { signal: this.hanging });
      if (isFirst) this.offerSheets();
      await this.open();
    } catch (error) {
      if (this.hanging.aborted) return false;
      this.viewer?.destroy();
      this.viewer = null;
      this.frame.failed(errorText(error, this.words), () => {
        this.ready = this.load();
      });
      return false;
    }
    this.frame.done();
    this.events.drawn(this);
    this.viewChanged();
    return true;
  }

  /** What the slide was scanned at more than once can be chosen; what of it is missing is said. */
  private offerSheets(): void {
    const slide = this.metadata?.slide;
    if (!slide) return;
    this.frame.warn(slide.remarks);
    this.plane = slide.shown_plane;
    if (slide.focal_planes.length > 1)
      this.planes = this.frame.offer(
        this.words.focal_plane,
        slide.focal_planes.map((height) => `${height} µm`),
        this.plane,
        (place) => this.showSheet(place, this.path),
      );
    if (slide.optical_paths.length > 1)
      this.paths = this.frame.offer(this.words.optical_path, slide.optical_paths, this.path, (place) =>
        this.showSheet(this.plane, place),
      );
  }

  private showSheet(plane: number, path: number): void {
    this.plane = plane;
    this.path = path;
    if (this.planes) this.planes.value = String(plane);
    if (this.paths) this.paths.value = String(path);
    this.reopen();
  }

  /** The other plane or path at the same place and magnification. */
  private reopen(): void {
    this.viewer?.open({ tileSource: this.tiles() });
  }

  /** The chosen plane and path go with the address to every tile. */
  private tiles(): string {
    const slide = this.metadata?.slide;
    const address = this.image.urls.tiles ?? '';
    if (!slide || (slide.focal_planes.length < 2 && slide.optical_paths.length < 2)) return address;
    return `${address}?plane=${this.plane}&path=${this.path}`;
  }

  private open(): Promise<void> {
    const viewer = OpenSeadragon({
      element: this.frame.view,
      tileSources: this.tiles(),
      drawer: 'canvas',
      showNavigationControl: false,
      showNavigator: true,
      navigatorPosition: 'TOP_RIGHT',
      navigatorSizeRatio: 0.16,
      navigatorMaintainSizeRatio: true,
      navigatorAutoFade: false,
      maxZoomPixelRatio: 4,
      minZoomImageRatio: 0.8,
      visibilityRatio: 0.4,
      animationTime: window.matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 0.4,
      springStiffness: 9,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true, flickEnabled: false },
      imageLoaderLimit: 6,
      timeout: 60_000,
      maxImageCacheCount: 600,
      loadTilesWithAjax: false,
      crossOriginPolicy: false,
      preserveViewport: true,
    });
    this.viewer = viewer;
    // The stage has the keys; OpenSeadragon's own would fight with them.
    viewer.addHandler('canvas-key', (event) => {
      event.preventDefaultAction = true;
    });
    viewer.canvas.tabIndex = -1;
    // Pressed, its canvas takes the focus, and the image's keys would be dead.
    viewer.addHandler('canvas-click', () => this.element.focus({ preventScroll: true }));
    for (const name of ['update-viewport', 'animation', 'resize'] as const)
      viewer.addHandler(name, () => this.viewChanged());
    return new Promise((resolve, reject) => {
      viewer.addOnceHandler('open', () => resolve());
      viewer.addOnceHandler('open-failed', () => reject(new Error(this.words.slide_error)));
      // A viewer that was put away says neither.
      this.hanging.addEventListener('abort', () => reject(this.hanging.reason as Error));
    });
  }

  private viewChanged(): void {
    const transform = this.transform();
    if (!transform) return;
    const size = [this.frame.view.clientWidth, this.frame.view.clientHeight] as const;
    this.overlay.update(transform, size);
    this.frame.scale.update(transform, size);
    this.events.changed(this);
  }

  /** From image to screen; none while there is no image or no room for it. */
  private transform(): Affine | null {
    if (!this.viewer?.world.getItemCount()) return null;
    const { viewport } = this.viewer;
    const toScreen = ([x, y]: Point): Point => {
      const place = viewport.pixelFromPoint(viewport.imageToViewportCoordinates(x, y), true);
      return [place.x, place.y];
    };
    const transform = affineFrom(toScreen, this.image.columns, this.image.rows);
    return isInvertible(transform) ? transform : null;
  }

  setTool(tool: Tool): void {
    const drawn = drawnBy(tool);
    this.element.dataset['tool'] = drawn ?? 'pan';
    this.overlay.setMode(drawn ?? 'none');
  }

  // --- as the reader left it ----------------------------------------------------------------------------

  view(): ImageView | null {
    const { viewer } = this;
    if (!viewer?.world.getItemCount()) return null;
    const { viewport } = viewer;
    // Where it is going, while it still moves.
    const centre = viewport.viewportToImageCoordinates(viewport.getCenter(false));
    const home = viewport.viewportToImageCoordinates(viewport.getHomeBounds().getCenter());
    const zoom = viewport.getZoom(false) / viewport.getHomeZoom();
    const near = Math.hypot(centre.x - home.x, centre.y - home.y) < this.image.columns / 500;
    const isHome = Math.abs(zoom - 1) < 0.005 && near;
    const shown = this.metadata?.slide?.shown_plane ?? 0;
    return {
      window: null,
      table: null,
      inverted: false,
      flipped: false,
      zoom: isHome ? null : Math.round(zoom * 1000) / 1000,
      centre: isHome ? null : [Math.round(centre.x), Math.round(centre.y)],
      frame: 0,
      plane: this.plane === shown ? null : this.plane,
      path: this.path,
    };
  }

  restore({ zoom, centre, plane, path }: ImageView): void {
    const viewport = this.viewer?.viewport;
    if (!viewport) return;
    const slide = this.metadata?.slide;
    const wanted = plane ?? this.plane;
    const isThere = wanted < (slide?.focal_planes.length ?? 0) && path < (slide?.optical_paths.length ?? 0);
    if (isThere && (wanted !== this.plane || path !== this.path)) this.showSheet(wanted, path);
    if (zoom === null || !centre) return;
    viewport.zoomTo(viewport.getHomeZoom() * zoom, undefined, true);
    viewport.panTo(viewport.imageToViewportCoordinates(centre[0], centre[1]), true);
  }

  fit(): void {
    this.viewer?.viewport.goHome();
  }

  actualSize(): void {
    const viewport = this.viewer?.viewport;
    viewport?.zoomTo(viewport.imageToViewportZoom(1));
  }

  reset(): void {
    const plane = this.metadata?.slide?.shown_plane ?? 0;
    if (this.plane !== plane || this.path !== 0) this.showSheet(plane, 0);
    this.fit();
  }

  flip(): void {
    // A slide has no left and right.
  }

  invert(): void {
    // Colours of a stain are read as they are.
  }

  panBy(dx: number, dy: number): void {
    const viewport = this.viewer?.viewport;
    viewport?.panBy(viewport.deltaPointsFromPixels(new OpenSeadragon.Point(-dx, -dy)));
    viewport?.applyConstraints();
  }

  zoomBy(factor: number): void {
    this.viewer?.viewport.zoomBy(factor);
    this.viewer?.viewport.applyConstraints();
  }

  reveal([x0, y0, x1, y1]: readonly [number, number, number, number]): void {
    const viewport = this.viewer?.viewport;
    const transform = this.transform();
    if (!viewport || !transform) return;
    const [ax, ay] = imageToScreen(transform, [x0, y0]);
    const [bx, by] = imageToScreen(transform, [x1, y1]);
    const { clientWidth, clientHeight } = this.frame.view;
    const inside =
      Math.min(ax, bx) > 0 && Math.max(ax, bx) < clientWidth && Math.min(ay, by) > 0 && Math.max(ay, by) < clientHeight;
    // A finding of a few pixels on an overview is brought closer.
    if (inside && Math.abs(bx - ax) > 60) return;
    const margin = Math.max(x1 - x0, y1 - y0) * 0.75;
    viewport.fitBoundsWithConstraints(
      viewport.imageToViewportRectangle(x0 - margin, y0 - margin, x1 - x0 + 2 * margin, y1 - y0 + 2 * margin),
    );
  }

  showFramesRead(): void {
    // A slide has one frame.
  }

  showFrame(): void {
    // A slide has one frame.
  }

  /** Through the focal planes, as a microscope's fine focus. */
  step(planes: number): void {
    const plane = this.plane + planes;
    const count = this.metadata?.slide?.focal_planes.length ?? 0;
    if (!this.planes || plane < 0 || plane >= count) return;
    this.showSheet(plane, this.path);
  }

  togglePlay(): void {
    // A slide has one frame.
  }

  stateText(): string {
    const transform = this.transform();
    if (!transform) return '';
    const scale = scaleOf(transform);
    const power = this.metadata?.slide?.objective_power;
    return power ? `${(power * scale).toFixed(scale * power < 10 ? 1 : 0)}×` : `${Math.round(scale * 100)} %`;
  }

  resize(): void {
    this.viewChanged();
  }

  /** The hanging has ended. */
  private dispose(): void {
    this.viewer?.destroy();
    this.viewer = null;
    this.element.remove();
  }
}
