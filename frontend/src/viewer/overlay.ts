/** What lies over an image and follows its zoom and pan: the heat map, findings with number and score, lengths,
 * and the box being drawn or edited. */
import type { CaseFinding, CaseImage, CaseWords } from '../api_types';
import type { Box } from '../page/case_events';
import { EditBox } from './edit_box';
import { type Affine, type Point, cssMatrix, imageToScreen, scaleOf, screenToImage } from './geometry';
import { type LabelPlace, type ScreenBox, placeLabels } from './label_layout';
import { Lengths } from './lengths';
import { svgElement, textWidth } from './svg';

const LABEL_HEIGHT = 18;

/** Beside the number, so that a decision is not told by colour alone: drawn in a square of 10. */
const SIGNS: Readonly<Record<string, string>> = {
  accepted: 'M1 5.5 4 8.5 9 1.5',
  edited: 'M1 9 2 6 7 1 9 3 4 8Z',
  rejected: 'M1.5 1.5 8.5 8.5M8.5 1.5 1.5 8.5',
  reader: 'M5 1V9M1 5H9',
};

interface Mark {
  finding: CaseFinding;
  isSelected: boolean;
  shape: SVGGElement;
  label: SVGGElement;
  leader: SVGLineElement;
  width: number;
}

/** What the pointer did on an overlay. */
export interface OverlayEvents {
  selected(id: string): void;
  boxChanged(box: Box): void;
}

/** One overlay per pane, in stored pixels of its image. */
export class Overlay {
  readonly element = document.createElement('div');
  private readonly svg = svgElement('svg', { 'aria-hidden': 'true', focusable: 'false' });
  private readonly shapes = svgElement('g');
  private readonly labels = svgElement('g');
  private readonly lengths: Lengths;
  private readonly edit: EditBox;
  private heatmapCanvas: HTMLCanvasElement | null = null;
  private marks: Mark[] = [];
  private transform: Affine = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };
  private size: readonly [number, number] = [0, 0];
  private mode: 'none' | 'length' | 'draw' = 'none';

  constructor(
    private readonly image: CaseImage,
    words: CaseWords,
    private readonly events: OverlayEvents,
  ) {
    this.element.className = 'overlay';
    // Until the image is there, nothing can be said about a place in it.
    this.element.hidden = true;
    this.lengths = new Lengths(image, words);
    this.edit = new EditBox(image, (box) => events.boxChanged(box));
    this.svg.append(this.shapes, this.labels, this.lengths.element, this.edit.element);
    this.element.append(this.svg);
    this.svg.addEventListener('pointerdown', (event) => this.onPointerDown(event));
  }

  /** Follow the image on a pane of this size in CSS pixels; called with every change of zoom or pan. */
  update(transform: Affine, size: readonly [number, number]): void {
    this.transform = transform;
    this.size = size;
    this.element.hidden = false;
    this.shapes.setAttribute('transform', cssMatrix(transform));
    this.placeHeat();
    this.placeLabels();
    this.lengths.draw(transform, size);
    this.edit.follow(transform);
  }

  showFindings(findings: readonly CaseFinding[], selected: string | null): void {
    this.marks = findings.map((finding) => this.makeMark(finding, finding.id === selected));
    this.shapes.replaceChildren(...this.marks.map((mark) => mark.shape));
    this.labels.replaceChildren(...this.marks.map((mark) => mark.leader), ...this.marks.map((mark) => mark.label));
    this.placeLabels();
  }

  setMarksVisible(visible: boolean): void {
    this.shapes.style.display = visible ? '' : 'none';
    this.labels.style.display = visible ? '' : 'none';
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

  // --- marks --------------------------------------------------------------------------------------------

  private makeMark(finding: CaseFinding, isSelected: boolean): Mark {
    const state = finding.by_reader && finding.verdict === 'undecided' ? 'reader' : finding.verdict;
    const className = `mark mark--${state}${isSelected ? ' mark--selected' : ''}`;
    const shape = svgElement('g', { class: className, 'data-finding': finding.id });
    const [x0, y0, x1, y1] = finding.box;
    const outline = finding.polygon
      ? svgElement('polygon', { points: finding.polygon.map((point) => point.join(',')).join(' ') })
      : svgElement('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
    // A dark line under the bright one keeps marks visible on white and on black.
    const halo = outline.cloneNode() as SVGElement;
    halo.setAttribute('class', 'mark__halo');
    outline.setAttribute('class', 'mark__line');
    const hit = outline.cloneNode() as SVGElement;
    hit.setAttribute('class', 'mark__hit');
    shape.append(halo, outline, hit);
    const { label, width } = this.makeLabel(finding, state, className);
    const leader = svgElement('line', { class: `${className} mark__leader` });
    for (const target of [hit, label]) {
      target.addEventListener('pointerdown', (event) => {
        if (this.mode !== 'none') return;
        event.stopPropagation();
        this.events.selected(finding.id);
      });
    }
    return { finding, isSelected, shape, label, leader, width };
  }

  private makeLabel(finding: CaseFinding, state: string, className: string): { label: SVGGElement; width: number } {
    const label = svgElement('g', { class: className, 'data-state': state });
    const text = svgElement('text', { x: 6, y: 13 });
    text.textContent = finding.percent === null ? String(finding.number) : `${finding.number} · ${finding.percent}`;
    const sign = SIGNS[state];
    const textEnd = 6 + textWidth(text.textContent);
    const width = textEnd + (sign ? 18 : 6);
    label.append(svgElement('rect', { class: 'mark__tag', x: 0, y: 0, width, height: LABEL_HEIGHT, rx: 3 }), text);
    if (sign)
      label.append(svgElement('path', { class: 'mark__sign', d: sign, transform: `translate(${textEnd + 3},4)` }));
    return { label, width };
  }

  private onScreen([x0, y0, x1, y1]: Box): ScreenBox {
    const [ax, ay] = imageToScreen(this.transform, [x0, y0]);
    const [bx, by] = imageToScreen(this.transform, [x1, y1]);
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  private placeLabels(): void {
    // The chosen one has the first choice of place.
    const inOrder = [...this.marks].sort((one, other) => Number(other.isSelected) - Number(one.isSelected));
    const labelled = inOrder.map(({ finding, width }) => ({
      box: this.onScreen(finding.box),
      width,
      height: LABEL_HEIGHT,
    }));
    placeLabels(labelled, this.size).forEach((place, index) => {
      const mark = inOrder[index];
      const box = labelled[index]?.box;
      if (mark && box) this.placeLabel(mark, place, box);
    });
  }

  private placeLabel({ label, leader, width }: Mark, place: LabelPlace | null, [x0, y0, x1, y1]: ScreenBox): void {
    label.style.display = place ? '' : 'none';
    leader.style.display = place?.leader ? '' : 'none';
    if (!place) return;
    label.setAttribute('transform', `translate(${place.x.toFixed(1)},${place.y.toFixed(1)})`);
    const middle: Point = [place.x + width / 2, place.y + LABEL_HEIGHT / 2];
    const nearest: Point = [Math.min(Math.max(middle[0], x0), x1), Math.min(Math.max(middle[1], y0), y1)];
    leader.setAttribute('x1', middle[0].toFixed(1));
    leader.setAttribute('y1', middle[1].toFixed(1));
    leader.setAttribute('x2', nearest[0].toFixed(1));
    leader.setAttribute('y2', nearest[1].toFixed(1));
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
