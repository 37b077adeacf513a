/** The form beside the image: a finding's box and label, with the reason; or a finding of the reader's own. */
import type { CaseFinding, CaseWords } from '../api_types';
import { type Box, caseDescription, onCaseEvent, dispatchCaseEvent } from './case_events';

const NO_FINDING = /0{8}-[0-]+/;

function inputById(id: string): HTMLInputElement {
  return document.getElementById(id) as HTMLInputElement;
}

/** The form of the case page: at most one is open, for a finding of the list or for a new one. */
export class EditForm {
  private image = '';
  private frame: number | null = null;
  private isNew = false;
  private readonly numbers = ['edit-x', 'edit-y', 'edit-width', 'edit-height'].map(inputById);
  /** What gets the focus back when the form closes. */
  private focusedBefore: Element | null = null;

  constructor(
    private readonly form: HTMLFormElement,
    private readonly words: CaseWords,
  ) {
    inputById('edit-cancel').addEventListener('click', () => this.close());
    for (const number of this.numbers) number.addEventListener('input', () => this.applyTypedNumbers());
    onCaseEvent('cad:box-changed', ({ image, frame, box, from }) => {
      if (from !== 'viewer' || this.form.hidden) return;
      this.showBox(image, frame, box);
      // Nobody typed, and yet it is input: it is kept like what is typed.
      this.form.dispatchEvent(new Event('change', { bubbles: true }));
    });
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
    });
    // The label alone may be edited, or the box alone.
    form.addEventListener('submit', (event) => {
      const isEmpty = !this.isNew && inputById('edit-label').value === '' && inputById('edit-box').value === '';
      if (!isEmpty) return;
      event.preventDefault();
      event.stopPropagation();
      inputById('edit-label').setCustomValidity(words.nothing_changed);
      form.reportValidity();
    });
    form.addEventListener('input', () => inputById('edit-label').setCustomValidity(''));
  }

  edit(finding: CaseFinding): void {
    this.isNew = false;
    this.open((this.form.dataset['decideUrl'] ?? '').replace(NO_FINDING, finding.id), this.words.edit_title);
    this.showBox(finding.image, finding.frame, finding.box);
    inputById('edit-box').value = '';
    dispatchCaseEvent('cad:edit-started', { id: finding.id });
    document.getElementById('edit-label')?.focus();
  }

  add(): void {
    this.isNew = true;
    this.open(this.form.dataset['addUrl'] ?? '', this.words.add_title);
    for (const number of this.numbers) number.value = '';
    dispatchCaseEvent('cad:edit-started', { id: null });
  }

  /** The fields were filled with what was typed earlier: show the box that is among them. */
  refilled(): void {
    const { value } = inputById('edit-box');
    if (!value) return;
    const frame = inputById('edit-frame').value;
    this.showBox(inputById('edit-image').value || this.image, frame ? Number(frame) : null, JSON.parse(value) as Box);
    dispatchCaseEvent('cad:box-changed', {
      image: this.image,
      frame: this.frame,
      box: JSON.parse(value) as Box,
      from: 'panel',
    });
  }

  /** Put the form away; false when it was not open. */
  close(): boolean {
    if (this.form.hidden) return false;
    this.form.hidden = true;
    this.form.reset();
    dispatchCaseEvent('cad:edit-ended', {});
    if (this.focusedBefore instanceof HTMLElement && this.focusedBefore.isConnected) this.focusedBefore.focus();
    return true;
  }

  private open(address: string, title: string): void {
    this.focusedBefore = document.activeElement;
    this.form.reset();
    this.form.hidden = false;
    this.form.action = address;
    const heading = document.getElementById('edit-title');
    if (heading) heading.textContent = title;
    const hint = document.getElementById('edit-hint');
    if (hint) hint.textContent = this.isNew ? this.words.add_hint : this.words.edit_hint;
    const same = document.getElementById('edit-label-same');
    if (same) same.textContent = this.isNew ? this.words.label_choose : this.words.label_unchanged;
    (document.getElementById('edit-label') as HTMLSelectElement).required = this.isNew;
    for (const number of this.numbers) number.required = this.isNew;
    (document.getElementById('edit-reason-field') as HTMLElement).hidden = this.isNew;
    inputById('edit-reason').required = !this.isNew;
    inputById('edit-image').value = '';
    inputById('edit-frame').value = '';
    inputById('edit-box').value = '';
    this.frame = null;
  }

  private showBox(image: string, frame: number | null, box: Box): void {
    inputById('edit-label').setCustomValidity('');
    this.image = image;
    this.frame = frame;
    inputById('edit-frame').value = frame === null ? '' : String(frame);
    inputById('edit-image').value = image;
    inputById('edit-box').value = JSON.stringify(box);
    const [x0, y0, x1, y1] = box;
    [x0, y0, x1 - x0, y1 - y0].forEach((value, index) => {
      const number = this.numbers[index];
      if (number) number.value = String(Math.round(value));
    });
  }

  private applyTypedNumbers(): void {
    const values = this.numbers.map((number) => number.valueAsNumber);
    if (values.some(Number.isNaN)) return;
    const [x = 0, y = 0, width = 0, height = 0] = values;
    const box: Box = [x, y, x + width, y + height];
    // Typed numbers alone need an image too: the first, until a box is drawn elsewhere.
    const image = this.image || caseDescription()?.images[0]?.id || '';
    inputById('edit-image').value = image;
    inputById('edit-box').value = JSON.stringify(box);
    dispatchCaseEvent('cad:box-changed', { image, frame: this.frame, box, from: 'panel' });
  }
}
