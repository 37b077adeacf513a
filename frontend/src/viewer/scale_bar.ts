/** The scale bar of a pane. Where regions of an image differ (an ultrasound of two depths), it is that of the region under
 * the pointer, else of the one in the middle of what is shown, and says which; no bar where nothing is calibrated. */
import type { CaseImage, CaseWords } from '../api_types';
import { scaleBarSpacing, spacingAt } from './calibration';
import { type Affine, type Point, formatLength, scaleOf, screenToImage } from './geometry';

/** What the bar is about as long as it can be, in CSS pixels. */
const LONGEST = 110;

export class ScaleBar {
  readonly element = Object.assign(document.createElement('div'), { className: 'scale-bar', hidden: true });
  private readonly text = document.createElement('span');
  /** Where the pointer is over the pane. */
  private pointer: Point | null = null;
  private transform: Affine | null = null;
  private size: readonly [number, number] = [0, 0];
  /** One scale for the whole image; none where its regions differ. */
  private readonly whole;

  constructor(
    image: CaseImage,
    private readonly words: CaseWords,
    pane: HTMLElement,
  ) {
    this.element.setAttribute('aria-hidden', 'true');
    this.element.append(this.text);
    this.whole = scaleBarSpacing(image);
    this.spacingThere = (at) => spacingAt(image, at);
    if (this.whole || image.regions.length === 0) return;
    pane.addEventListener('pointermove', (event) => {
      const { left, top } = pane.getBoundingClientRect();
      this.pointAt([event.clientX - left, event.clientY - top]);
    });
    pane.addEventListener('pointerleave', () => this.pointAt(null));
  }

  private readonly spacingThere: (at: Point) => readonly [number, number] | null;

  /** The image lies otherwise on a pane of this size. */
  update(transform: Affine, size: readonly [number, number]): void {
    this.transform = transform;
    this.size = size;
    this.draw();
  }

  private pointAt(point: Point | null): void {
    this.pointer = point;
    this.draw();
  }

  private draw(): void {
    if (!this.transform) return;
    const at: Point = this.pointer ?? [this.size[0] / 2, this.size[1] / 2];
    const spacing = this.whole ?? this.spacingThere(screenToImage(this.transform, at));
    const where = this.pointer ? this.words.scale_at_pointer : this.words.scale_in_middle;
    this.show(spacing ? spacing[0] / scaleOf(this.transform) : null, this.whole ? '' : where);
  }

  /** A bar of a round length. */
  private show(micrometresPerCssPixel: number | null, where: string): void {
    this.element.hidden = micrometresPerCssPixel === null;
    if (micrometresPerCssPixel === null) return;
    const wanted = LONGEST * micrometresPerCssPixel;
    const power = 10 ** Math.floor(Math.log10(wanted));
    const round = [5, 2, 1].map((step) => step * power).find((length) => length <= wanted) ?? power;
    this.element.style.width = `${round / micrometresPerCssPixel}px`;
    const length = round >= 1000 ? `${round / 1000} mm` : formatLength(round);
    const text = where ? `${length} · ${where}` : length;
    if (this.text.textContent !== text) this.text.textContent = text;
  }
}
