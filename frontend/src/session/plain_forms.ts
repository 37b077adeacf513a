/** Forms that the browser itself sends, in place of a script: a page follows, so that what was typed would go with a
 * session that has ended. They wait for its renewal like everything else, and name whose page they are of. */
import { csrfToken } from '../server/client';
import { forgetRequest, nameRequest, setHidden } from '../server/request_key';
import { whenSignedIn } from './session';

const TOKEN = 'input[name=csrfmiddlewaretoken]';
const PAGE_USER = 'page_user';
/** A second press so soon is the same. */
const SAME_PRESS_MS = 1500;

/** Give every form of the page the CSRF token of now. */
export function takeUpToken(): void {
  for (const input of document.querySelectorAll<HTMLInputElement>(TOKEN)) input.value = csrfToken();
}

/**
 * From now on, let plain forms wait until their person is signed in.
 *
 * @param check - Asks the server who is signed in now; where it is away, the browser's own page says so.
 */
export function bindPlainForms(user: string, check: () => Promise<void>): void {
  const ready = new WeakSet<HTMLFormElement>();
  const sending = new WeakSet<HTMLFormElement>();
  // Come back to, a page may be sent anew: what its forms sent before was another request.
  window.addEventListener('pageshow', ({ persisted }) => {
    if (persisted) document.querySelectorAll('form').forEach(forgetRequest);
  });
  // On the window: whatever script sends a form has its turn first, and is not followed by the form once more.
  window.addEventListener('submit', (event) => {
    const form = event.target;
    if (event.defaultPrevented || !(form instanceof HTMLFormElement) || form.method !== 'post') return;
    const { submitter } = event;
    if (ready.delete(form)) return;
    event.preventDefault();
    if (sending.has(form)) return;
    sending.add(form);
    nameRequest(form);
    const isReady = check().then(whenSignedIn);
    void isReady.then(() => {
      const token = form.querySelector<HTMLInputElement>(TOKEN);
      if (token) token.value = csrfToken();
      setHidden(form, PAGE_USER, user);
      ready.add(form);
      form.requestSubmit(submitter);
      window.setTimeout(() => sending.delete(form), SAME_PRESS_MS);
    });
  });
}
