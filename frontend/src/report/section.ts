/** `<report-section>`: shows what the server sends and keeps it current. The words come with the markup. */
import type { ReportWords } from '../api_types';
import { onCaseEvent } from '../page/case_events';
import { embeddedJson } from '../page/embedded';
import { getFragment, Refusal } from '../server/client';
import { Draft, type DraftHost } from './draft';
import { showStrayTexts } from './kept_draft';

/** Refusals that say that the draft is one no longer. */
const OVER = ['signed', 'not_found'];

/** The element of a report: replaces what is in it and keeps at most one draft alive. */
export class ReportSection extends HTMLElement implements DraftHost {
  private draft: Draft | null = null;
  private stopListening = (): void => undefined;

  connectedCallback(): void {
    this.addEventListener('submit', this.onSubmit);
    this.addEventListener('click', this.onClick);
    this.addEventListener('toggle', this.onToggle, true);
    this.stopListening = onCaseEvent('cad:findings-changed', () => void this.draft?.findingsChanged());
    this.start();
  }

  disconnectedCallback(): void {
    this.stopListening();
    this.draft?.stop();
    this.draft = null;
  }

  get words(): ReportWords {
    return embeddedJson<ReportWords>('report-words') as ReportWords;
  }

  /** Load the section anew, for instance after signing. */
  async refresh(): Promise<void> {
    this.replace(await getFragment(this.dataset['url'] ?? '', 'report-section'));
  }

  /** Say what went wrong, at the top of the section. */
  showProblem(problem: unknown): void {
    const place = this.querySelector<HTMLElement>('[data-problem]');
    if (!place) return;
    if (problem instanceof Refusal) place.textContent = problem.message;
    else place.textContent = this.words.failed;
    place.hidden = false;
    place.scrollIntoView({ block: 'nearest' });
  }

  /** Say what is good to know, in the place of problems. */
  showNotice(text: string): void {
    const place = this.querySelector<HTMLElement>('[data-notice]');
    if (!place) return;
    place.textContent = text;
    place.hidden = text === '';
  }

  /** What was wrong has passed. */
  hideProblem(): void {
    this.querySelector('[data-problem]')?.setAttribute('hidden', '');
  }

  private replace(next: Element): void {
    this.draft?.stop();
    this.draft = null;
    this.replaceChildren(...next.childNodes);
    this.start();
  }

  private start(): void {
    const form = this.querySelector<HTMLFormElement>('form[data-draft]');
    if (form) this.draft = new Draft(this, form);
    void showStrayTexts(this, this.words);
  }

  private readonly onSubmit = (event: SubmitEvent): void => {
    const form = event.target as HTMLFormElement;
    if (form.matches('form[data-draft]')) event.preventDefault(); // Enter in a line saves by itself
    if (!form.hasAttribute('data-replaces')) return;
    event.preventDefault();
    getFragment(form.action, 'report-section', { body: new FormData(form) }).then(
      (next) => {
        this.draft?.discarded();
        this.replace(next);
        this.querySelector<HTMLElement>('form[data-draft] textarea, form[data-replaces] button')?.focus();
      },
      (problem: unknown) => void this.notReplaced(problem),
    );
  };

  /** Of a draft that a colleague signed or discarded meanwhile, or a request whose answer was lost, what stands now is
   * shown; text that is kept here stands beside it. */
  private async notReplaced(problem: unknown): Promise<void> {
    if (problem instanceof Refusal && OVER.includes(problem.code)) await this.refresh().catch(() => undefined);
    this.showProblem(problem);
  }

  private readonly onClick = (event: MouseEvent): void => {
    const button = (event.target as Element).closest<HTMLElement>('[data-action]');
    if (button) this.draft?.runAction(button.dataset['action'] ?? '', button);
  };

  private readonly onToggle = (event: Event): void => {
    const details = event.target as HTMLDetailsElement;
    const url = details.dataset['loads'];
    if (!url || !details.open) return;
    getFragment(url, 'table').then(
      (table) => details.querySelector('[data-loaded]')?.replaceChildren(table),
      (problem: unknown) => this.showProblem(problem),
    );
  };
}
