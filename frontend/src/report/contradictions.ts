/** In what a report contradicts itself or its case, beside the form: told after each save, both places outlined, each a
 * click away. */
import type { ContradictionPlace, ReportContradiction, ReportWords } from '../api_types';
import { dispatchCaseEvent } from '../page/case_events';
import { fillPlaceholders } from '../page/embedded';

/** Rules that say that something came: somebody may say that it was looked at. */
const ARRIVALS = ['images_arrived', 'results_arrived', 'case_corrected'];

/** A child with a class and words. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className: string,
  text = '',
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/** The list of a draft's contradictions. */
export class Contradictions {
  private found: ReportContradiction[] = [];
  private lookedAt = '';

  constructor(
    private readonly form: HTMLFormElement,
    private readonly words: ReportWords,
    private readonly onLookedAt: (moment: string) => void,
  ) {}

  /** Show what was found in the case as it stood at that moment. */
  show(found: ReportContradiction[], lookedAt: string): void {
    this.lookedAt = lookedAt;
    const before = this.found.map((each) => each.key).join();
    this.found = found;
    if (found.map((each) => each.key).join() !== before) this.draw();
    this.outline();
  }

  /** Outline the places again, for lines that were replaced. */
  outline(): void {
    for (const place of document.querySelectorAll('.is-contradicted')) place.classList.remove('is-contradicted');
    for (const each of this.found)
      if (each.severity === 'stop') for (const place of each.places) this.find(place)?.classList.add('is-contradicted');
  }

  /** Go to the list. */
  focus(): void {
    const section = this.part('contradictions');
    section?.scrollIntoView({ block: 'start' });
    section?.focus({ preventScroll: true });
  }

  private part(name: string): HTMLElement | null {
    return this.form.querySelector<HTMLElement>(`[data-${name}]`);
  }

  private draw(): void {
    const section = this.part('contradictions');
    const count = this.part('found');
    if (!section || !count) return;
    const stops = this.found.filter((each) => each.severity === 'stop').length;
    section.hidden = count.hidden = this.found.length === 0;
    count.textContent = fillPlaceholders(this.words.found, { stops, warnings: this.found.length - stops });
    count.classList.toggle('report__found--stop', stops > 0);
    this.part('contradiction-list')?.replaceChildren(...this.found.map((each) => this.item(each)));
  }

  private item(found: ReportContradiction): HTMLElement {
    const item = contradictionItem(found, this.words);
    const buttons = element('div', 'cluster');
    for (const place of uniquePlaces(found)) {
      const button = element(
        'button',
        'button button--small',
        fillPlaceholders(this.words.show, { place: place.label }),
      );
      button.type = 'button';
      button.addEventListener('click', () => this.goTo(place, found));
      buttons.append(button);
    }
    if (ARRIVALS.includes(found.rule)) {
      const button = element('button', 'button button--small', this.words.looked_at);
      button.type = 'button';
      button.addEventListener('click', () => this.onLookedAt(this.lookedAt));
      buttons.append(button);
    }
    item.append(buttons);
    return item;
  }

  private find(place: ContradictionPlace): HTMLElement | null {
    if (place.kind === 'field') return this.form.querySelector<HTMLElement>(`[data-field="${place.name}"]`);
    if (place.kind === 'line' || place.kind === 'finding') return this.line(place.name) ?? listed(place.name);
    if (place.kind === 'image') return document.getElementById(`side-${place.name}`);
    return null;
  }

  private line(name: string): HTMLElement | null {
    const lines = [...this.form.querySelectorAll<HTMLElement>('[data-line]')];
    const of = (line: HTMLElement): string =>
      line.querySelector<HTMLInputElement>('[name="line_finding"]')?.value ?? '';
    return lines.find((line) => of(line) === name) ?? (/^\d+$/.test(name) ? (lines[Number(name)] ?? null) : null);
  }

  private goTo(place: ContradictionPlace, found: ReportContradiction): void {
    for (const other of document.querySelectorAll('.is-shown')) other.classList.remove('is-shown');
    for (const each of found.places) this.find(each)?.classList.add('is-shown');
    if (place.kind === 'image' && found.rule === 'side_unconfirmed') {
      dispatchCaseEvent('cad:side-asked', { image: place.name });
      return;
    }
    if (place.kind === 'image') dispatchCaseEvent('cad:image-asked', { image: place.name });
    else if (place.kind === 'finding') dispatchCaseEvent('cad:show-finding', { finding: place.name });
    else if (place.kind === 'result') document.getElementById('tab-findings')?.click();
    else if (place.kind === 'study') document.getElementById('tab-study')?.click();
    const target = place.kind === 'image' ? null : this.find(place);
    if (!target || target.closest('[hidden]')) return;
    target.scrollIntoView({ block: 'center' });
    target
      .querySelector<HTMLElement>('select, textarea, input:not([type=hidden]), button')
      ?.focus({ preventScroll: true });
  }
}

/** Severity and sentence of one contradiction, without what can be done about it. */
export function contradictionItem(found: ReportContradiction, words: ReportWords): HTMLLIElement {
  const item = element('li', `contradiction contradiction--${found.severity}`);
  const sentence = element('p', 'contradiction__sentence', found.sentence);
  sentence.prepend(
    element('strong', 'contradiction__severity', found.severity === 'stop' ? words.stop : words.warning),
    ' ',
  );
  item.append(sentence);
  return item;
}

const listed = (finding: string): HTMLElement | null =>
  document.querySelector<HTMLElement>(`.finding[data-finding="${finding}"]`);

function uniquePlaces(found: ReportContradiction): ContradictionPlace[] {
  return found.places.filter(
    (place, number) =>
      found.places.findIndex((each) => each.kind === place.kind && each.name === place.name) === number,
  );
}
