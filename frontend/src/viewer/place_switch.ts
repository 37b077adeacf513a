/** A place of a hanging where more than one image belongs: which of them is shown, and the way to the others. */
import type { CaseImage, CaseWords } from '../api_types';
import { type Place, isKeptAside, isStandard } from './hanging';

/** Shows one image of its place at a time; the reader goes through them. */
export class PlaceSwitch {
  /** None while only images kept aside belong here. */
  shown: CaseImage | null;
  private readonly element = document.createElement('div');
  private readonly position = document.createElement('output');

  constructor(
    readonly place: Place,
    private readonly words: CaseWords,
    private readonly choose: (image: CaseImage) => void,
  ) {
    this.shown = place.hung > 0 ? (place.images[0] ?? null) : null;
    this.element.className = 'place';
    this.position.className = 'num';
    this.element.append(
      this.makeButton('‹', words.previous_image, -1),
      this.position,
      this.makeButton('›', words.next_image, 1),
    );
    this.element.addEventListener('pointerdown', (event) => event.stopPropagation());
    this.element.addEventListener('dblclick', (event) => event.stopPropagation());
  }

  private makeButton(sign: string, name: string, by: 1 | -1): HTMLButtonElement {
    const button = Object.assign(document.createElement('button'), {
      type: 'button',
      className: 'place__step',
      textContent: sign,
      title: `${name} (${by === 1 ? 'Page Down' : 'Page Up'})`,
    });
    button.setAttribute('aria-label', `${this.place.name}: ${name}`);
    button.addEventListener('click', () => this.step(by));
    return button;
  }

  get hasOthers(): boolean {
    return this.place.images.length > (this.shown ? 1 : 0);
  }

  /** Go to the next image of the place, round and round; false where there is no other. */
  step(by: 1 | -1): boolean {
    const { images } = this.place;
    if (!this.hasOthers) return false;
    const at = this.shown ? images.indexOf(this.shown) : by === 1 ? -1 : 0;
    const next = images[(at + by + images.length) % images.length];
    if (next) this.choose(next);
    return true;
  }

  /** Put the switch on what is shown here, a pane or the empty place, and say what is missing. */
  furnish(pane: HTMLElement): void {
    const { images } = this.place;
    const focused = this.element.contains(document.activeElement) ? (document.activeElement as HTMLElement) : null;
    const at = this.shown ? images.indexOf(this.shown) + 1 : 0;
    this.position.textContent = `${at} / ${images.length}`;
    if (!images.some((image) => isStandard(image, this.place) && !isKeptAside(image))) pane.append(this.makeMissing());
    if (this.hasOthers) pane.append(this.element);
    focused?.focus();
  }

  private makeMissing(): HTMLElement {
    const textContent = this.words.no_view.replace('{view}', this.place.name);
    return Object.assign(document.createElement('p'), { className: 'pane__missing', textContent });
  }
}
