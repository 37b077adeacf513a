/** The findings over an image: an outline each, whose line says what was decided, and a label with number and score. */
import type { CaseFinding } from '../api_types';
import type { Box } from '../page/case_events';
import { type Affine, type Point, cssMatrix, imageToScreen } from './geometry';
import { type LabelPlace, type Labelled, type ScreenBox, placeLabels } from './label_layout';
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

/** What a mark says: whose it is as long as it stands, else what was decided. */
function stateOf({ by_reader, verdict }: CaseFinding): string {
  return by_reader && verdict !== 'rejected' ? 'reader' : verdict;
}

/** The marks of one pane. */
export class Marks {
  readonly shapes = svgElement('g');
  readonly labels = svgElement('g');
  /** Counts the labels that no room is left for, and leads to them one by one. */
  private readonly badge = svgElement('g', { class: 'mark mark__more' });
  private readonly badgeText = svgElement('text', { x: 6, y: 13 });
  private readonly badgeTag = svgElement('rect', { class: 'mark__tag', x: 0, y: 0, height: LABEL_HEIGHT, rx: 3 });
  private marks: Mark[] = [];
  private unplaced: Mark[] = [];

  /** `pressed` says whether the pointer may choose now. */
  constructor(
    private readonly selected: (id: string) => void,
    private readonly maySelect: () => boolean,
  ) {
    this.badge.append(this.badgeTag, this.badgeText);
    this.badge.addEventListener('pointerdown', (event) => this.onPress(event, this.unplaced[0]));
  }

  show(findings: readonly CaseFinding[], selected: string | null): void {
    this.marks = findings.map((finding) => this.makeMark(finding, finding.id === selected));
    this.shapes.replaceChildren(...this.marks.map((mark) => mark.shape));
    this.labels.replaceChildren(
      ...this.marks.map((mark) => mark.leader),
      ...this.marks.map((mark) => mark.label),
      this.badge,
    );
  }

  setVisible(visible: boolean): void {
    this.shapes.style.display = visible ? '' : 'none';
    this.labels.style.display = visible ? '' : 'none';
  }

  /** Follow the image; `furniture` is what else stands on the pane and is better left free. `others` are labels of
   * other things, which come after; their places are the answer. */
  place(
    transform: Affine,
    size: readonly [number, number],
    furniture: readonly ScreenBox[],
    others: readonly Labelled[],
  ): (LabelPlace | null)[] {
    this.shapes.setAttribute('transform', cssMatrix(transform));
    // The chosen one has the first choice of place.
    const inOrder = [...this.marks].sort((one, other) => Number(other.isSelected) - Number(one.isSelected));
    const labelled = inOrder.map(({ finding, width }) => ({
      box: onScreen(transform, finding.box),
      width,
      height: LABEL_HEIGHT,
    }));
    const { places, more } = placeLabels([...labelled, ...others], size, furniture);
    const unplaced = new Set(more?.labels);
    this.unplaced = inOrder.filter((_, index) => unplaced.has(index));
    places.forEach((place, index) => {
      const mark = inOrder[index];
      const box = labelled[index]?.box;
      if (mark && box) placeLabel(mark, place, box);
    });
    this.showBadge(more?.place ?? null);
    return places.slice(labelled.length);
  }

  private showBadge(place: ScreenBox | null): void {
    const isShown = place !== null && this.unplaced.length > 0;
    this.badge.style.display = isShown ? '' : 'none';
    if (!isShown) return;
    const [x0, y0, x1] = place;
    this.badgeText.textContent = `+${this.unplaced.length}`;
    this.badgeTag.setAttribute('width', String(x1 - x0));
    this.badge.setAttribute('transform', `translate(${x0.toFixed(1)},${y0.toFixed(1)})`);
  }

  private onPress(event: PointerEvent, mark: Mark | undefined): void {
    if (!mark || !this.maySelect()) return;
    event.stopPropagation();
    this.selected(mark.finding.id);
  }

  private makeMark(finding: CaseFinding, isSelected: boolean): Mark {
    const state = stateOf(finding);
    const className = `mark mark--${state}${isSelected ? ' mark--selected' : ''}`;
    const shape = svgElement('g', { class: className, 'data-finding': finding.id });
    const [x0, y0, x1, y1] = finding.box;
    const outline = finding.polygon
      ? svgElement('polygon', { points: finding.polygon.map((point) => point.join(',')).join(' ') })
      : svgElement('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
    const lines = {
      // A dark line under the bright one keeps marks visible on white and on black.
      halo: outline.cloneNode() as SVGElement,
      line: outline,
      // Dark in the middle of a broad line, it makes two of one: what was accepted has a double line.
      core: outline.cloneNode() as SVGElement,
      hit: outline.cloneNode() as SVGElement,
    };
    for (const [name, line] of Object.entries(lines)) line.setAttribute('class', `mark__${name}`);
    shape.append(...Object.values(lines));
    const { label, width } = this.makeLabel(finding, state, className);
    const leader = svgElement('line', { class: `${className} mark__leader` });
    const mark = { finding, isSelected, shape, label, leader, width };
    for (const target of [lines.hit, label])
      target.addEventListener('pointerdown', (event) => this.onPress(event, mark));
    return mark;
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
}

function onScreen(transform: Affine, [x0, y0, x1, y1]: Box): ScreenBox {
  const [ax, ay] = imageToScreen(transform, [x0, y0]);
  const [bx, by] = imageToScreen(transform, [x1, y1]);
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

function placeLabel({ label, leader, width }: Mark, place: LabelPlace | null, [x0, y0, x1, y1]: ScreenBox): void {
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
