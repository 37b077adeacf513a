/** What stands between a draft and a signature: what is missing, in what it contradicts itself, and the dialog. */
import type { DraftSaved, ProblemField, ReportWords, SigningReadiness } from '../api_types';
import { getJson, Refusal } from '../server/client';
import { Contradictions } from './contradictions';
import { showFieldErrors } from './fields';
import { KeptReasons } from './kept_reasons';
import { SignDialog, type Flushed } from './sign';

/** What a draft lends its signing. */
interface SignedDraft {
  /** Save what is unsaved. Whoever asked says that it was refused or is late, where it was asked. */
  flush(): Promise<Flushed>;
  formData(): FormData;
  /** @param notice - What its signer is to know besides. */
  signed(notice: string): Promise<void>;
  showProblem(problem: unknown): void;
}

/** The signing of the draft in one form. `section` remembers when its page was last looked at as a whole. */
export class Signing {
  private readonly contradictions: Contradictions;
  private readonly dialog: SignDialog | null;
  private readonly reasons: KeptReasons;
  /** Somebody has asked to sign and waits until all is saved; aborted as soon as they turn to something else. */
  private waiting: AbortController | null = null;

  constructor(
    private readonly section: HTMLElement,
    private readonly form: HTMLFormElement,
    private readonly words: ReportWords,
    private readonly draft: SignedDraft,
  ) {
    this.contradictions = new Contradictions(form, words, (moment) => {
      section.dataset['lookedAt'] = moment;
      void this.refresh();
    });
    this.reasons = new KeptReasons(form, words.text_of_reasons);
    const dialog = section.querySelector<HTMLDialogElement>('dialog[data-dialog="sign"]');
    this.dialog = dialog
      ? new SignDialog(dialog, {
          url: form.dataset['sign'] ?? '',
          words,
          formData: () => draft.formData(),
          flush: () => draft.flush(),
          reasons: this.reasons,
          readiness: () => this.readiness(),
          isSigned: () => this.isSigned(),
          onSigned: (notice) => {
            this.reasons.forget();
            return draft.signed(notice);
          },
        })
      : null;
    void this.refresh();
  }

  /** When the page was last looked at with everything of the case that stood then. */
  get lookedAt(): string {
    return this.section.dataset['lookedAt'] ?? '';
  }

  /** Until the server has answered to a signature that is asked for; at once where none is. */
  get answered(): Promise<void> {
    return this.dialog?.answered ?? Promise.resolve();
  }

  /** Tell what a save found. */
  saved(answer: DraftSaved): void {
    this.contradictions.show(answer.contradictions, answer.looked_at);
    this.dialog?.saved();
    if (this.waiting) void this.open();
  }

  /** Tell again where the contradictions stand, after the lines were replaced. */
  linesRenewed(): void {
    this.contradictions.outline();
  }

  /** Ask anew, of what is saved. */
  async refresh(): Promise<void> {
    try {
      const ready = await this.ask();
      this.contradictions.show(ready.contradictions, ready.looked_at);
    } catch {
      // The next save tells.
    }
  }

  /** Go to what contradicts. */
  showContradictions(): void {
    this.contradictions.focus();
  }

  /** Show the dialog, or what must be done before; where a save takes long, as soon as it is done. */
  async open(): Promise<void> {
    if (!this.dialog) return;
    this.waiting?.abort();
    const flushed = await this.draft.flush();
    if (flushed === 'saved') {
      const ready = await this.readiness();
      if (ready) await this.dialog.open(ready);
    } else {
      if (flushed === 'late') this.wait();
      const { not_signed_yet, signed_once_saved } = this.words;
      this.draft.showProblem(new Refusal({ detail: flushed === 'late' ? signed_once_saved : not_signed_yet }));
    }
  }

  private wait(): void {
    const waiting = (this.waiting = new AbortController());
    const { signal } = waiting;
    signal.addEventListener('abort', () => (this.waiting = null));
    for (const type of ['pointerdown', 'keydown'])
      document.addEventListener(type, () => waiting.abort(), { capture: true, signal });
  }

  /** What was written is not wanted any more. */
  discarded(): void {
    this.reasons.forget();
  }

  /** What the dialog is to show; none where something must be mended first, which is then shown on the page. */
  private async readiness(): Promise<SigningReadiness | null> {
    try {
      const ready = await this.ask();
      this.contradictions.show(ready.contradictions, ready.looked_at);
      showFieldErrors(this.form, ready.errors);
      if (ready.errors.length) {
        this.listErrors(ready.errors);
        return null;
      }
      const place = this.form.querySelector<HTMLElement>('[data-errors]');
      if (place) place.hidden = true;
      if (ready.contradictions.some((each) => each.severity === 'stop' && !each.may_be_overridden)) {
        this.contradictions.focus();
        return null;
      }
      return ready;
    } catch (problem) {
      this.draft.showProblem(problem);
      return null;
    }
  }

  private async isSigned(): Promise<boolean | null> {
    try {
      await this.ask();
      return false;
    } catch (problem) {
      return problem instanceof Refusal && problem.code === 'signed' ? true : null;
    }
  }

  private ask(): Promise<SigningReadiness> {
    const asked = new URLSearchParams({ looked_at: this.lookedAt });
    return getJson<SigningReadiness>(`${this.form.dataset['readiness'] ?? ''}?${asked.toString()}`);
  }

  private listErrors(errors: ProblemField[]): void {
    const place = this.form.querySelector<HTMLElement>('[data-errors]');
    if (!place) return;
    const title = document.createElement('p');
    title.textContent = this.words.incomplete;
    const list = document.createElement('ul');
    for (const error of errors) {
      const link = document.createElement('a');
      link.href = `#report-${error.field ?? ''}`;
      link.textContent = error.reason;
      link.addEventListener('click', (event) => {
        event.preventDefault();
        (this.form.elements.namedItem(error.field ?? '') as HTMLElement | null)?.focus();
      });
      const item = document.createElement('li');
      item.append(link);
      list.append(item);
    }
    place.replaceChildren(title, list);
    place.hidden = false;
    place.focus();
  }
}
