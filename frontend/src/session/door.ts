/** A form of the server's that leads out of a session's trouble, within the cover: the sign-in with whatever stages it
 * has. The fields are the server's own, so that a second factor is asked for as on the page itself. */
import { type DoorAnswer, exchangeForm, NoAnswer, ServerError } from '../server/client';

const RETRY_MS = 3000;
/** What the server's form has and the cover has not: its own token, button and way on. */
const NOT_TAKEN = 'button, .cluster, [name=csrfmiddlewaretoken], [name=next]';

/** The one form of the cover. */
export class Door {
  private address = '';
  private readonly fields: HTMLElement;
  private readonly away: HTMLElement;
  private readonly button: HTMLButtonElement;
  private retry = 0;

  /**
   * @param username - Whoever it is that signs in, it is this person: the name is not asked for.
   * @param passed - A form was content; tells where the next one is, should there be one.
   */
  constructor(
    form: HTMLFormElement,
    private readonly username: string,
    private readonly passed: (next: string) => Promise<void>,
  ) {
    this.fields = form.querySelector('[data-fields]') as HTMLElement;
    this.away = form.querySelector('[data-away]') as HTMLElement;
    this.button = form.querySelector('button[type=submit]') as HTMLButtonElement;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      event.stopPropagation();
      void this.exchange(this.address, new FormData(form));
    });
  }

  /** Show the form that stands at an address; asked again until it comes. */
  open(address: string): void {
    this.fields.replaceChildren();
    void this.exchange(address);
  }

  /** Forget the form and what was typed into it. */
  close(): void {
    window.clearTimeout(this.retry);
    this.address = '';
    this.fields.replaceChildren();
  }

  private async exchange(address: string, body?: FormData): Promise<void> {
    window.clearTimeout(this.retry);
    this.address = address;
    this.button.disabled = true;
    try {
      const answer = await exchangeForm(address, body);
      if (this.address !== address) return;
      this.away.hidden = true;
      if (answer.location !== undefined) await this.passed(answer.location);
      else this.show(answer);
    } catch (problem) {
      if (this.address === address) this.failed(problem, address, body !== undefined);
    } finally {
      this.button.disabled = false;
    }
  }

  private failed(problem: unknown, address: string, wasSent: boolean): void {
    if (problem instanceof ServerError && problem.message && !(problem instanceof NoAnswer)) {
      const notice = document.createElement('p');
      notice.className = 'notice notice--danger';
      notice.setAttribute('role', 'alert');
      notice.textContent = problem.message;
      this.fields.querySelector('.notice')?.remove();
      this.fields.prepend(notice);
      return;
    }
    this.away.hidden = false;
    // A password is sent only when its owner says so.
    if (!wasSent) this.retry = window.setTimeout(() => void this.exchange(address), RETRY_MS);
  }

  private show({ html = '', address }: DoorAnswer): void {
    this.address = address;
    const page = new DOMParser().parseFromString(html, 'text/html');
    const theirs = page.querySelector('main form');
    if (!theirs) throw new NoAnswer();
    for (const element of theirs.querySelectorAll(NOT_TAKEN)) element.remove();
    // The page beneath may have fields of the same name.
    for (const attribute of ['id', 'for', 'aria-describedby'])
      for (const element of theirs.querySelectorAll(`[${attribute}]`))
        element.setAttribute(attribute, `session-${element.getAttribute(attribute) ?? ''}`);
    this.fields.replaceChildren(...theirs.children);
    const name = this.fields.querySelector<HTMLInputElement>('input[name=login]');
    if (name) {
      name.value = this.username;
      name.readOnly = true;
      name.closest<HTMLElement>('.field')?.setAttribute('hidden', '');
    }
    const inputs = [...this.fields.querySelectorAll<HTMLInputElement>('input:not([type=hidden])')];
    inputs.find((input) => input !== name)?.focus();
  }
}
