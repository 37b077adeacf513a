/** The panel of the case page: the list of findings, its keys, and the forms that decide on them. */
import type { CaseDescription } from '../api_types';
import { caseDescription, caseFindings, onCaseEvent, dispatchCaseEvent } from './case_events';
import { Decisions } from './decisions';
import { EditForm } from './edit_form';
import { keepTyped } from '../journal/typed';
import { followFaintMarks, restoreFaintMarks } from './faint_marks';
import { registerCommand, whenQuiet } from './keyboard';
import { bindTabs } from './tabs';

const ITEM = '.finding';

class FindingsPanel {
  private selected: string | null = null;
  private readonly live: HTMLElement;
  private readonly study: string;
  private readonly form: EditForm | null;
  private readonly rejectDialog = document.getElementById('reject-dialog') as HTMLDialogElement | null;
  private readonly tabs = bindTabs(document.querySelector<HTMLElement>('.tabs[role=tablist]') as HTMLElement);
  private readonly decisions: Decisions;
  /** Whether the next undecided finding is selected once this one is decided. */
  private selectNext = false;

  constructor(live: HTMLElement, { study, words }: CaseDescription) {
    this.live = live;
    this.study = study;
    const bar = document.getElementById('edit-bar');
    this.form = bar instanceof HTMLFormElement ? new EditForm(bar, words) : null;
    this.bindList();
    followFaintMarks(live);
    this.decisions = new Decisions(live, study, words, {
      onDecided: (form) => this.goOn(form),
      onStored: (added) => this.stored(added),
    });
    this.bindSwaps();
    this.bindReject();
    this.bindKeys();
    keepTyped(study, (form, action) => this.reopen(form, action));
    onCaseEvent('cad:finding-selected', ({ id, from }) => from === 'viewer' && this.select(id, 'viewer'));
    onCaseEvent('cad:show-finding', ({ finding }) => this.select(finding, 'panel'));
    onCaseEvent('cad:draw-asked', () => this.openAddForm());
    onCaseEvent('cad:side-asked', ({ image }) => this.showSide(image));
  }

  private listItems(): HTMLElement[] {
    const items = [...this.live.querySelectorAll<HTMLElement>(ITEM)];
    return items.filter((item) => !item.closest('details:not([open])'));
  }

  private selectedItem(): HTMLElement | null {
    return this.listItems().find((item) => item.dataset['finding'] === this.selected) ?? null;
  }

  private select(id: string, from: 'panel' | 'viewer'): void {
    this.selected = id;
    this.tabs.show(0);
    this.markSelected();
    this.selectedItem()?.scrollIntoView({ block: 'nearest' });
    if (from === 'panel') dispatchCaseEvent('cad:finding-selected', { id, from });
  }

  /** Go to where the side of an image is settled. */
  private showSide(image: string): void {
    const place = document.getElementById(`side-${image}`);
    const panel = place?.closest('[role=tabpanel]');
    const tab = [...document.querySelectorAll('.tabs[role=tablist] [role=tab]')].findIndex(
      (each) => each.getAttribute('aria-controls') === panel?.id,
    );
    if (!place || tab === -1) return;
    this.tabs.show(tab);
    for (let fold = place.closest('details'); fold; fold = fold.parentElement?.closest('details') ?? null)
      fold.open = true;
    place.scrollIntoView({ block: 'nearest' });
    const first = place.querySelector<HTMLElement>('input, select, textarea, button, a, summary');
    (first ?? place).focus();
  }

  /** Show the selection on whatever list is there now. */
  private markSelected(): void {
    for (const item of this.listItems()) {
      const chosen = item.dataset['finding'] === this.selected;
      item.classList.toggle('finding--selected', chosen);
      item.querySelector('.finding__select')?.setAttribute('aria-pressed', String(chosen));
    }
  }

  private bindList(): void {
    this.live.addEventListener('click', (event) => {
      const target = event.target instanceof Element ? event.target : null;
      const item = target?.closest<HTMLElement>(ITEM);
      if (!item?.dataset['finding']) return;
      const action = target?.closest<HTMLElement>('[data-action]')?.dataset['action'];
      if (this.selected !== item.dataset['finding'] || !action) this.select(item.dataset['finding'], 'panel');
      if (action === 'edit') this.openEditForm();
      if (action === 'reject') this.openRejectDialog();
    });
  }

  private bindSwaps(): void {
    document.addEventListener('htmx:afterSwap', (event) => {
      const { target } = (event as CustomEvent<{ target: HTMLElement }>).detail;
      if (target !== this.live) return;
      restoreFaintMarks();
      this.markSelected();
      this.decisions.showPending();
      dispatchCaseEvent('cad:findings-updated', {});
    });
  }

  /** Something was decided: the reader goes on, whenever the server will have it. */
  private goOn(form: HTMLFormElement): void {
    const goesToNext = form === this.rejectDialog?.querySelector('form') || this.selectNext;
    this.selectNext = false;
    this.form?.close();
    this.rejectDialog?.close();
    if (goesToNext) this.selectNextUndecided();
  }

  private stored(added: boolean): void {
    dispatchCaseEvent('cad:findings-changed', { study: this.study });
    const newest = added ? this.listItems().at(-1)?.dataset['finding'] : undefined;
    if (newest) this.select(newest, 'panel');
    if (document.activeElement === document.body)
      this.selectedItem()?.querySelector<HTMLElement>('.finding__select')?.focus();
  }

  private bindReject(): void {
    const dialog = this.rejectDialog;
    const reason = document.getElementById('reject-reason') as HTMLInputElement | null;
    if (!dialog || !reason) return;
    const choose = (button: HTMLElement): void => {
      reason.value = button.dataset['reason'] ?? '';
      reason.dispatchEvent(new Event('input', { bubbles: true }));
      reason.focus();
    };
    dialog.addEventListener('close', () => dialog.querySelector('form')?.reset());
    const quick = [...dialog.querySelectorAll<HTMLElement>('[data-reason]')];
    quick.forEach((button) => button.addEventListener('click', () => choose(button)));
    // A digit chooses while the reasons have the focus; in the field it is text, however it is typed.
    dialog.addEventListener('keydown', (event) => {
      const button = quick[Number(event.key) - 1];
      if (!button || !quick.includes(event.target as HTMLElement) || event.repeat) return;
      event.preventDefault();
      whenQuiet(() => dialog.open && choose(button));
    });
  }

  private bindKeys(): void {
    registerCommand('next-finding', () => this.selectNeighbour(1));
    registerCommand('previous-finding', () => this.selectNeighbour(-1));
    registerCommand('accept', () => this.pressButton('accept', true));
    registerCommand('undo', () => this.pressButton('undo', false));
    registerCommand('edit', () => this.openEditForm());
    registerCommand('reject', () => this.openRejectDialog());
    registerCommand('draw', () => this.openAddForm());
    ['tab-findings', 'tab-report', 'tab-study'].forEach((id, index) =>
      registerCommand(id, () => this.tabs.show(index, true)),
    );
    registerCommand('cancel', () => this.form?.close() ?? false);
    registerCommand('switch-focus', () => this.switchFocus());
  }

  private selectNeighbour(by: 1 | -1): boolean {
    const items = this.listItems();
    if (items.length === 0) return false;
    const current = items.findIndex((item) => item.dataset['finding'] === this.selected);
    const next = current === -1 ? (by === 1 ? 0 : items.length - 1) : (current + by + items.length) % items.length;
    this.selectItem(items[next]);
    return true;
  }

  private selectItem(item: HTMLElement | undefined): void {
    if (item?.dataset['finding']) this.select(item.dataset['finding'], 'panel');
  }

  /** From the image to the form that is open, else to the tab that is shown; from anywhere else to the image. */
  private switchFocus(): boolean {
    const image = document.querySelector<HTMLElement>('.pane--active') ?? document.getElementById('panes');
    const isAtImage = document.getElementById('stage')?.contains(document.activeElement) ?? false;
    const panel = document.querySelector<HTMLElement>('#edit-bar:not([hidden]) select, .tabs [aria-selected=true]');
    const next = isAtImage ? panel : image;
    next?.focus();
    return next !== null;
  }

  private selectNextUndecided(): void {
    const items = this.listItems();
    const from = items.findIndex((item) => item.dataset['finding'] === this.selected);
    const order = [...items.slice(from + 1), ...items.slice(0, from + 1)];
    this.selectItem(
      order.find(
        ({ dataset, classList }) =>
          dataset['verdict'] === 'undecided' &&
          !classList.contains('finding--reader') &&
          !this.decisions.isPending(dataset['finding'] ?? ''),
      ),
    );
  }

  private pressButton(action: string, selectNext: boolean): boolean {
    const button = this.selectedItem()?.querySelector<HTMLButtonElement>(`[data-action=${action}]`);
    if (!button) return false;
    this.selectNext = selectNext;
    button.click();
    this.selectNext = false;
    return true;
  }

  /** Open a form again that was half filled when the page went. */
  private reopen(form: HTMLFormElement, action: string): (() => void) | null {
    if (form.dataset['keep'] === 'edit' && action.endsWith('/add'))
      return this.openAddForm() ? () => this.form?.refilled() : null;
    const finding = /findings\/([0-9a-f-]{36})\//.exec(action)?.[1];
    if (!finding) return () => undefined;
    this.select(finding, 'panel');
    if (form.dataset['keep'] === 'edit') return this.openEditForm() ? () => this.form?.refilled() : null;
    return this.openRejectDialog() ? () => undefined : null;
  }

  private openEditForm(): boolean {
    const finding = caseFindings().find((candidate) => candidate.id === this.selected);
    if (!this.form || !finding || !this.selectedItem()?.querySelector('[data-action=edit]')) return false;
    this.form.edit(finding);
    return true;
  }

  private openAddForm(): boolean {
    if (!this.form) return false;
    this.tabs.show(0);
    this.form.add();
    return true;
  }

  private openRejectDialog(): boolean {
    const form = document.getElementById('reject-form');
    if (!this.rejectDialog || !(form instanceof HTMLFormElement)) return false;
    if (!this.selected || !this.selectedItem()?.querySelector('[data-action=reject]')) return false;
    form.action = (document.getElementById('edit-bar')?.dataset['decideUrl'] ?? '').replace(
      /0{8}-[0-]+/,
      this.selected,
    );
    form.reset();
    this.rejectDialog.showModal();
    (this.rejectDialog.querySelector<HTMLElement>('[data-reason]') ?? form.querySelector('input'))?.focus();
    return true;
  }
}

/** Bring the panel to life on a page that shows a case. */
export function startCasePanel(): void {
  const live = document.getElementById('live');
  const description = caseDescription();
  if (live && description) new FindingsPanel(live, description);
}
