/** The frame around an image: labels, loading progress, an error with a way out, the scale bar. */
import type { CaseImage, CaseWords } from '../api_types';
import { formatLength } from './geometry';

/** What is the same in every pane, whatever draws its image into `view`. */
export class PaneFrame {
  readonly element = document.createElement('div');
  readonly view = document.createElement('div');
  private readonly status = document.createElement('div');
  private readonly bar = document.createElement('div');
  private readonly barText = document.createElement('span');

  constructor(
    image: CaseImage,
    private readonly words: CaseWords,
  ) {
    this.element.className = 'pane';
    this.element.tabIndex = 0;
    this.element.setAttribute('role', 'group');
    this.element.setAttribute('aria-label', image.name);
    this.element.dataset['image'] = image.id;
    this.view.className = 'pane__view';
    const label = document.createElement('p');
    label.className = 'pane__label';
    label.textContent = image.name;
    this.status.className = 'pane__status';
    this.status.setAttribute('role', 'status');
    this.bar.className = 'scale-bar';
    this.bar.setAttribute('aria-hidden', 'true');
    this.bar.append(this.barText);
    this.bar.hidden = true;
    this.element.append(this.view, label, this.bar, this.status);
  }

  loading(fraction: number | null): void {
    this.status.className = 'pane__status pane__status--loading';
    if (!this.status.firstElementChild?.classList.contains('progress')) {
      const track = document.createElement('div');
      track.className = 'progress';
      track.append(Object.assign(document.createElement('div'), { className: 'progress__bar' }));
      const text = document.createElement('p');
      text.textContent = `${this.words.loading}…`;
      this.status.replaceChildren(track, text);
    }
    const track = this.status.firstElementChild as HTMLElement;
    track.classList.toggle('progress--unknown', fraction === null);
    const fill = track.firstElementChild as HTMLElement;
    fill.style.width = fraction === null ? '' : `${Math.round(fraction * 100)}%`;
  }

  done(note = ''): void {
    this.status.className = 'pane__status pane__status--note';
    this.status.textContent = note;
    this.element.dataset['ready'] = 'true';
  }

  failed(reason: string, retry: () => void): void {
    this.status.className = 'pane__status pane__status--failed';
    const text = document.createElement('p');
    text.textContent = `${this.words.failed} ${reason}`;
    const button = Object.assign(document.createElement('button'), {
      type: 'button',
      className: 'button',
      textContent: this.words.retry,
    });
    button.addEventListener('click', retry);
    this.status.replaceChildren(text, button);
    this.element.dataset['ready'] = 'failed';
  }

  /** A bar of a round length near 110 CSS pixels; hidden where the pixel spacing is unknown. */
  showScale(micrometresPerCssPixel: number | null): void {
    this.bar.hidden = micrometresPerCssPixel === null;
    if (micrometresPerCssPixel === null) return;
    const wanted = 110 * micrometresPerCssPixel;
    const power = 10 ** Math.floor(Math.log10(wanted));
    const round = [5, 2, 1].map((step) => step * power).find((length) => length <= wanted) ?? power;
    this.bar.style.width = `${round / micrometresPerCssPixel}px`;
    const text = round >= 1000 ? `${round / 1000} mm` : formatLength(round);
    if (this.barText.textContent !== text) this.barText.textContent = text;
  }
}
