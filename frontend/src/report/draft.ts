/** A draft that saves itself, tells two writers of each other, and is signed. */
import type { DraftPresence, DraftSaved, ReportWords, StaleDraft } from '../api_types';
import { dispatchCaseEvent } from '../page/case_events';
import { fillPlaceholders, formatClockTime } from '../page/embedded';
import { getFragment, post, postJson, Refusal } from '../server/client';
import { bindDependentFields, showFieldErrors } from './fields';
import { KeptDraft } from './kept_draft';
import { renewLines } from './lines';
import type { Flushed } from './sign';
import { Signing } from './signing';

/** The element that a draft stands in: it shows problems, and what the server has after one is saved or signed. */
export interface DraftHost extends HTMLElement {
  readonly words: ReportWords;
  refresh(): Promise<void>;
  showProblem(problem: unknown): void;
  showNotice(text: string): void;
  hideProblem(): void;
}

const SAVE_DELAY_MS = 900;
/** Whoever signs is told after this long that the text is not with the server yet. */
const SIGN_WAIT_MS = 2500;
const PRESENCE_MS = 8000;

/** One draft in one form, from the moment that it is shown until `stop`. */
export class Draft {
  private dirty = false;
  private saving: Promise<void> | null = null;
  /** The lines of findings that are being renewed: what is shown after that is not yet saved. */
  private renewing: Promise<void> = Promise.resolve();
  private conflicting = false;
  /** The server said no to what stands there: only other words are sent. */
  private refused = false;
  private stopped = false;
  private saveTimer = 0;
  private readonly presenceTimer: number;
  private readonly words: ReportWords;
  private readonly signing: Signing;
  private readonly kept: KeptDraft;

  constructor(
    private readonly section: DraftHost,
    private readonly form: HTMLFormElement,
  ) {
    this.words = section.words;
    this.kept = new KeptDraft(form, this.words, () => this.showStatus(this.words.retrying));
    bindDependentFields(form, this.words);
    this.signing = new Signing(section, form, this.words, {
      flush: () => this.flushForSigning(),
      formData: () => this.formData(),
      signed: async (notice) => {
        this.stop();
        this.kept.forget();
        await this.section.refresh();
        this.section.showNotice(notice);
      },
      showProblem: (problem) => this.section.showProblem(problem),
    });
    form.addEventListener('input', this.onInput);
    window.addEventListener('beforeunload', this.onBeforeUnload);
    window.addEventListener('pagehide', this.onLeave);
    void this.kept.recover((keepBoth) => {
      this.markUnsaved();
      if (keepBoth) void this.save(true);
    });
    this.presenceTimer = window.setInterval(() => void this.reportPresence(), PRESENCE_MS);
  }

  /** What was written is not wanted any more. */
  discarded(): void {
    this.stop();
    this.kept.forget();
    this.signing.discarded();
  }

  /** Stop saving and watching; what is not saved stays in the form until it goes. */
  stop(): void {
    this.stopped = true;
    window.clearTimeout(this.saveTimer);
    window.clearInterval(this.presenceTimer);
    window.removeEventListener('beforeunload', this.onBeforeUnload);
    window.removeEventListener('pagehide', this.onLeave);
  }

  /** Readers decided on findings: show the lines that follow. */
  findingsChanged(): Promise<void> {
    this.renewing = this.renewing.then(() => this.renewLines());
    return this.renewing;
  }

  /** A button of the form or of its dialogs. */
  runAction(action: string, button: HTMLElement): void {
    if (action === 'sign') void this.openSigning();
    else if (action === 'show-contradictions') this.signing.showContradictions();
    else if (action === 'discard') this.dialog('discard')?.showModal();
    else if (action === 'close') button.closest('dialog')?.close();
    else if (action === 'reload') void this.reload();
    else if (action === 'keep-both') void this.save(true);
    else if (action === 'add-line') this.addLine();
    else if (action === 'show-finding') {
      dispatchCaseEvent('cad:show-finding', { finding: button.dataset['finding'] ?? '' });
    }
  }

  /** The element of the form with the attribute `data-NAME`. */
  private elementMarked<T extends HTMLElement>(name: string): T | null {
    return this.form.querySelector<T>(`[data-${name}]`);
  }

  private dialog(name: string): HTMLDialogElement | null {
    return this.section.querySelector<HTMLDialogElement>(`dialog[data-dialog="${name}"]`);
  }

  private showStatus(text: string): void {
    const place = this.elementMarked('status');
    if (place && place.textContent !== text) place.textContent = text;
  }

  private get revision(): HTMLInputElement {
    return this.form.elements.namedItem('revision') as HTMLInputElement;
  }

  private formData(): FormData {
    const body = new FormData(this.form);
    body.set('looked_at', this.signing.lookedAt);
    return body;
  }

  private readonly onInput = (): void => this.markUnsaved();

  private markUnsaved(): void {
    this.dirty = true;
    this.kept.keep();
    if (!this.conflicting && !this.saving) this.showStatus(this.words.unsaved);
    this.scheduleSave(SAVE_DELAY_MS);
  }

  private scheduleSave(delay: number): void {
    window.clearTimeout(this.saveTimer);
    if (this.stopped) return;
    this.saveTimer = window.setTimeout(() => {
      this.saveTimer = 0;
      void this.save();
    }, delay);
  }

  private async renewLines(): Promise<void> {
    await this.saveAll();
    if (this.stopped) return;
    await this.reloadLines();
    if (!this.stopped) this.markUnsaved();
  }

  /** As `saveAll`, with the lines that follow from findings decided until now. */
  private async flush(): Promise<Flushed> {
    await this.renewing;
    return (await this.saveAll()) ? 'saved' : 'refused';
  }

  /** Save until nothing is unsaved, or until saving is refused. */
  private async saveAll(): Promise<boolean> {
    window.clearTimeout(this.saveTimer);
    this.saveTimer = 0;
    if (this.saving) await this.saving;
    // Lines of findings may be renewed, and text typed, while a save is under way.
    for (let isFirst = true; this.dirty; isFirst = false) {
      if (!isFirst && (this.refused || this.conflicting || this.stopped)) break;
      await this.save();
    }
    return !this.dirty;
  }

  /** As `flush`, for so long as somebody waits for an answer. */
  private flushForSigning(): Promise<Flushed> {
    const late = new Promise<Flushed>((resolve) => window.setTimeout(() => resolve('late'), SIGN_WAIT_MS));
    return Promise.race([this.flush(), late]);
  }

  /** One save at a time: the revision of the next follows from the answer to the last. */
  private async save(keepBoth = false): Promise<void> {
    // Not while a signature is asked for: of a signed draft nothing is kept.
    await this.signing.answered;
    if (this.saving) {
      await this.saving;
      if (!keepBoth) return;
    }
    if (this.stopped || (this.conflicting && !keepBoth)) return;
    this.saving = this.sendDraft(keepBoth);
    try {
      await this.saving;
    } finally {
      this.saving = null;
    }
    const isLeft = this.dirty && !this.conflicting && !this.refused;
    if (isLeft && !this.stopped && !this.saveTimer) this.scheduleSave(SAVE_DELAY_MS);
  }

  private async sendDraft(keepBoth: boolean): Promise<void> {
    window.clearTimeout(this.saveTimer);
    this.saveTimer = 0;
    const body = this.formData();
    this.dirty = this.refused = false;
    this.showStatus(this.words.saving);
    try {
      const saved = await this.kept.send(keepBoth, this.signing.lookedAt);
      this.revision.value = String(saved.revision);
      this.form.removeAttribute('data-unsaved-lines');
      this.conflicting = false;
      this.hideMarked('conflict');
      showFieldErrors(this.form, []);
      this.hideMarked('errors');
      this.section.hideProblem();
      this.signing.saved(saved);
      if (!this.dirty) this.kept.forget();
      this.showStatus(`${this.words.saved} ${formatClockTime(saved.saved_at)}`);
      if (keepBoth) await this.showJoined(saved);
      else if (!this.keptLinesAsSent(saved.lines, body)) await this.reloadLines();
    } catch (problem) {
      this.dirty = true;
      this.failed(problem);
    }
  }

  private failed(problem: unknown): void {
    if (this.stopped) return;
    this.refused = true;
    if (problem instanceof Refusal && problem.code === 'stale_revision') {
      this.conflicting = true;
      const text = this.elementMarked('conflict-text');
      if (text) {
        const { writer, saved_at } = problem.problem as StaleDraft;
        text.textContent = fillPlaceholders(this.words.conflict, { writer, time: formatClockTime(saved_at) });
      }
      this.elementMarked('conflict')?.removeAttribute('hidden');
      this.showStatus(this.words.unsaved);
    } else if (problem instanceof Refusal && problem.problem.errors?.length) {
      this.showStatus(this.words.refused);
      showFieldErrors(this.form, problem.problem.errors);
    } else {
      this.showStatus(this.words.unsaved);
      this.section.showProblem(problem);
    }
  }

  private hideMarked(name: string): void {
    this.elementMarked(name)?.setAttribute('hidden', '');
  }

  /** Whether the server kept the lines of findings that were sent. */
  private keptLinesAsSent(kept: (string | null)[], sent: FormData): boolean {
    const own = sent
      .getAll('line_finding')
      .filter((finding): finding is string => typeof finding === 'string' && finding !== '');
    return own.join() === kept.filter((finding) => finding !== null).join();
  }

  private async reloadLines(): Promise<void> {
    try {
      const next = await getFragment(this.section.dataset['url'] ?? '', '[data-lines]');
      const shown = this.elementMarked('lines');
      if (!shown) return;
      renewLines(shown, next as HTMLElement);
      this.signing.linesRenewed();
    } catch (problem) {
      this.section.showProblem(problem);
    }
  }

  private addLine(): void {
    const template = this.form.querySelector<HTMLTemplateElement>('template[data-blank-line]');
    if (!template) return;
    const line = template.content.firstElementChild?.cloneNode(true) as HTMLElement;
    template.before(line);
    line.querySelector('textarea')?.focus();
  }

  private async reload(): Promise<void> {
    this.stop();
    this.kept.forget();
    try {
      await this.section.refresh();
    } catch (problem) {
      this.section.showProblem(problem);
    }
  }

  private async showJoined(saved: DraftSaved): Promise<void> {
    const fields = saved.chosen_theirs.join(', ');
    const message = fields ? fillPlaceholders(this.words.joined, { fields }) : '';
    await this.reload();
    const place = this.section.querySelector<HTMLElement>('[data-joined]');
    if (place && message) {
      place.textContent = message;
      place.hidden = false;
    }
  }

  private async reportPresence(): Promise<void> {
    if (this.stopped || document.hidden) return;
    try {
      const present = await postJson<DraftPresence>(this.form.dataset['presence'] ?? '', this.formData(), {
        poll: true,
      });
      const place = this.elementMarked('writers');
      if (place) {
        place.textContent = present.notice;
        place.hidden = !present.notice;
      }
      if (present.revision > Number(this.revision.value) && !this.saving && !this.kept.isOwn(present.saved_key))
        await this.showNewerRevision(present);
    } catch (problem) {
      // Discarded or signed by the other writer: show what is there now.
      if (problem instanceof Refusal && !this.dirty && !this.saving) await this.reload();
    }
  }

  /** The other writer has saved. Whoever is not writing just now simply sees it. */
  private async showNewerRevision(present: DraftPresence): Promise<void> {
    if (!this.dirty && !this.form.contains(document.activeElement)) return this.reload();
    const text = this.elementMarked('conflict-text');
    if (text)
      text.textContent = fillPlaceholders(this.words.newer, {
        writer: present.saved_by,
        time: formatClockTime(present.saved_at),
      });
    this.elementMarked('conflict')?.removeAttribute('hidden');
  }

  private async openSigning(): Promise<void> {
    // Findings were decided after the last save, before this page was loaded: their lines are shown and not yet kept.
    if (this.form.hasAttribute('data-unsaved-lines')) this.dirty = true;
    await this.signing.open();
  }

  private readonly onBeforeUnload = (event: BeforeUnloadEvent): void => {
    if (this.dirty) event.preventDefault();
  };

  private readonly onLeave = (): void => {
    const body = this.formData();
    body.set('leave', '1');
    post(this.form.dataset['presence'] ?? '', body, { keepalive: true }).catch(() => undefined);
  };
}
