/** The lengths that the reader has drawn on an image. */
import type { CaseImage, CaseWords } from '../api_types';
import { measure } from './calibration';
import { type Affine, type Point, formatLength, imageToScreen } from './geometry';
import { svgElement, textWidth } from './svg';

const TEXT_HEIGHT = 16;

type Line = [Point, Point];

/** Drawn in a group of the overlay; kept in stored pixels. */
export class Lengths {
  readonly element = svgElement('g');
  private lines: Line[] = [];

  constructor(
    private readonly image: CaseImage,
    private readonly words: CaseWords,
  ) {}

  /** Begin a length at a point; its end is the second point of what is returned. */
  begin(at: Point): Line {
    const line: Line = [at, at];
    this.lines.push(line);
    return line;
  }

  remove(line: Line): void {
    this.lines = this.lines.filter((other) => other !== line);
  }

  clear(): void {
    this.lines = [];
  }

  /** Draw them anew on a pane of this size. */
  draw(transform: Affine, size: readonly [number, number]): void {
    const taken: Point[] = [];
    this.element.replaceChildren(...this.lines.flatMap((line) => this.drawLine(line, transform, size, taken)));
  }

  /** `taken` are the places of the words that are drawn already. */
  private drawLine(
    [from, to]: Line,
    transform: Affine,
    [width, height]: readonly [number, number],
    taken: Point[],
  ): SVGElement[] {
    const [x0, y0] = imageToScreen(transform, from);
    const [x1, y1] = imageToScreen(transform, to);
    const words = this.wordsFor(from, to);
    // Beside the right end; inside the pane wherever the line ends.
    const x = Math.max(0, Math.min(Math.max(x0, x1) + 8, width - textWidth(words) * 1.1 - 4));
    const isEnd = x1 > x0 || (x1 === x0 && y1 > y0);
    let y = Math.max(TEXT_HEIGHT, Math.min((isEnd ? y1 : y0) + 4, height - 4));
    const isTaken = (): boolean =>
      taken.some((other) => Math.abs(other[0] - x) < textWidth(words) && Math.abs(other[1] - y) < TEXT_HEIGHT);
    while (isTaken() && y + TEXT_HEIGHT < height) y += TEXT_HEIGHT;
    taken.push([x, y]);
    const text = svgElement('text', { class: 'length__text', x, y });
    text.textContent = words;
    return [
      svgElement('line', { class: 'length__halo', x1: x0, y1: y0, x2: x1, y2: y1 }),
      svgElement('line', { class: 'length__line', x1: x0, y1: y0, x2: x1, y2: y1 }),
      svgElement('circle', { class: 'length__end', cx: x0, cy: y0, r: 3 }),
      svgElement('circle', { class: 'length__end', cx: x1, cy: y1, r: 3 }),
      text,
    ];
  }

  private wordsFor(from: Point, to: Point): string {
    const length = measure(this.image, from, to);
    if ('micrometres' in length) return formatLength(length.micrometres);
    return `${length.pixels.toFixed(0)} ${length.isElsewhere ? this.words.not_calibrated : this.words.no_spacing}`;
  }
}
