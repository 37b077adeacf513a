/** What lies over an image and follows its zoom and pan: the heat map, findings with number and score, lengths,
 * and the box being drawn or edited. */
import type { CaseFinding } from '../api_types';
import type { Box } from '../page/case_events';
import { type Affine, type Point, cssMatrix, formatLength, imageToScreen, scaleOf, screenToImage } from './geometry';

const SVG = 'http://www.w3.org/2000/svg';
const HANDLES = ['nw', 'n', 'ne', 'e', 'se', 's', 'sw', 'w'] as const;
type Handle = (typeof HANDLES)[number];
type Grip = Handle | 'move';

function svgElement<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Record<string, string | number> = {},
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

interface Mark {
  finding: CaseFinding;
  shape: SVGGElement;
  label: SVGGElement;
}

/** What the pointer did on an overlay, and the unit of lengths where the pixel spacing is unknown. */
export interface OverlayEvents {
  selected(id: string): void;
  boxChanged(box: Box): void;
  noSpacing: string;
}

/** One overlay per pane, in stored pixels of its image. */
export class Overlay {
  readonly element = document.createElement('div');
  private readonly svg = svgElement('svg', { 'aria-hidden': 'true', focusable: 'false' });
  private readonly shapes = svgElement('g');
  private readonly labels = svgElement('g');
  private readonly lengths = svgElement('g');
  private readonly editing = svgElement('g', { class: 'edit' });
  private heatmapCanvas: HTMLCanvasElement | null = null;
  private marks: Mark[] = [];
  private lines: [Point, Point][] = [];
  private transform: Affine = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };
  private box: Box | null = null;
  private mode: 'none' | 'length' | 'draw' = 'none';

  constructor(
    private readonly columns: number,
    private readonly rows: number,
    private readonly spacing: number | null,
    private readonly events: OverlayEvents,
  ) {
    this.element.className = 'overlay';
    // Until the image is there, nothing can be said about a place in it.
    this.element.hidden = true;
    this.svg.append(this.shapes, this.labels, this.lengths, this.editing);
    this.element.append(this.svg);
    this.svg.addEventListener('pointerdown', (event) => this.onPointerDown(event));
  }

  /** Follow the image; called with every change of zoom or pan. */
  update(transform: Affine): void {
    this.transform = transform;
    this.element.hidden = false;
    this.shapes.setAttribute('transform', cssMatrix(transform));
    this.placeHeat();
    for (const mark of this.marks) this.placeLabel(mark);
    this.drawLengths();
    this.drawEditedBox();
  }

  showFindings(findings: readonly CaseFinding[], selected: string | null): void {
    this.marks = findings.map((finding) => this.makeMark(finding, finding.id === selected));
    this.shapes.replaceChildren(...this.marks.map((mark) => mark.shape));
    this.labels.replaceChildren(...this.marks.map((mark) => mark.label));
    for (const mark of this.marks) this.placeLabel(mark);
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
    this.heatmapCanvas?.style.setProperty(
      'transform',
      cssMatrix(this.transform, this.columns / this.heatmapCanvas.width, this.rows / this.heatmapCanvas.height),
    );
  }

  /** Begin to drag lengths or a new box; `none` gives the pointer back to the image. */
  setMode(mode: 'none' | 'length' | 'draw'): void {
    this.mode = mode;
    this.element.dataset['mode'] = mode;
  }

  editBox(box: Box | null): void {
    this.box = box;
    this.drawEditedBox();
  }

  get editedBox(): Box | null {
    return this.box;
  }

  clearLengths(): void {
    this.lines = [];
    this.drawLengths();
  }

  private makeMark(finding: CaseFinding, selected: boolean): Mark {
    const state = finding.by_reader && finding.verdict === 'undecided' ? 'reader' : finding.verdict;
    const className = `mark mark--${state}${selected ? ' mark--selected' : ''}`;
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
    const label = svgElement('g', { class: className });
    const text = svgElement('text', { x: 0, y: 0 });
    text.textContent = finding.percent === null ? String(finding.number) : `${finding.number} · ${finding.percent}`;
    const width = 12 + 7.2 * (text.textContent?.length ?? 1);
    label.append(svgElement('rect', { class: 'mark__tag', x: 0, y: -18, width, height: 18, rx: 3 }), text);
    text.setAttribute('x', '6');
    text.setAttribute('y', '-5');
    for (const target of [hit, label]) {
      target.addEventListener('pointerdown', (event) => {
        if (this.mode !== 'none') return;
        event.stopPropagation();
        this.events.selected(finding.id);
      });
    }
    return { finding, shape, label };
  }

  private placeLabel({ finding, label }: Mark): void {
    const [x0, y0, x1, y1] = finding.box;
    const corners = [imageToScreen(this.transform, [x0, y0]), imageToScreen(this.transform, [x1, y1])] as const;
    const x = Math.min(corners[0][0], corners[1][0]);
    const y = Math.min(corners[0][1], corners[1][1]);
    label.setAttribute('transform', `translate(${x.toFixed(1)},${Math.max(y - 3, 19).toFixed(1)})`);
  }

  private drawLengths(): void {
    const parts: SVGElement[] = [];
    for (const [from, to] of this.lines) {
      const [x0, y0] = imageToScreen(this.transform, from);
      const [x1, y1] = imageToScreen(this.transform, to);
      const pixels = Math.hypot(to[0] - from[0], to[1] - from[1]);
      const words = this.spacing
        ? formatLength(pixels * this.spacing)
        : `${pixels.toFixed(0)} ${this.events.noSpacing}`;
      const text = svgElement('text', { class: 'length__text', x: Math.max(x0, x1) + 8, y: (x1 > x0 ? y1 : y0) + 4 });
      text.textContent = words;
      parts.push(
        svgElement('line', { class: 'length__halo', x1: x0, y1: y0, x2: x1, y2: y1 }),
        svgElement('line', { class: 'length__line', x1: x0, y1: y0, x2: x1, y2: y1 }),
        svgElement('circle', { class: 'length__end', cx: x0, cy: y0, r: 3 }),
        svgElement('circle', { class: 'length__end', cx: x1, cy: y1, r: 3 }),
        text,
      );
    }
    this.lengths.replaceChildren(...parts);
  }

  private editedBoxOnScreen(): [number, number, number, number] | null {
    if (!this.box) return null;
    const [ax, ay] = imageToScreen(this.transform, [this.box[0], this.box[1]]);
    const [bx, by] = imageToScreen(this.transform, [this.box[2], this.box[3]]);
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  private drawEditedBox(): void {
    const corners = this.editedBoxOnScreen();
    if (!corners) {
      this.editing.replaceChildren();
      return;
    }
    const [x0, y0, x1, y1] = corners;
    const middle = { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
    const body = svgElement('rect', {
      class: 'edit__box',
      'data-grip': 'move',
      x: x0,
      y: y0,
      width: x1 - x0,
      height: y1 - y0,
    });
    const handles = HANDLES.map((handle) => {
      const x = handle.includes('w') ? x0 : handle.includes('e') ? x1 : middle.x;
      const y = handle.includes('n') ? y0 : handle.includes('s') ? y1 : middle.y;
      return svgElement('rect', {
        class: `edit__handle edit__handle--${handle}`,
        'data-grip': handle,
        x: x - 5,
        y: y - 5,
        width: 10,
        height: 10,
        rx: 2,
      });
    });
    this.editing.replaceChildren(body, ...handles);
  }

  private onPointerDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    const grip = event.target instanceof Element ? (event.target.getAttribute('data-grip') as Grip | null) : null;
    if (grip && this.box) this.dragBox(event, grip, this.box);
    else if (this.mode === 'length') this.dragLength(event);
    else if (this.mode === 'draw') this.dragNew(event);
  }

  /** Follow one drag of the pointer in image coordinates. */
  private trackDrag(event: PointerEvent, moved: (point: Point) => void, ended: () => void = () => undefined): void {
    event.preventDefault();
    event.stopPropagation();
    const bounds = this.svg.getBoundingClientRect();
    this.svg.setPointerCapture(event.pointerId);
    const onMove = (move: PointerEvent): void =>
      moved(screenToImage(this.transform, [move.clientX - bounds.left, move.clientY - bounds.top]));
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

  private imagePointOf(event: PointerEvent): Point {
    const bounds = this.svg.getBoundingClientRect();
    return screenToImage(this.transform, [event.clientX - bounds.left, event.clientY - bounds.top]);
  }

  private dragLength(event: PointerEvent): void {
    const start = this.imagePointOf(event);
    const line: [Point, Point] = [start, start];
    this.lines.push(line);
    this.trackDrag(
      event,
      (point) => {
        line[1] = point;
        this.drawLengths();
      },
      () => {
        // A click without a drag measures nothing.
        const tooShort = Math.hypot(line[1][0] - start[0], line[1][1] - start[1]) * scaleOf(this.transform) < 3;
        if (tooShort) this.lines = this.lines.filter((other) => other !== line);
        this.drawLengths();
      },
    );
  }

  private dragNew(event: PointerEvent): void {
    const [x, y] = this.imagePointOf(event);
    this.trackDrag(event, ([toX, toY]) => this.changeBox([x, y, toX, toY]));
  }

  private dragBox(event: PointerEvent, grip: Grip, start: Box): void {
    const [fromX, fromY] = this.imagePointOf(event);
    // On a mirrored image the handle that looks left is the box's right border.
    const mirrored = this.transform.a < 0;
    this.trackDrag(event, ([toX, toY]) => {
      const dx = toX - fromX;
      const dy = toY - fromY;
      const box: Box = [...start];
      if (grip === 'move') {
        box[0] += dx;
        box[1] += dy;
        box[2] += dx;
        box[3] += dy;
      } else {
        if (grip.includes(mirrored ? 'e' : 'w')) box[0] += dx;
        if (grip.includes(mirrored ? 'w' : 'e')) box[2] += dx;
        if (grip.includes('n')) box[1] += dy;
        if (grip.includes('s')) box[3] += dy;
      }
      this.changeBox(box);
    });
  }

  /** Move (or with `resize` widen) the edited box by image pixels; for the arrow keys. */
  nudge(dx: number, dy: number, resize: boolean): void {
    if (!this.box) return;
    const [x0, y0, x1, y1] = this.box;
    this.changeBox(resize ? [x0, y0, x1 + dx, y1 + dy] : [x0 + dx, y0 + dy, x1 + dx, y1 + dy]);
  }

  private changeBox([x0, y0, x1, y1]: Box): void {
    const clampX = (value: number): number => Math.min(Math.max(value, 0), this.columns);
    const clampY = (value: number): number => Math.min(Math.max(value, 0), this.rows);
    this.box = [clampX(Math.min(x0, x1)), clampY(Math.min(y0, y1)), clampX(Math.max(x0, x1)), clampY(Math.max(y0, y1))];
    this.box = this.box.map((value) => Math.round(value * 10) / 10) as Box;
    this.drawEditedBox();
    this.events.boxChanged(this.box);
  }
}
