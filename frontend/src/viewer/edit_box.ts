/** The box that is drawn or edited: its handles are where the reader sees them, however the image is turned. */
import type { CaseImage } from '../api_types';
import type { Box } from '../page/case_events';
import { type Affine, type Point, imageToScreen, screenToImage } from './geometry';
import type { ScreenBox } from './label_layout';
import { svgElement } from './svg';

const HANDLES = ['nw', 'n', 'ne', 'e', 'se', 's', 'sw', 'w'] as const;
type Grip = (typeof HANDLES)[number] | 'move';

/** In stored pixels of the image; its borders stay inside. */
export class EditBox {
  readonly element = svgElement('g', { class: 'edit' });
  box: Box | null = null;
  private transform: Affine = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };

  constructor(
    private readonly image: CaseImage,
    private readonly changed: (box: Box) => void,
  ) {}

  follow(transform: Affine): void {
    this.transform = transform;
    this.draw();
  }

  show(box: Box | null): void {
    this.box = box;
    this.draw();
  }

  /** What a drag that begins on this element does; none where it is no part of the box. */
  dragFrom(target: EventTarget | null): ((to: Point, from: Point) => void) | null {
    const grip = target instanceof Element ? (target.getAttribute('data-grip') as Grip | null) : null;
    const start = this.onScreen();
    if (!grip || !start) return null;
    return (to, from) => this.pull(start, grip, to[0] - from[0], to[1] - from[1]);
  }

  nudge(dx: number, dy: number, resize: boolean): void {
    const start = this.onScreen();
    if (!start) return;
    const { a, b, c, d } = this.transform;
    // What lies along the screen's axes: the image may be turned by quarters.
    const across = Math.abs(a) > Math.abs(b) ? Math.abs(a) : Math.abs(c);
    const down = Math.abs(a) > Math.abs(b) ? Math.abs(d) : Math.abs(b);
    this.pull(start, resize ? 'se' : 'move', dx * across, dy * down);
  }

  /** Move the borders that a grip holds, from where they were on the screen. */
  private pull([x0, y0, x1, y1]: ScreenBox, grip: Grip, dx: number, dy: number): void {
    const holds = (border: string): boolean => grip === 'move' || grip.includes(border);
    const from: Point = [x0 + (holds('w') ? dx : 0), y0 + (holds('n') ? dy : 0)];
    const to: Point = [x1 + (holds('e') ? dx : 0), y1 + (holds('s') ? dy : 0)];
    this.change([...screenToImage(this.transform, from), ...screenToImage(this.transform, to)]);
  }

  /** Set the box between two corners, whichever is first. */
  change([x0, y0, x1, y1]: Box): void {
    const { columns, rows } = this.image;
    const clampX = (value: number): number => Math.min(Math.max(value, 0), columns);
    const clampY = (value: number): number => Math.min(Math.max(value, 0), rows);
    const box = [
      clampX(Math.min(x0, x1)),
      clampY(Math.min(y0, y1)),
      clampX(Math.max(x0, x1)),
      clampY(Math.max(y0, y1)),
    ];
    this.box = box.map((value) => Math.round(value * 10) / 10) as Box;
    this.draw();
    this.changed(this.box);
  }

  private onScreen(): ScreenBox | null {
    if (!this.box) return null;
    const [ax, ay] = imageToScreen(this.transform, [this.box[0], this.box[1]]);
    const [bx, by] = imageToScreen(this.transform, [this.box[2], this.box[3]]);
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  private draw(): void {
    const corners = this.onScreen();
    if (!corners) {
      this.element.replaceChildren();
      return;
    }
    const [x0, y0, x1, y1] = corners;
    const size = { width: x1 - x0, height: y1 - y0 };
    const body = svgElement('rect', { class: 'edit__box', 'data-grip': 'move', x: x0, y: y0, ...size });
    const handles = HANDLES.map((handle) => {
      const x = handle.includes('w') ? x0 : handle.includes('e') ? x1 : (x0 + x1) / 2;
      const y = handle.includes('n') ? y0 : handle.includes('s') ? y1 : (y0 + y1) / 2;
      const className = `edit__handle edit__handle--${handle}`;
      const place = { x: x - 5, y: y - 5, width: 10, height: 10, rx: 2 };
      return svgElement('rect', { class: className, 'data-grip': handle, ...place });
    });
    this.element.replaceChildren(body, ...handles);
  }
}
