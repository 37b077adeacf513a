/** A draft that saves itself, tells two writers of each other, and is signed. */
import type { DraftPresence, DraftSaved, ProblemField, ReportWords, SigningReadiness, StaleDraft } from '../api_types';
import { tell } from '../page/case_events';
import { clock, filled } from '../page/embedded';
import { getFragment, getJson, NoAnswer, post, postJson, Refusal, SignedOut } from '../server/client';
import { checkFields, followChoices } from './fields';
import { SignDialog } from './sign';

/** The element that a draft stands in: it shows problems, and what the server has after one is saved or signed. */
export interface DraftHost extends HTMLElement {
  readonly words: ReportWords;
  refresh(): Promise<void>;
  say(problem: unknown): void;
}

const QUIET_MS = 900;
const RETRY_MS = 4000;
const PRESENCE_MS = 8000;

export class Draft {
  private dirty = false;
  private saving: Promise<void> | null = null;
  private conflicting = false;
  private stopped = false;
  private timer = 0;
  private readonly heart: number;
  private readonly words: ReportWords;

  constructor(
    private readonly section: DraftHost,
    private readonly form: HTMLFormElement,
  ) {
    this.words = section.words;
    followChoices(form, this.words);
    form.addEventListener('input', this.onInput);
    window.addEventListener('beforeunload', this.onBeforeUnload);
    window.addEventListener('pagehide', this.onLeave);
    this.heart = window.setInterval(() => void this.beat(), PRESENCE_MS);
  }

  /** Stop saving and watching; what is not saved stays in the form until it goes. */
  stop(): void {
    this.stopped = true;
    window.clearTimeout(this.timer);
    window.clearInterval(this.heart);
    window.removeEventListener('beforeunload', this.onBeforeUnload);
    window.removeEventListener('pagehide', this.onLeave);
  }

  /** Readers decided on findings: show the lines that follow. */
  async findingsChanged(): Promise<void> {
    await this.flush();
    await this.reloadLines();
    this.touch();
  }

  /** A button of the form or of its dialogs. */
  act(action: string, button: HTMLElement): void {
    if (action === 'sign') void this.openSigning();
    else if (action === 'discard') this.dialog('discard')?.showModal();
    else if (action === 'close') button.closest('dialog')?.close();
    else if (action === 'reload') void this.reload();
    else if (action === 'keep-both') void this.save(true);
    else if (action === 'add-line') this.addLine();
    else if (action === 'show-finding') {
      tell('cad:show-finding', { finding: button.dataset['finding'] ?? '' });
    }
  }

  private part<T extends HTMLElement>(name: string): T | null {
    return this.form.querySelector<T>(`[data-${name}]`);
  }

  private dialog(name: string): HTMLDialogElement | null {
    return this.section.querySelector<HTMLDialogElement>(`dialog[data-dialog="${name}"]`);
  }

  private status(text: string): void {
    const place = this.part('status');
    if (place && place.textContent !== text) place.textContent = text;
  }

  private get revision(): HTMLInputElement {
    return this.form.elements.namedItem('revision') as HTMLInputElement;
  }

  private body(): FormData {
    return new FormData(this.form);
  }

  private readonly onInput = (): void => this.touch();

  private touch(): void {
    this.dirty = true;
    if (!this.conflicting) this.status(this.words.unsaved);
    this.schedule(QUIET_MS);
  }

  private schedule(delay: number): void {
    window.clearTimeout(this.timer);
    if (!this.stopped) this.timer = window.setTimeout(() => void this.save(), delay);
  }

  /** Save until nothing is unsaved, or until saving is refused. */
  private async flush(): Promise<boolean> {
    window.clearTimeout(this.timer);
    if (this.saving) await this.saving;
    if (this.dirty) await this.save();
    return !this.dirty;
  }

  /** One save at a time: the revision of the next follows from the answer to the last. */
  private async save(keepBoth = false): Promise<void> {
    if (this.saving) {
      await this.saving;
      if (!keepBoth) return;
    }
    if (this.stopped || (this.conflicting && !keepBoth)) return;
    this.saving = this.send(keepBoth);
    try {
      await this.saving;
    } finally {
      this.saving = null;
    }
    if (this.dirty && !this.conflicting && !this.stopped && !this.timer) this.schedule(QUIET_MS);
  }

  private async send(keepBoth: boolean): Promise<void> {
    window.clearTimeout(this.timer);
    this.timer = 0;
    const body = this.body();
    if (keepBoth) body.set('keep_both', '1');
    this.dirty = false;
    this.status(this.words.saving);
    try {
      const saved = await postJson<DraftSaved>(this.form.dataset['save'] ?? '', body);
      this.revision.value = String(saved.revision);
      this.form.removeAttribute('data-unsaved-lines');
      this.conflicting = false;
      this.hide('conflict');
      checkFields(this.form, []);
      this.hide('errors');
      this.status(`${this.words.saved} ${clock(saved.saved_at)}`);
      if (keepBoth) await this.showJoined(saved);
      else if (!this.sameLines(saved.lines, body)) await this.reloadLines();
    } catch (problem) {
      this.dirty = true;
      this.failed(problem);
    }
  }

  private failed(problem: unknown): void {
    if (problem instanceof Refusal && problem.code === 'stale_revision') {
      this.conflicting = true;
      const text = this.part('conflict-text');
      if (text) {
        const { writer, saved_at } = problem.problem as StaleDraft;
        text.textContent = filled(this.words.conflict, { writer, time: clock(saved_at) });
      }
      this.part('conflict')?.removeAttribute('hidden');
      this.status(this.words.unsaved);
    } else if (problem instanceof Refusal && problem.problem.errors?.length) {
      this.status(this.words.refused);
      checkFields(this.form, problem.problem.errors);
    } else if (problem instanceof NoAnswer) {
      this.status(this.words.retrying);
      this.schedule(RETRY_MS);
    } else {
      this.status(this.words.unsaved);
      this.section.say(problem);
      if (problem instanceof SignedOut) this.schedule(RETRY_MS);
    }
  }

  private hide(name: string): void {
    this.part(name)?.setAttribute('hidden', '');
  }

  /** Whether the server kept the lines of findings that were sent. */
  private sameLines(kept: (string | null)[], sent: FormData): boolean {
    const own = sent
      .getAll('line_finding')
      .filter((finding): finding is string => typeof finding === 'string' && finding !== '');
    return own.join() === kept.filter((finding) => finding !== null).join();
  }

  private async reloadLines(): Promise<void> {
    const current = this.part('lines');
    if (!current) return;
    try {
      const next = await getFragment(this.section.dataset['url'] ?? '', '[data-lines]');
      const written = new Map<string, string>();
      for (const [finding, text] of this.lines()) written.set(finding, text);
      for (const line of next.querySelectorAll<HTMLElement>('[data-line]')) {
        const finding = line.querySelector<HTMLInputElement>('[name="line_finding"]')?.value ?? '';
        const area = line.querySelector('textarea');
        if (area && finding && written.has(finding)) area.value = written.get(finding) ?? '';
      }
      current.replaceWith(next);
    } catch (problem) {
      this.section.say(problem);
    }
  }

  private *lines(): Iterable<[string, string]> {
    for (const line of this.form.querySelectorAll<HTMLElement>('[data-line]')) {
      const finding = line.querySelector<HTMLInputElement>('[name="line_finding"]')?.value ?? '';
      yield [finding, line.querySelector('textarea')?.value ?? ''];
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
    try {
      await this.section.refresh();
    } catch (problem) {
      this.section.say(problem);
    }
  }

  private async showJoined(saved: DraftSaved): Promise<void> {
    const fields = saved.chosen_theirs.join(', ');
    const message = fields ? filled(this.words.joined, { fields }) : '';
    await this.reload();
    const place = this.section.querySelector<HTMLElement>('[data-joined]');
    if (place && message) {
      place.textContent = message;
      place.hidden = false;
    }
  }

  private async beat(): Promise<void> {
    if (this.stopped || document.hidden) return;
    try {
      const present = await postJson<DraftPresence>(this.form.dataset['presence'] ?? '', this.body());
      const place = this.part('writers');
      if (place) {
        place.textContent = present.notice;
        place.hidden = !present.notice;
      }
      if (present.revision > Number(this.revision.value) && !this.saving) await this.newer(present);
    } catch (problem) {
      // Discarded or signed by the other writer: show what is there now.
      if (problem instanceof Refusal && !this.dirty) await this.reload();
    }
  }

  /** The other writer has saved. Whoever is not writing just now simply sees it. */
  private async newer(present: DraftPresence): Promise<void> {
    if (!this.dirty && !this.form.contains(document.activeElement)) return this.reload();
    const text = this.part('conflict-text');
    if (text) text.textContent = filled(this.words.newer, { writer: present.saved_by, time: clock(present.saved_at) });
    this.part('conflict')?.removeAttribute('hidden');
  }

  private async openSigning(): Promise<void> {
    const dialog = this.dialog('sign');
    // Findings were decided after the last save, before this page was loaded: their lines are shown and not yet kept.
    if (this.form.hasAttribute('data-unsaved-lines')) this.dirty = true;
    if (!dialog || !(await this.flush())) return;
    try {
      const ready = await getJson<SigningReadiness>(this.form.dataset['readiness'] ?? '');
      checkFields(this.form, ready.errors);
      const place = this.part('errors');
      if (ready.errors.length && place) {
        this.listErrors(place, ready.errors);
        return;
      }
      this.hide('errors');
      new SignDialog(
        dialog,
        this.form.dataset['sign'] ?? '',
        this.words,
        () => this.body(),
        async () => {
          this.stop();
          await this.section.refresh();
        },
      ).open(ready.warnings);
    } catch (problem) {
      this.section.say(problem);
    }
  }

  private listErrors(place: HTMLElement, errors: ProblemField[]): void {
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

  private readonly onBeforeUnload = (event: BeforeUnloadEvent): void => {
    if (this.dirty) event.preventDefault();
  };

  private readonly onLeave = (): void => {
    const body = this.body();
    body.set('leave', '1');
    post(this.form.dataset['presence'] ?? '', body, { keepalive: true }).catch(() => undefined);
  };
}
