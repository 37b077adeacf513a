/** Where a picture lies in its pane: as it opens, at the border at which mammograms hang together, or where the reader
 * put it; and how it is turned and mirrored there. */
import type { StackViewport } from '@cornerstonejs/core';
import type { CaseImage } from '../api_types';
import { pixelAspect } from './calibration';
import { shiftImage, worldSpacing } from './cornerstone';
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
import { turnedPoint, turnedSize } from './orientation';
import type { HangsTogether } from './pane';

export class RasterPlace implements HangsTogether {
  /** What draws the picture; none before it has come and after its hanging has ended. */
  viewport: StackViewport | null = null;
  isFlipped = false;
  /** Where the reader put the image; none as long as it lies as it opens. */
  place: Place | null = null;
  /** The border at which the image stands, for mammograms that hang together. */
  private border: 'left' | 'right' | null = null;

  /**
   * @param view - The element that the picture is drawn into.
   * @param mirrored - Told whether the picture is seen mirrored.
   */
  constructor(
    private readonly image: CaseImage,
    private readonly view: HTMLElement,
    private readonly mirrored: (isMirrored: boolean) => void,
  ) {}

  /** From the stored image to the screen; none while there is no image or no room for it. */
  transform(): Affine | null {
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

  private get middle(): Point {
    return [this.view.clientWidth / 2, this.view.clientHeight / 2];
  }

  // --- hanging ------------------------------------------------------------------------------------------

  hangAt(border: 'left' | 'right'): void {
    this.border = border;
    this.align();
  }

  fitScale(): number {
    const { clientWidth, clientHeight } = this.view;
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
    this.align();
    this.viewport.render();
  }

  /** Where the image is on the screen: x0, y0, x1, y1. */
  private bounds(transform: Affine): [number, number, number, number] {
    const [ax, ay] = imageToScreen(transform, [0, 0]);
    const [bx, by] = imageToScreen(transform, [this.image.columns, this.image.rows]);
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  private align(): void {
    const transform = this.transform();
    if (!this.border || !transform) return;
    const [left, top, right, bottom] = this.bounds(transform);
    const { clientWidth, clientHeight } = this.view;
    // Flipped by the reader, the chest wall is at the image's other border.
    const atLeft = (this.border === 'left') !== this.isFlipped;
    const wanted = atLeft ? 0 : clientWidth - (right - left);
    this.shift(wanted - left, (clientHeight - (bottom - top)) / 2 - top);
  }

  // --- as it opens, and as it was left ------------------------------------------------------------------

  /** The picture is there for the first time. */
  open(): void {
    this.applyMirror();
    this.align();
    this.viewport?.render();
  }

  /** All of it, at its opening place. */
  fit(): void {
    this.place = null;
    this.viewport?.resetCamera();
    this.open();
  }

  /** As it opens: not flipped either. */
  reset(): void {
    this.isFlipped = false;
    this.fit();
  }

  restore(isFlipped: boolean, place: Place | null): void {
    if (isFlipped !== this.isFlipped) this.flip();
    this.align();
    if (place) this.show(place);
  }

  /** The pane has another size. */
  again(): void {
    if (this.place) this.show(this.place);
    else this.align();
  }

  /** The reader moved it: this is where it lies now. */
  private keep(): void {
    const transform = this.transform();
    if (transform) this.place = placeIn(transform, this.fitScale(), this.middle);
  }

  private show(place: Place): void {
    this.place = place;
    const transform = this.transform();
    if (!this.viewport || !transform) return;
    this.viewport.setZoom((this.viewport.getZoom() * this.fitScale() * place.zoom) / scaleOf(transform));
    this.bringTo(place.centre, this.middle);
  }

  /** Move the image so that one of its points lies at a point of the pane. */
  private bringTo(point: Point, wanted: Point): void {
    const transform = this.transform();
    if (!transform) return;
    const [x, y] = imageToScreen(transform, point);
    this.shift(wanted[0] - x, wanted[1] - y);
  }

  private applyMirror(): void {
    const isMirrored = this.image.mirror !== this.isFlipped;
    this.viewport?.setCamera({ flipHorizontal: isMirrored });
    this.mirrored(isMirrored);
    this.viewport?.render();
  }

  // --- moved by the reader ------------------------------------------------------------------------------

  flip(): void {
    if (!this.viewport) return;
    this.isFlipped = !this.isFlipped;
    this.applyMirror();
    if (this.place) this.show(this.place);
  }

  /** One image pixel to one CSS pixel. */
  actualSize(): void {
    const transform = this.transform();
    if (transform) this.zoomBy(1 / scaleOf(transform));
  }

  panBy(dx: number, dy: number): void {
    this.shift(dx, dy);
    this.keep();
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
    this.bringTo(point, centre);
    this.keep();
  }

  /** What a zoom without a pointer leaves in place: the chest wall where views hang, else the middle. */
  private fixedPointOfZoom(): Point {
    const [x, y] = this.middle;
    if (this.border) return [this.border === 'left' ? 0 : 2 * x, y];
    return [x, y];
  }

  /** Bring an image box into view, without moving when it is seen well. */
  reveal([x0, y0, x1, y1]: readonly [number, number, number, number]): void {
    const transform = this.transform();
    if (!transform) return;
    const { clientWidth, clientHeight } = this.view;
    const [x, y] = imageToScreen(transform, [(x0 + x1) / 2, (y0 + y1) / 2]);
    const isSeen = x > 0 && x < clientWidth && y > 0 && y < clientHeight;
    if (!isSeen) this.panBy(clientWidth / 2 - x, clientHeight / 2 - y);
  }
}
