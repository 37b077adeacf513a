/** Lengths and arrows over an image: drawn in a group of the overlay, kept in stored pixels, each with its words. */
import type { CaseAnnotation, CaseImage, CaseWords } from '../api_types';
import { measure } from './calibration';
import { type Affine, type Point, formatLength, imageToScreen, screenToImage } from './geometry';
import type { Labelled, LabelPlace, ScreenBox } from './label_layout';
import { svgElement, textWidth } from './svg';

export type DrawnKind = CaseAnnotation['kind'];
export type Ends = readonly [Point, Point];

const TEXT_HEIGHT = 16;
const LONGEST_NOTE = 40;

/** What of one the pointer holds: an end, or all of it. */
interface Grip {
  id: string;
  isOwn: boolean;
  /** Both ends, as they are once the pointer has gone this way over the screen. */
  pulled(from: Point, to: Point): Ends;
}

interface Shown {
  points: Ends;
  words: string;
  text: SVGTextElement;
  leader: SVGLineElement;
}

/** How far two points of an image lie apart, in the words that are said while it is drawn. */
function lengthText(image: CaseImage, words: CaseWords, [from, to]: Ends): string {
  const length = measure(image, from, to);
  if ('micrometres' in length) return formatLength(length.micrometres);
  return `${length.pixels.toFixed(0)} ${length.isElsewhere ? words.not_calibrated : words.no_spacing}`;
}

export class AnnotationLayer {
  readonly element = svgElement('g');
  private annotations: readonly CaseAnnotation[] = [];
  private selected: string | null = null;
  /** The one under the pointer as it is just now, in place of the stored one; a new one has no id. */
  private held: { id: string; kind: DrawnKind; points: Ends } | null = null;
  private transform: Affine = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };
  private shown: Shown[] = [];

  constructor(
    private readonly image: CaseImage,
    private readonly words: CaseWords,
  ) {}

  show(annotations: readonly CaseAnnotation[], selected: string | null): void {
    this.annotations = annotations;
    this.selected = selected;
    this.draw();
  }

  follow(transform: Affine): void {
    this.transform = transform;
    this.draw();
  }

  /** Show one as the pointer has it; null to show what is stored. */
  hold(held: { id: string; kind: DrawnKind; points: Ends } | null): void {
    this.held = held;
    this.draw();
  }

  /** What a press on this element holds. */
  gripAt(target: EventTarget | null): Grip | null {
    const element = target instanceof Element ? target.closest('[data-annotation]') : null;
    const annotation = this.annotations.find(({ id }) => id === element?.getAttribute('data-annotation'));
    if (!annotation || !(target instanceof Element)) return null;
    const end = target.getAttribute('data-end');
    const move = (point: Point, from: Point, to: Point): Point => {
      const [x, y] = imageToScreen(this.transform, point);
      return this.inImage(screenToImage(this.transform, [x + to[0] - from[0], y + to[1] - from[1]]));
    };
    const [first, last] = annotation.points;
    return {
      id: annotation.id,
      isOwn: annotation.author === '',
      pulled: (from, to) => {
        if (end === '0') return [move(first, from, to), last];
        if (end === '1') return [first, move(last, from, to)];
        return this.shifted(annotation.points, move(first, from, to));
      },
    };
  }

  /** Both points by the way of the first one, as far as both stay in the image. */
  private shifted([first, last]: Ends, moved: Point): Ends {
    const end = this.inImage([last[0] + moved[0] - first[0], last[1] + moved[1] - first[1]]);
    const [dx, dy] = [end[0] - last[0], end[1] - last[1]];
    return [[first[0] + dx, first[1] + dy], end];
  }

  /** The nearest point that lies in the image. */
  inImage([x, y]: Point): Point {
    return [Math.min(Math.max(x, 0), this.image.columns), Math.min(Math.max(y, 0), this.image.rows)];
  }

  /** The words of those that have any, for a place beside their ends. */
  labelled(): Labelled[] {
    return this.shown.map(({ points, words }) => {
      const [[x0, y0], [x1, y1]] = this.onScreen(points);
      // At the right end.
      const [x, y] = x1 > x0 || (x1 === x0 && y1 > y0) ? [x1, y1] : [x0, y0];
      const box: ScreenBox = [x - 5, y - 5, x + 5, y + 5];
      return { box, width: textWidth(words) * 1.1 + 4, height: TEXT_HEIGHT };
    });
  }

  /** Put the words of each of `labelled` where there is room. */
  place(places: readonly (LabelPlace | null)[]): void {
    this.shown.forEach(({ points, text, leader, words }, index) => {
      const place = places[index] ?? null;
      text.style.display = place ? '' : 'none';
      leader.style.display = place?.leader ? '' : 'none';
      if (!place) return;
      text.setAttribute('x', String(place.x + 2));
      text.setAttribute('y', String(place.y + TEXT_HEIGHT - 4));
      const [[x0, y0], [x1, y1]] = this.onScreen(points);
      const line = {
        x1: place.x + textWidth(words) / 2,
        y1: place.y + TEXT_HEIGHT / 2,
        x2: (x0 + x1) / 2,
        y2: (y0 + y1) / 2,
      };
      for (const [name, value] of Object.entries(line)) leader.setAttribute(name, value.toFixed(1));
    });
  }

  private onScreen([from, to]: Ends): Ends {
    return [imageToScreen(this.transform, from), imageToScreen(this.transform, to)];
  }

  private draw(): void {
    this.shown = [];
    const stored = this.annotations.map((each) =>
      this.drawOne(
        each.id,
        each.kind,
        each.id === this.held?.id ? this.held.points : each.points,
        each.id === this.held?.id ? { ...each, words: '' } : each,
      ),
    );
    const isNew = this.held && !this.annotations.some(({ id }) => id === this.held?.id);
    if (isNew && this.held) stored.push(this.drawOne('', this.held.kind, this.held.points, null));
    this.element.replaceChildren(...stored);
  }

  private drawOne(id: string, kind: DrawnKind, points: Ends, stored: CaseAnnotation | null): SVGGElement {
    const isSelected = id !== '' && id === this.selected;
    const group = svgElement('g', { class: `drawn drawn--${kind}${isSelected ? ' drawn--selected' : ''}` });
    if (id) group.setAttribute('data-annotation', id);
    const [[x0, y0], [x1, y1]] = this.onScreen(points);
    const line = { x1: x0, y1: y0, x2: x1, y2: y1 };
    group.append(
      svgElement('line', { class: 'length__halo', ...line }),
      svgElement('line', { class: 'length__line', ...line }),
      svgElement('line', { class: 'drawn__hit', ...line }),
    );
    if (kind === 'arrow') group.append(arrowHead([x0, y0], [x1, y1]));
    for (const [end, [cx, cy]] of [[x0, y0] as const, [x1, y1] as const].entries()) {
      if (kind === 'length' || isSelected)
        group.append(svgElement('circle', { class: 'length__end', cx, cy, r: isSelected ? 5 : 3 }));
      group.append(svgElement('circle', { class: 'drawn__end', 'data-end': end, cx, cy, r: 9 }));
    }
    const words = this.wordsOf(kind, points, stored);
    if (words) {
      const text = svgElement('text', { class: 'length__text' });
      text.textContent = words;
      const leader = svgElement('line', { class: 'drawn__leader' });
      group.append(leader, text);
      this.shown.push({ points, words, text, leader });
    }
    return group;
  }

  private wordsOf(kind: DrawnKind, points: Ends, stored: CaseAnnotation | null): string {
    // What the server says of it counts; while it is drawn or moved, this browser says it.
    const length = kind === 'length' ? stored?.words || lengthText(this.image, this.words, points) : '';
    const note = stored?.note ?? '';
    const short = note.length > LONGEST_NOTE ? `${note.slice(0, LONGEST_NOTE - 1)}…` : note;
    return [length, short, stored?.author ?? ''].filter(Boolean).join(' · ');
  }
}

/** Open at its sides, so that the tip hides nothing. */
function arrowHead([x0, y0]: Point, [x1, y1]: Point): SVGElement {
  const angle = Math.atan2(y1 - y0, x1 - x0);
  const wing = (turn: number): string =>
    `${(x1 - 12 * Math.cos(angle + turn)).toFixed(1)} ${(y1 - 12 * Math.sin(angle + turn)).toFixed(1)}`;
  const path = `M${wing(0.45)}L${x1.toFixed(1)} ${y1.toFixed(1)}L${wing(-0.45)}`;
  const head = svgElement('g', { class: 'drawn__head' });
  head.append(
    svgElement('path', { class: 'length__halo', d: path }),
    svgElement('path', { class: 'length__line', d: path }),
  );
  return head;
}
