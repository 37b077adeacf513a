/** What lies over an image and follows its zoom and pan: the heat map, findings with number and score, lengths,
 * and the box being drawn or edited. */
import type { CaseFinding, CaseImage, CaseWords } from '../api_types';
import type { Box } from '../page/case_events';
import { EditBox } from './edit_box';
import { type Affine, type Point, cssMatrix, scaleOf, screenToImage } from './geometry';
import type { ScreenBox } from './label_layout';
import { Lengths } from './lengths';
import { Marks } from './marks';
import { svgElement } from './svg';

/** What the pointer did on an overlay. */
export interface OverlayEvents {
  selected(id: string): void;
  boxChanged(box: Box): void;
}

/** One overlay per pane, in stored pixels of its image. */
export class Overlay {
  readonly element = document.createElement('div');
  private readonly svg = svgElement('svg', { 'aria-hidden': 'true', focusable: 'false' });
  private readonly marks: Marks;
  private readonly lengths: Lengths;
  private readonly edit: EditBox;
  private heatmapCanvas: HTMLCanvasElement | null = null;
  private transform: Affine = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };
  private size: readonly [number, number] = [0, 0];
  private mode: 'none' | 'length' | 'draw' = 'none';

  constructor(
    private readonly image: CaseImage,
    words: CaseWords,
    events: OverlayEvents,
  ) {
    this.element.className = 'overlay';
    // Until the image is there, nothing can be said about a place in it.
    this.element.hidden = true;
    this.lengths = new Lengths(image, words);
    this.edit = new EditBox(image, (box) => events.boxChanged(box));
    this.marks = new Marks(
      (id) => events.selected(id),
      () => this.mode === 'none',
    );
    this.svg.append(this.marks.shapes, this.marks.labels, this.lengths.element, this.edit.element);
    this.element.append(this.svg);
    this.svg.addEventListener('pointerdown', (event) => this.onPointerDown(event));
  }

  /** Follow the image on a pane of this size in CSS pixels; called with every change of zoom or pan. */
  update(transform: Affine, size: readonly [number, number]): void {
    this.transform = transform;
    this.size = size;
    this.element.hidden = false;
    this.placeHeat();
    this.placeMarks();
    this.lengths.draw(transform, size);
    this.edit.follow(transform);
  }

  showFindings(findings: readonly CaseFinding[], selected: string | null): void {
    this.marks.show(findings, selected);
    this.placeMarks();
  }

  private placeMarks(): void {
    this.marks.place(this.transform, this.size, this.furniture());
  }

  /** What stands on the pane beside the image: its name and notes, the scale bar, controls. */
  private furniture(): ScreenBox[] {
    const pane = this.element.parentElement;
    const bounds = this.element.getBoundingClientRect();
    return [...(pane?.querySelectorAll('.pane__head > *, .scale-bar, .place, .cine') ?? [])]
      .map((part) => part.getBoundingClientRect())
      .filter(({ width, height }) => width > 0 && height > 0)
      .map(({ left, top, right, bottom }) => [
        left - bounds.left,
        top - bounds.top,
        right - bounds.left,
        bottom - bounds.top,
      ]);
  }

  setMarksVisible(visible: boolean): void {
    this.marks.setVisible(visible);
  }

  showHeat(canvas: HTMLCanvasElement | null, opacity: number): void {
    if (this.heatmapCanvas !== canvas) {
      this.heatmapCanvas?.remove();
      this.heatmapCanvas = canvas;
      if (canvas) {
        canvas.className = 'overlay__heat';
        this.element.prepend(canvas);
      }
      this.placeHeat();
    }
    if (canvas) canvas.style.opacity = String(opacity);
  }

  private placeHeat(): void {
    const { columns, rows } = this.image;
    this.heatmapCanvas?.style.setProperty(
      'transform',
      cssMatrix(this.transform, columns / this.heatmapCanvas.width, rows / this.heatmapCanvas.height),
    );
  }

  /** Begin to drag lengths or a new box; `none` gives the pointer back to the image. */
  setMode(mode: 'none' | 'length' | 'draw'): void {
    this.mode = mode;
    this.element.dataset['mode'] = mode;
  }

  editBox(box: Box | null): void {
    this.edit.show(box);
  }

  get editedBox(): Box | null {
    return this.edit.box;
  }

  /** Move (or with `resize` widen) the edited box on the screen by so many image pixels; for the arrow keys. */
  nudge(dx: number, dy: number, resize: boolean): void {
    this.edit.nudge(dx, dy, resize);
  }

  clearLengths(): void {
    this.lengths.clear();
    this.lengths.draw(this.transform, this.size);
  }

  // --- pointer ------------------------------------------------------------------------------------------

  private onPointerDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    const drag = this.edit.dragFrom(event.target);
    if (drag) this.trackDrag(event, drag);
    else if (this.mode === 'length') this.dragLength(event);
    else if (this.mode === 'draw') this.dragNew(event);
  }

  private pointOf(event: PointerEvent, bounds: DOMRect): Point {
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  }

  private toImage(point: Point): Point {
    return screenToImage(this.transform, point);
  }

  /** Follow one drag of the pointer, from and to points on the screen. */
  private trackDrag(event: PointerEvent, moved: (to: Point, from: Point) => void, ended = (): void => undefined): void {
    event.preventDefault();
    event.stopPropagation();
    const bounds = this.svg.getBoundingClientRect();
    const from = this.pointOf(event, bounds);
    this.svg.setPointerCapture(event.pointerId);
    const onMove = (move: PointerEvent): void => moved(this.pointOf(move, bounds), from);
    const onEnd = (): void => {
      this.svg.removeEventListener('pointermove', onMove);
      this.svg.removeEventListener('pointerup', onEnd);
      this.svg.removeEventListener('pointercancel', onEnd);
      ended();
    };
    this.svg.addEventListener('pointermove', onMove);
    this.svg.addEventListener('pointerup', onEnd);
    this.svg.addEventListener('pointercancel', onEnd);
  }

  private dragLength(event: PointerEvent): void {
    const line = this.lengths.begin(this.toImage(this.pointOf(event, this.svg.getBoundingClientRect())));
    this.trackDrag(
      event,
      (to) => {
        line[1] = this.toImage(to);
        this.lengths.draw(this.transform, this.size);
      },
      () => {
        // A click without a drag measures nothing.
        const [[x0, y0], [x1, y1]] = line;
        if (Math.hypot(x1 - x0, y1 - y0) * scaleOf(this.transform) < 3) this.lengths.remove(line);
        this.lengths.draw(this.transform, this.size);
      },
    );
  }

  private dragNew(event: PointerEvent): void {
    this.trackDrag(event, (to, from) => this.edit.change([...this.toImage(from), ...this.toImage(to)]));
  }
}
