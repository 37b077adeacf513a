/** Every image of the study, whatever hangs: what is shown is marked, what is kept aside says so, and a badge counts
 * what is not seen. */
import type { CaseImage, CaseWords } from '../api_types';
import { isKeptAside } from './hanging';

/** The thumbnails under the stage; there from the second image on. */
export class Strip {
  private readonly buttons: readonly { image: CaseImage; button: HTMLButtonElement }[];
  private readonly more = Object.assign(document.createElement('p'), { className: 'strip__more num' });

  constructor(
    element: HTMLElement,
    images: readonly CaseImage[],
    private readonly words: CaseWords,
    choose: (image: CaseImage, byPointer: boolean) => void,
  ) {
    this.buttons = images.map((image) => ({ image, button: this.makeButton(image, choose) }));
    element.hidden = images.length < 2;
    element.replaceChildren(...this.buttons.map(({ button }) => button), this.more);
  }

  private makeButton(image: CaseImage, choose: (image: CaseImage, byPointer: boolean) => void): HTMLButtonElement {
    const button = Object.assign(document.createElement('button'), { type: 'button', className: 'strip__image' });
    const picture = Object.assign(document.createElement('img'), {
      src: image.urls.thumbnail,
      alt: '',
      loading: 'lazy' as const,
    });
    // As it hangs, so that a breast is not seen from two sides at once.
    if (image.turn || image.mirror)
      picture.style.transform = `${image.mirror ? 'scaleX(-1) ' : ''}rotate(${image.turn}deg)`;
    button.append(picture, Object.assign(document.createElement('span'), { textContent: image.name }));
    if (isKeptAside(image)) {
      button.classList.add('strip__image--aside');
      button.title = image.kept_aside_reason;
      const note = Object.assign(document.createElement('span'), { className: 'strip__aside' });
      note.textContent = this.words.kept_aside;
      button.append(note);
    }
    button.addEventListener('click', (event) => choose(image, event.detail > 0));
    return button;
  }

  /** Mark what is shown now. */
  show(shown: readonly CaseImage[]): void {
    for (const { image, button } of this.buttons) button.setAttribute('aria-pressed', String(shown.includes(image)));
    const hidden = this.buttons.filter(({ image }) => !shown.includes(image)).length;
    this.more.hidden = hidden === 0;
    this.more.textContent = `+${hidden}`;
    this.more.title = this.words.more_images;
  }
}
