/** What lies over an image and follows its zoom and pan: the heat map, findings with number and score, lengths and
 * arrows, and the box being drawn or edited. */
import type { CaseAnnotation, CaseFinding, CaseImage, CaseWords } from '../api_types';
import type { Box } from '../page/case_events';
import { AnnotationLayer, type DrawnKind, type Ends } from './annotation_layer';
import { EditBox } from './edit_box';
import { type Affine, type Point, cssMatrix, scaleOf, screenToImage } from './geometry';
import type { ScreenBox } from './label_layout';
import { Marks } from './marks';
import { svgElement } from './svg';

/** What the pointer did on an overlay. */
export interface OverlayEvents {
  selected(id: string): void;
  boxChanged(box: Box): void;
  /** A length or an arrow was drawn. */
  annotationDrawn(kind: DrawnKind, points: Ends): void;
  annotationSelected(id: string): void;
  annotationMoved(id: string, points: Ends): void;
}

/** What a drag over the image draws; `none` leaves the pointer to the image. */
type DrawMode = 'none' | 'draw' | DrawnKind;

/** One overlay per pane, in stored pixels of its image. */
export class Overlay {
  readonly element = document.createElement('div');
  private readonly svg = svgElement('svg', { 'aria-hidden': 'true', focusable: 'false' });
  private readonly marks: Marks;
  private readonly annotations: AnnotationLayer;
  private readonly edit: EditBox;
  private heatmapCanvas: HTMLCanvasElement | null = null;
  /** From the stored image to the screen. */
  transform: Affine = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };
  private size: readonly [number, number] = [0, 0];
  private mode: DrawMode = 'none';

  constructor(
    private readonly image: CaseImage,
    words: CaseWords,
    private readonly events: OverlayEvents,
  ) {
    this.element.className = 'overlay';
    // Until the image is there, nothing can be said about a place in it.
    this.element.hidden = true;
    this.annotations = new AnnotationLayer(image, words);
    this.edit = new EditBox(image, (box) => events.boxChanged(box));
    this.marks = new Marks(
      (id) => events.selected(id),
      () => this.mode === 'none',
    );
    this.svg.append(this.marks.shapes, this.marks.labels, this.annotations.element, this.edit.element);
    this.element.append(this.svg);
    this.svg.addEventListener('pointerdown', (event) => this.onPointerDown(event));
  }

  /** Follow the image on a pane of this size in CSS pixels; called with every change of zoom or pan. */
  update(transform: Affine, size: readonly [number, number]): void {
    this.transform = transform;
    this.size = size;
    this.element.hidden = false;
    this.placeHeat();
    this.annotations.follow(transform);
    this.placeMarks();
    this.edit.follow(transform);
  }

  showFindings(findings: readonly CaseFinding[], selected: string | null): void {
    this.marks.show(findings, selected);
    this.placeMarks();
  }

  private placeMarks(): void {
    // Marks first, then the words of lengths and arrows: none lies over another.
    const words = this.annotations.labelled();
    this.annotations.place(this.marks.place(this.transform, this.size, this.furniture(), words));
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

  /** Lengths and arrows that are on the image as it is shown, and the chosen one. */
  showAnnotations(annotations: readonly CaseAnnotation[], selected: string | null): void {
    this.annotations.show(annotations, selected);
    this.placeMarks();
  }

  /** The nearest point that lies in the image. */
  inImage(point: Point): Point {
    return this.annotations.inImage(point);
  }

  /** Say what a drag does. */
  setMode(mode: DrawMode): void {
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

  // --- pointer ------------------------------------------------------------------------------------------

  private onPointerDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    const drag = this.edit.dragFrom(event.target);
    const grip = this.mode === 'draw' ? null : this.annotations.gripAt(event.target);
    if (drag) this.trackDrag(event, drag);
    else if (grip) this.dragAnnotation(event, grip);
    else if (this.mode === 'length' || this.mode === 'arrow') this.dragNewAnnotation(event, this.mode);
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

  private dragNewAnnotation(event: PointerEvent, kind: DrawnKind): void {
    this.focusPane();
    let points: Ends | null = null;
    this.trackDrag(
      event,
      (to, from) => {
        points = [this.annotations.inImage(this.toImage(from)), this.annotations.inImage(this.toImage(to))];
        this.showHeld('', kind, points);
      },
      () => {
        this.showHeld('', kind, null);
        // A click without a drag measures nothing.
        if (points && this.isDrag(points)) this.events.annotationDrawn(kind, points);
      },
    );
  }

  private dragAnnotation(event: PointerEvent, grip: NonNullable<ReturnType<AnnotationLayer['gripAt']>>): void {
    this.focusPane();
    this.events.annotationSelected(grip.id);
    let points: Ends | null = null;
    this.trackDrag(
      event,
      (to, from) => {
        // A press that shakes a little chooses and moves nothing; another reader's stays where it is.
        if (!grip.isOwn || (!points && Math.hypot(to[0] - from[0], to[1] - from[1]) < 3)) return;
        points = grip.pulled(from, to);
        this.showHeld(grip.id, 'length', points);
      },
      () => {
        this.showHeld(grip.id, 'length', null);
        if (points && this.isDrag(points)) this.events.annotationMoved(grip.id, points);
      },
    );
  }

  private isDrag([from, to]: Ends): boolean {
    return Math.hypot(to[0] - from[0], to[1] - from[1]) * scaleOf(this.transform) >= 3;
  }

  private showHeld(id: string, kind: DrawnKind, points: Ends | null): void {
    this.annotations.hold(points && { id, kind, points });
    this.placeMarks();
  }

  /** The keys act on what has the focus. */
  private focusPane(): void {
    this.element.closest<HTMLElement>('.pane')?.focus({ preventScroll: true });
  }

  private dragNew(event: PointerEvent): void {
    this.trackDrag(event, (to, from) => this.edit.change([...this.toImage(from), ...this.toImage(to)]));
  }
}
