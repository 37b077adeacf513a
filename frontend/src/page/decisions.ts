/** Decisions on findings and findings of the reader's own, on their way: sent by the journal, shown at once on the list
 * as what they are, kept here and not there yet. */
import htmx from 'htmx.org';
import type { CaseChanged, CaseWords } from '../api_types';
import { keptSendings, type Kept, onKeptChange, onSent, send } from '../journal/outgoing';
import { newKey } from '../server/request_key';
import { fillPlaceholders } from './embedded';

type Verdict = 'accepted' | 'edited' | 'rejected' | 'undecided';

/** What the panel does at each step of a decision. */
interface Steps {
  /** It is kept and on its way. */
  onDecided: (form: HTMLFormElement) => void;
  /** The server has it, and the list shows it. */
  onStored: (added: boolean) => void;
}

/** All forms marked `data-decision`, in the list and beside it. */
export class Decisions {
  constructor(
    private readonly live: HTMLElement,
    private readonly study: string,
    private readonly words: CaseWords,
    private readonly steps: Steps,
  ) {
    document.addEventListener('submit', (event) => {
      const form = event.target;
      if (!(form instanceof HTMLFormElement) || !form.hasAttribute('data-decision')) return;
      event.preventDefault();
      this.decide(form);
    });
    onKeptChange(() => this.showPending());
    onSent((sending, answer) => {
      if (sending.study === study && isOfCase(answer)) this.showStored(answer, sending.fields['verdict'] === undefined);
    });
    this.showPending();
  }

  /** Of a finding, whether something that was decided is not with the server yet. */
  isPending(finding: string): boolean {
    return this.pending().some(({ about }) => about === finding);
  }

  /** Show on whatever list is there now what is not with the server yet. */
  showPending(): void {
    for (const note of this.live.querySelectorAll('.pending')) note.remove();
    for (const item of this.live.querySelectorAll<HTMLElement>('.finding--pending')) {
      item.classList.remove('finding--pending');
      for (const button of item.querySelectorAll<HTMLButtonElement>('[data-action]')) button.disabled = false;
    }
    for (const kept of this.pending()) this.showOne(kept);
  }

  private pending(): Kept[] {
    return keptSendings().filter(
      ({ study, about, refused }) => study === this.study && about !== undefined && refused === undefined,
    );
  }

  private showOne({ about, words, fields }: Kept): void {
    const note = document.createElement(about ? 'p' : 'li');
    note.className = 'pending small';
    note.textContent = `${words} · ${this.words.sending}`;
    const item = about ? this.live.querySelector<HTMLElement>(`[data-finding="${about}"]`) : null;
    if (!about) this.live.querySelector('.findings')?.append(note);
    if (!item) return;
    item.classList.add('finding--pending');
    item.append(note);
    // The same once more would be a second decision; another one follows the first.
    const same = { accepted: 'accept', edited: '', rejected: 'reject', undecided: 'undo' }[
      fields['verdict'] as Verdict
    ];
    const button = same ? item.querySelector<HTMLButtonElement>(`[data-action=${same}]`) : null;
    if (button) button.disabled = true;
  }

  private decide(form: HTMLFormElement): void {
    const fields: Record<string, string> = {};
    for (const [name, value] of new FormData(form))
      if (name !== 'csrfmiddlewaretoken' && typeof value === 'string') fields[name] = value;
    const isNew = form.action.endsWith('/add');
    const item = isNew ? null : this.itemOf(form);
    if (isNew) delete fields['verdict'];
    else fields['seen'] = item?.dataset['decided'] ?? '';
    send<CaseChanged>({
      key: newKey(),
      study: this.study,
      about: item?.dataset['finding'] ?? '',
      address: form.action,
      fields,
      words: this.wordsOf(fields, item, form),
    }).catch(() => undefined); // the banner keeps it and says why
    this.steps.onDecided(form);
  }

  /** The finding that a form decides on. */
  private itemOf(form: HTMLFormElement): HTMLElement | null {
    const id = /findings\/([0-9a-f-]{36})\//.exec(form.action)?.[1] ?? '';
    return this.live.querySelector<HTMLElement>(`[data-finding="${id}"]`);
  }

  private wordsOf(fields: Record<string, string>, item: HTMLElement | null, form: HTMLFormElement): string {
    const verdict = fields['verdict'] as Verdict | undefined;
    const label = form.querySelector<HTMLSelectElement>('select[name=label]')?.selectedOptions[0]?.text ?? '';
    if (verdict === undefined) return fillPlaceholders(this.words.added, { label });
    const number = item?.dataset['number'] ?? '';
    const reason = fields['reason'] ? ` (${fields['reason']})` : '';
    return fillPlaceholders(this.words[verdict], { number }) + reason;
  }

  /** Show what the server has now; an older answer to the page's own asking must not come after it. */
  private showStored(answer: CaseChanged, added: boolean): void {
    htmx.trigger(this.live, 'htmx:abort', {});
    htmx.swap(
      this.live,
      answer.live,
      { swapStyle: 'innerHTML', swapDelay: 0, settleDelay: 0 },
      { eventInfo: { target: this.live } },
    );
    this.steps.onStored(added);
  }
}

const isOfCase = (answer: unknown): answer is CaseChanged =>
  typeof answer === 'object' && answer !== null && 'live' in answer;
