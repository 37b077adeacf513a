/** The dialog that shows what is signed and asks for the password once more. */
import type { ReportContradiction, ReportSigned, ReportWords, ShownToSigner, SigningReadiness } from '../api_types';
import { fillPlaceholders, formatClockTime } from '../page/embedded';
import { postJson, Refusal } from '../server/client';
import { isAway, onConnectionChange } from '../server/connection';
import { newKey } from '../server/request_key';
import { contradictionItem, element } from './contradictions';
import type { KeptReasons } from './kept_reasons';

/** Refusals after which the dialog shows what stands now. */
const CHANGED = ['shown_changed', 'case_changed', 'contradiction', 'stale_revision', 'findings_changed'];

/** Key images are drawn and the PDF is made: a signature may take this long. */
const SIGN_TIMEOUT_MS = 45_000;

/** What became of what was unsaved: `late` is on its way for longer than somebody is left without a word. */
export type Flushed = 'saved' | 'refused' | 'late';

/** What a draft lends the dialog. */
interface Signed {
  readonly url: string;
  readonly words: ReportWords;
  readonly reasons: KeptReasons;
  formData(): FormData;
  flush(): Promise<Flushed>;
  readiness(): Promise<SigningReadiness | null>;
  /** Whether the server has it signed; null where it does not say. */
  isSigned(): Promise<boolean | null>;
  /** @param notice - What its signer is to know besides. */
  onSigned(notice: string): Promise<void>;
}

/** One signing of a draft: shows who and what it is of, what is signed under, sends the password, says why it failed. */
export class SignDialog {
  private readonly form: HTMLFormElement;
  private readonly password: HTMLInputElement;
  private readonly error: HTMLElement;
  private digest = '';
  /** Until the server has answered to the signature that is asked for. */
  answered: Promise<void> = Promise.resolve();
  /** Names the signature: asked for again, because its answer got lost, it is not given twice. */
  private readonly key = newKey();
  /** Somebody who would sign was told that not all is saved. */
  private isUnsaved = false;
  /** The server was asked to sign and did not answer. */
  private isUnsure = false;

  constructor(
    private readonly dialog: HTMLDialogElement,
    private readonly draft: Signed,
  ) {
    this.form = dialog.querySelector('form[data-sign-form]') as HTMLFormElement;
    this.password = this.form.elements.namedItem('password') as HTMLInputElement;
    this.error = this.form.querySelector('[data-sign-error]') as HTMLElement;
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.submit();
    });
    this.form.addEventListener('input', ({ target }) => {
      if (!(target instanceof HTMLTextAreaElement)) return;
      const { key = '', rule = '' } = target.dataset;
      draft.reasons.set({ key, rule }, target.value);
    });
    dialog.addEventListener('close', () => (this.password.value = ''));
    onConnectionChange(() => {
      if (this.isUnsure && !isAway() && dialog.isConnected) void this.lookWhetherSigned();
    });
  }

  /** Show what is to be signed, and ask. */
  async open(ready: SigningReadiness): Promise<void> {
    await this.draft.reasons.loaded;
    this.draw(ready);
    this.showError('');
    this.password.value = '';
    // The draft may have been signed or discarded by somebody else, and its page renewed, since this was asked for.
    if (!this.dialog.isConnected) return;
    if (!this.dialog.open) this.dialog.showModal();
    (this.form.querySelector<HTMLElement>('[data-overridden] textarea') ?? this.password).focus();
  }

  /** All is saved: it may be signed now. */
  saved(): void {
    if (this.isUnsaved) this.showError('');
  }

  private draw(ready: SigningReadiness): void {
    this.digest = ready.digest;
    this.part('who').replaceChildren(...facts([...ready.shown.patient, ...ready.shown.study]));
    this.part('decision').replaceChildren(...decision(ready.shown, this.draft.words));
    const stops = ready.contradictions.filter((each) => each.severity === 'stop');
    const overridden = this.part('overridden');
    overridden.hidden = stops.length === 0;
    overridden.replaceChildren(...stops.map((each) => this.overridden(each, stops)));
    const warnings = ready.contradictions.filter((each) => each.severity === 'warning');
    const list = this.part('warnings');
    list.hidden = warnings.length === 0;
    list.replaceChildren(...warnings.map((each) => element('li', '', each.sentence)));
  }

  private part(name: string): HTMLElement {
    return this.form.querySelector<HTMLElement>(`[data-${name}]`) as HTMLElement;
  }

  private overridden(found: ReportContradiction, stops: ReportContradiction[]): HTMLElement {
    const { reasons, words } = this.draft;
    const item = contradictionItem(found, this.draft.words);
    const label = element('label', 'field__label', this.draft.words.reason);
    const area = element('textarea', 'textarea');
    area.name = `reason_${found.key}`;
    area.id = label.htmlFor = `sign-${area.name}`;
    area.dataset['key'] = found.key;
    area.dataset['rule'] = found.rule;
    area.required = true;
    area.maxLength = 500;
    area.rows = 2;
    area.value = reasons.get(found);
    item.append(label, area);
    const time = formatClockTime(new Date(reasons.keptAt).toISOString());
    if (reasons.keptAt && area.value)
      item.append(element('p', 'small soft', fillPlaceholders(words.reason_again, { time })));
    for (const text of reasons.earlier(found, stops))
      item.append(element('p', 'small soft signed__text', fillPlaceholders(words.reason_earlier, { text })));
    return item;
  }

  private showError(text: string, isUnsaved = false): void {
    this.isUnsaved = isUnsaved;
    this.error.textContent = text;
    if (text) this.password.setAttribute('aria-invalid', 'true');
    else this.password.removeAttribute('aria-invalid');
  }

  private async submit(): Promise<void> {
    const button = this.form.querySelector<HTMLButtonElement>('.button--primary');
    const label = button?.textContent ?? '';
    if (button) {
      button.disabled = true;
      button.textContent = this.draft.words.signing;
    }
    this.showError('');
    try {
      // Findings may have been decided, and their lines renewed, since the dialog was opened.
      if ((await this.draft.flush()) === 'saved') await (this.answered = this.ask());
      else this.showError(this.draft.words.not_signed_yet, true);
    } finally {
      if (button) {
        button.disabled = false;
        button.textContent = label;
      }
    }
  }

  /** Ask the server to sign; what is signed, or why it is not, is shown by then. */
  private async ask(): Promise<void> {
    const body = this.draft.formData();
    body.set('request_key', this.key);
    body.set('password', this.password.value);
    body.set('shown', this.digest);
    for (const area of this.form.querySelectorAll<HTMLTextAreaElement>('[data-overridden] textarea'))
      body.set(area.name, area.value);
    try {
      const signed = await postJson<ReportSigned>(this.draft.url, body, { timeout: SIGN_TIMEOUT_MS });
      await this.signed(signed.before ? this.draft.words.signed_before : '');
    } catch (problem) {
      await this.refused(problem);
    }
  }

  private async signed(notice: string): Promise<void> {
    this.isUnsure = false;
    this.dialog.close();
    await this.draft.onSigned(notice);
  }

  /** After an answer that got lost: show what is signed, or say that it is not. */
  private async lookWhetherSigned(): Promise<void> {
    const isSigned = await this.draft.isSigned();
    if (isSigned) return this.signed(this.draft.words.signed_lost);
    this.isUnsure = isSigned === null;
    this.showError(this.isUnsure ? this.draft.words.sign_unsure : this.draft.words.failed);
  }

  /** Say why; where something changed, show it before the password is asked for again. */
  private async refused(problem: unknown): Promise<void> {
    if (problem instanceof Refusal && problem.code === 'signed') return this.signed(this.draft.words.signed_before);
    if (problem instanceof Refusal && CHANGED.includes(problem.code)) {
      const ready = await this.draft.readiness();
      if (!ready) {
        this.dialog.close();
        return;
      }
      this.draw(ready);
    }
    this.password.value = '';
    this.password.focus();
    if (problem instanceof Refusal) this.showError(problem.message);
    else await this.lookWhetherSigned();
  }
}

function facts(pairs: readonly (readonly string[])[]): HTMLElement[] {
  return pairs.map(([name, value]) => {
    const pair = element('div', 'sign__pair');
    pair.append(element('dt', '', name), element('dd', '', value));
    return pair;
  });
}

function decision(shown: ShownToSigner, words: ReportWords): HTMLElement[] {
  const categories = element('div', 'sign__categories');
  for (const each of shown.categories) {
    const category = element('p', 'sign__category');
    category.append(
      element('span', 'sign__of', each.of),
      element('strong', 'sign__number', each.before ? `${each.before} → ${each.category}` : each.category),
      element('span', 'sign__words', each.words),
    );
    categories.append(category);
  }
  const parts: HTMLElement[] = shown.categories.length ? [categories] : [];
  if (shown.facts.length) {
    const list = element('dl', 'sign__facts');
    list.append(...facts(shown.facts));
    parts.push(list);
  }
  if (shown.recommendation) {
    const recommendation = element('dl', 'sign__recommendation');
    recommendation.append(...facts([[words.recommendation, shown.recommendation]]));
    parts.push(recommendation);
  }
  return parts;
}
