/** What htmx asks for goes by the same rules as the scripts' own requests (`server/client.ts`): it names whose page it is
 * of, carries the CSRF token of now, and is asked once more when the session was renewed. */
import htmx from 'htmx.org';
import { csrfToken, getSessionState, pageHeaders } from '../server/client';
import { reportSignedOut, troubleOf, whenSignedIn } from './session';

interface Configuration {
  headers: Record<string, string>;
  parameters: FormData;
}

interface Answered {
  elt: Element;
  xhr: XMLHttpRequest;
  requestConfig: { verb: 'get' | 'post' | 'put' | 'delete' | 'patch'; path: string; triggeringEvent?: Event };
  target: Element;
  shouldSwap: boolean;
  isError: boolean;
}

const isPoll = (event: Event | undefined): boolean => event?.type === 'cad:poll';

/** Listen to what htmx asks and is answered. */
export function bindFragments(): void {
  document.addEventListener('htmx:configRequest', (event) => {
    const { headers, parameters } = (event as CustomEvent<Configuration>).detail;
    Object.assign(headers, { 'X-CSRFToken': csrfToken() }, pageHeaders());
    parameters.delete('csrfmiddlewaretoken');
  });
  const askedAgain = new WeakSet<Event | XMLHttpRequest>();
  document.addEventListener('htmx:beforeSwap', (event) => {
    const { detail } = event as CustomEvent<Answered>;
    const code = problemCode(detail.xhr);
    const trouble = troubleOf(code);
    if (!trouble && code !== 'csrf_failed') return;
    detail.shouldSwap = false;
    detail.isError = false;
    if (trouble) reportSignedOut(trouble);
    const { verb, path, triggeringEvent } = detail.requestConfig;
    if (isPoll(triggeringEvent)) return;
    // A token that is refused twice is no matter of its age.
    if (!trouble && triggeringEvent) {
      if (askedAgain.has(triggeringEvent)) return;
      askedAgain.add(triggeringEvent);
    }
    const renewed = trouble ? whenSignedIn() : getSessionState();
    void renewed.then(() => {
      if (detail.elt.isConnected) void htmx.ajax(verb, path, { source: detail.elt, event: triggeringEvent as Event });
    });
  });
}

/** The last part of a problem's type; empty for other answers. */
function problemCode(xhr: XMLHttpRequest): string {
  if (!/problem\+json/.test(xhr.getResponseHeader('Content-Type') ?? '')) return '';
  try {
    const { type } = JSON.parse(xhr.responseText) as { type?: string };
    return type?.split(':').at(-1) ?? '';
  } catch {
    return '';
  }
}
