/** The frame around an image: its name and what the reader must know of it, loading progress, an error with a way
 * out, the scale bar. */
import type { CaseImage, CaseWords } from '../api_types';
import { dispatchCaseEvent } from '../page/case_events';
import { isCalibrated } from './calibration';
import { isKeptAside } from './hanging';
import { ScaleBar } from './scale_bar';

/** What is the same in every pane, whatever draws its image into `view`. */
export class PaneFrame {
  readonly element = document.createElement('div');
  readonly view = document.createElement('div');
  private readonly notes = this.makeNote('');
  private readonly framesRead = this.makeNote('');
  private readonly status = document.createElement('div');
  readonly scale: ScaleBar;

  constructor(
    private readonly image: CaseImage,
    private readonly words: CaseWords,
  ) {
    this.element.className = 'pane';
    this.element.tabIndex = 0;
    this.element.setAttribute('role', 'group');
    this.element.setAttribute('aria-label', image.name);
    this.element.dataset['image'] = image.id;
    // The keys of the image act while it has the focus.
    this.element.dataset['keys'] = 'image';
    this.element.addEventListener('pointerdown', (event) => this.takeFocus(event), { capture: true });
    this.view.className = 'pane__view';
    this.status.className = 'pane__status';
    this.status.setAttribute('role', 'status');
    this.scale = new ScaleBar(image, words, this.element);
    this.element.append(this.view, this.makeHead(), this.scale.element, this.status);
    this.showMirrored(image.mirror);
  }

  /** Wherever the image is pressed, also at a mark; but not at a control upon it. */
  private takeFocus({ target }: PointerEvent): void {
    if (target instanceof Element && target.closest('button, input, select, a')) return;
    this.element.focus({ preventScroll: true });
  }

  private makeNote(text: string): HTMLElement {
    return Object.assign(document.createElement('p'), { className: 'pane__notes', textContent: text });
  }

  private makeHead(): HTMLElement {
    const head = Object.assign(document.createElement('div'), { className: 'pane__head' });
    const label = Object.assign(document.createElement('p'), {
      className: 'pane__label',
      textContent: this.image.name,
    });
    head.append(label, this.notes, this.framesRead);
    if (this.image.kept_aside_reason && !isKeptAside(this.image))
      head.append(this.makeNote(this.image.kept_aside_reason));
    if (isKeptAside(this.image)) {
      const aside = Object.assign(document.createElement('p'), { className: 'pane__aside' });
      aside.textContent = `${this.words.kept_aside}. ${this.image.kept_aside_reason}`;
      head.append(aside);
    }
    if (this.image.side_stop) head.append(this.makeSideStop());
    return head;
  }

  /** Nobody may overlook that the side is not sure; the button leads to where a person settles it. */
  private makeSideStop(): HTMLElement {
    const stop = Object.assign(document.createElement('div'), { className: 'pane__stop' });
    const text = Object.assign(document.createElement('p'), { textContent: this.image.side_stop });
    const button = Object.assign(document.createElement('button'), {
      type: 'button',
      className: 'button button--small',
      textContent: this.words.settle_side,
    });
    button.addEventListener('click', () => dispatchCaseEvent('cad:side-asked', { image: this.image.id }));
    stop.addEventListener('pointerdown', (event) => event.stopPropagation());
    stop.append(text, button);
    return stop;
  }

  /** Say how what is seen differs from what is stored: film markers and letters in the picture turn with it. */
  showMirrored(isMirrored: boolean): void {
    const notes = [
      isMirrored ? this.mirroredWords() : '',
      this.image.turn ? this.words.turned.replace('{degrees}', String(this.image.turn)) : '',
      this.scaleNote(),
    ];
    this.notes.textContent = notes.filter(Boolean).join(' · ');
  }

  /** That there is no scale, and why; the page's study tab says it in full. */
  private scaleNote(): string {
    if (isCalibrated(this.image)) return '';
    const { scale_reason: reason } = this.image;
    return reason ? `${this.words.no_scale} (${reason})` : this.words.no_scale;
  }

  /** Say what of the image is not there, in sentences. */
  warn(sentences: readonly string[]): void {
    for (const sentence of sentences) {
      const text = Object.assign(document.createElement('p'), { className: 'pane__aside', textContent: sentence });
      this.element.querySelector('.pane__head')?.append(text);
    }
  }

  /** A choice under the image's name, such as a slide's focal plane; `chosen` is told the place of the option. */
  offer(label: string, options: readonly string[], shown: number, chosen: (place: number) => void): HTMLSelectElement {
    const select = document.createElement('select');
    options.forEach((option, place) => {
      select.append(
        Object.assign(document.createElement('option'), {
          value: String(place),
          textContent: option,
          selected: place === shown,
        }),
      );
    });
    select.addEventListener('change', () => chosen(Number(select.value)));
    const field = Object.assign(document.createElement('label'), { className: 'pane__choice' });
    field.append(`${label} `, select);
    // Not the drag of a tool.
    field.addEventListener('pointerdown', (event) => event.stopPropagation());
    this.element.querySelector('.pane__head')?.append(field);
    return select;
  }

  /** Who says that it is mirrored: where the header does not, the picture did. */
  private mirroredWords(): string {
    return this.image.mirror && this.image.turned_by === 'picture'
      ? this.words.mirrored_by_picture
      : this.words.mirrored;
  }

  /** What the model read of a clip; it may come while the image hangs. */
  showFramesRead(words: string): void {
    this.framesRead.textContent = words;
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
}
