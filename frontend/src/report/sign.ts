/** The dialog that shows what is signed and asks for the password once more. */
import type { ReportContradiction, ReportSigned, ReportWords, ShownToSigner, SigningReadiness } from '../api_types';
import { postJson, Refusal } from '../server/client';
import { contradictionItem, element } from './contradictions';

/** Refusals after which the dialog shows what stands now. */
const CHANGED = ['shown_changed', 'case_changed', 'contradiction', 'stale_revision', 'findings_changed'];

/** What a draft lends the dialog. */
interface Signed {
  readonly url: string;
  readonly words: ReportWords;
  formData(): FormData;
  readiness(): Promise<SigningReadiness | null>;
  onSigned(): Promise<void>;
}

/** One signing of a draft: shows who and what it is of, what is signed under, sends the password, says why it failed. */
export class SignDialog {
  private readonly form: HTMLFormElement;
  private readonly password: HTMLInputElement;
  private readonly error: HTMLElement;
  private digest = '';
  /** What was typed outlives a closed dialog, by the contradiction's key. */
  private readonly reasons = new Map<string, string>();

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
    this.form.addEventListener('input', (event) => {
      const area = event.target;
      if (area instanceof HTMLTextAreaElement) this.reasons.set(area.dataset['key'] ?? '', area.value);
    });
    dialog.addEventListener('close', () => (this.password.value = ''));
  }

  /** Show what is to be signed, and ask. */
  open(ready: SigningReadiness): void {
    this.draw(ready);
    this.showError('');
    this.password.value = '';
    if (!this.dialog.open) this.dialog.showModal();
    (this.form.querySelector<HTMLElement>('[data-overridden] textarea') ?? this.password).focus();
  }

  private draw(ready: SigningReadiness): void {
    this.digest = ready.digest;
    this.part('who').replaceChildren(...facts([...ready.shown.patient, ...ready.shown.study]));
    this.part('decision').replaceChildren(...decision(ready.shown));
    const stops = ready.contradictions.filter((each) => each.severity === 'stop');
    const overridden = this.part('overridden');
    overridden.hidden = stops.length === 0;
    overridden.replaceChildren(...stops.map((each) => this.overridden(each)));
    const warnings = ready.contradictions.filter((each) => each.severity === 'warning');
    const list = this.part('warnings');
    list.hidden = warnings.length === 0;
    list.replaceChildren(...warnings.map((each) => element('li', '', each.sentence)));
  }

  private part(name: string): HTMLElement {
    return this.form.querySelector<HTMLElement>(`[data-${name}]`) as HTMLElement;
  }

  private overridden(found: ReportContradiction): HTMLElement {
    const item = contradictionItem(found, this.draft.words);
    const label = element('label', 'field__label', this.draft.words.reason);
    const area = element('textarea', 'textarea');
    area.name = `reason_${found.key}`;
    area.id = label.htmlFor = `sign-${area.name}`;
    area.dataset['key'] = found.key;
    area.required = true;
    area.maxLength = 500;
    area.rows = 2;
    area.value = this.reasons.get(found.key) ?? '';
    item.append(label, area);
    return item;
  }

  private showError(text: string): void {
    this.error.textContent = text;
    if (text) this.password.setAttribute('aria-invalid', 'true');
    else this.password.removeAttribute('aria-invalid');
  }

  private async submit(): Promise<void> {
    const button = this.form.querySelector<HTMLButtonElement>('.button--primary');
    const label = button?.textContent ?? '';
    const body = this.draft.formData();
    body.set('password', this.password.value);
    body.set('shown', this.digest);
    for (const area of this.form.querySelectorAll<HTMLTextAreaElement>('[data-overridden] textarea'))
      body.set(area.name, area.value);
    if (button) {
      button.disabled = true;
      button.textContent = this.draft.words.signing;
    }
    this.showError('');
    try {
      await postJson<ReportSigned>(this.draft.url, body);
      this.dialog.close();
      await this.draft.onSigned();
    } catch (problem) {
      await this.refused(problem);
    } finally {
      if (button) {
        button.disabled = false;
        button.textContent = label;
      }
    }
  }

  /** Say why; where something changed, show it before the password is asked for again. */
  private async refused(problem: unknown): Promise<void> {
    if (problem instanceof Refusal && CHANGED.includes(problem.code)) {
      const ready = await this.draft.readiness();
      if (!ready) {
        this.dialog.close();
        return;
      }
      this.draw(ready);
    }
    this.showError(problem instanceof Refusal ? problem.message : this.draft.words.failed);
    this.password.value = '';
    this.password.focus();
  }
}

function facts(pairs: readonly (readonly string[])[]): HTMLElement[] {
  return pairs.map(([name, value]) => {
    const pair = element('div', 'sign__pair');
    pair.append(element('dt', '', name), element('dd', '', value));
    return pair;
  });
}

function decision(shown: ShownToSigner): HTMLElement[] {
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
  if (shown.recommendation) parts.push(element('p', 'sign__recommendation', shown.recommendation));
  return parts;
}
