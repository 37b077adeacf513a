/** The list of measurements in the panel, which the server writes anew whenever it changes, and the note that is
 * written beside the image. */
import type { CaseAnnotation, CaseWords } from '../api_types';
import type { Annotations } from './annotations';

const ITEM = '[data-annotation]';

export class AnnotationPanel {
  private readonly live = document.getElementById('live');
  private note: HTMLElement | null = null;

  constructor(
    private readonly annotations: Annotations,
    private readonly words: CaseWords,
    /** Bring one into view; answers the element of its pane. */
    private readonly reveal: (annotation: CaseAnnotation) => Promise<HTMLElement | null>,
  ) {
    this.live?.addEventListener('click', (event) => this.onClick(event));
    this.live?.addEventListener('keydown', (event) => {
      const id = this.itemOf(event)?.dataset['annotation'];
      if (event.key !== 'Delete' || !id || event.repeat || !this.annotations.remove(id)) return;
      event.preventDefault();
    });
  }

  /** Say which one is chosen, on whatever list is there now. */
  showSelected(): void {
    for (const item of this.live?.querySelectorAll<HTMLElement>(ITEM) ?? []) {
      const isChosen = item.dataset['annotation'] === this.annotations.selected;
      item.classList.toggle('measurement--selected', isChosen);
      item.querySelector('[data-do=select]')?.setAttribute('aria-pressed', String(isChosen));
    }
  }

  private itemOf({ target }: Event): HTMLElement | null {
    return target instanceof Element ? target.closest<HTMLElement>(ITEM) : null;
  }

  private onClick(event: Event): void {
    const annotation = this.annotations.get(this.itemOf(event)?.dataset['annotation'] ?? '');
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-do]') : null;
    if (!annotation || !button) return;
    this.annotations.select(annotation.id);
    switch (button.dataset['do'] ?? '') {
      case 'select':
        void this.reveal(annotation);
        break;
      case 'report':
        void this.annotations.report(annotation.id, button.getAttribute('aria-pressed') !== 'true');
        break;
      case 'note':
        void this.reveal(annotation).then((pane) => this.askNote(annotation, pane));
        break;
      case 'remove':
        this.annotations.remove(annotation.id);
        break;
    }
  }

  /** Write the note of one at the foot of its image: kept as it is typed, so that closing loses nothing. */
  askNote({ id, note }: CaseAnnotation, pane: HTMLElement | null): void {
    this.note?.remove();
    if (!pane) return;
    const form = Object.assign(document.createElement('form'), { className: 'pane__note' });
    const input = Object.assign(document.createElement('input'), {
      className: 'input',
      type: 'text',
      maxLength: 200,
      value: note,
      autocomplete: 'off',
    });
    const label = document.createElement('label');
    label.append(`${this.words.note} `, input);
    const done = Object.assign(document.createElement('button'), {
      type: 'submit',
      className: 'button button--small',
      textContent: this.words.done,
    });
    form.append(label, done);
    this.note = form;
    const close = (): void => {
      form.remove();
      pane.focus({ preventScroll: true });
    };
    input.addEventListener('input', () => this.annotations.note(id, input.value));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      close();
    });
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.isComposing) close();
      event.stopPropagation();
    });
    for (const name of ['pointerdown', 'dblclick'] as const)
      form.addEventListener(name, (event) => event.stopPropagation());
    pane.append(form);
    input.focus({ preventScroll: true });
  }
}
