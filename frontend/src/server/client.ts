/** The one way to the platform from a page's script (fragments that htmx swaps in are htmx's own). That the platform
 * refuses, does not answer or has ended the session are ordinary answers, each with its own error. */
import type { PageSettings, Problem, SessionState } from '../api_types';
import { embeddedJson } from '../page/embedded';
import { AWAY, reportAnswered, reportAway, reportWhenSlow } from './connection';
import { reportSignedOut, troubleOf, whenSignedIn } from '../session/session';

/** What came instead of an answer. Its message is the server's sentence, empty where there was none. */
export class ServerError extends Error {}

/** The platform says no, as problem details (RFC 9457). */
export class Refusal extends ServerError {
  constructor(readonly problem: Partial<Problem> & Pick<Problem, 'detail'>) {
    super(problem.detail);
  }

  /** Tells the cases apart that need more than the sentence: the last part of the problem's type. */
  get code(): string {
    return this.problem.type?.split(':').at(-1) ?? '';
  }
}

/** The server is away or overloaded, took too long, or something that is not the platform answered. */
export class NoAnswer extends ServerError {}

/** The session has ended, or is another's. Only what does not wait for its renewal is told: polls and farewells. */
export class SignedOut extends ServerError {}

/** What a request may carry besides its address. */
interface RequestOptions {
  /** Makes it a POST. */
  body?: FormData | undefined;
  /** Ends the request; what waits for it is told the signal's reason. */
  signal?: AbortSignal;
  /** For a page that is being left: the request outlives it. */
  keepalive?: boolean;
  /** Fails when nothing of its answer has come for so many milliseconds. */
  timeout?: number;
  /** The page asks by itself, again and again: it does not wait until the session is renewed. */
  poll?: boolean;
}

/** Pictures and what is slow by nature fail when nothing of their answer has come for this long. */
export const SILENCE_TIMEOUT_MS = 60_000;
/** Everything else. */
export const ANSWER_TIMEOUT_MS = 15_000;

type ReadAnswer<T> = (response: Response, restartTimeout: () => void) => Promise<T>;

/**
 * Ask, and once the session is renewed or its CSRF token taken up anew, ask again: nothing of the first was done.
 *
 * @throws Refusal, NoAnswer, SignedOut, or the reason of the signal that ended the request.
 */
async function sendRequest<T>(
  address: string,
  accept: string,
  options: RequestOptions,
  read: ReadAnswer<T>,
): Promise<T> {
  for (let tokenIsNew = false; ;) {
    try {
      return await askOnce(address, accept, options, read);
    } catch (error) {
      if (error instanceof SignedOut && !options.poll && !options.keepalive) {
        await Promise.race([whenSignedIn(), aborted(options.signal)]);
      } else if (error instanceof Refusal && error.code === 'csrf_failed' && !tokenIsNew) {
        tokenIsNew = true;
        await getSessionState();
      } else throw error;
    }
  }
}

/** Who is signed in here now. Its answer brings the CSRF token of now. */
export const getSessionState = (): Promise<SessionState> =>
  getJson<SessionState>(pageSettings()?.session.state ?? '', { poll: true });

const pageSettings = (): PageSettings | null => embeddedJson<PageSettings>('page-settings');

/** What says whose page asks: the server holds up what would go under another's name. */
export function pageHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  const user = pageSettings()?.user;
  if (user) headers['X-CAD-Page-User'] = String(user.id);
  return headers;
}

/** Rejects when a signal ends the request. */
const aborted = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));

/**
 * Ask and read the answer.
 *
 * @param read - Reads an answer that is no refusal; calls `restartTimeout` with each part that comes, so that a large
 * answer may take its time while a connection that fell silent may not.
 * @throws Refusal, NoAnswer, SignedOut, or the reason of the signal that ended the request.
 */
async function askOnce<T>(address: string, accept: string, options: RequestOptions, read: ReadAnswer<T>): Promise<T> {
  const isLarge = !/json|html/.test(accept) || accept.includes('octet');
  const { body, signal, keepalive = false } = options;
  const { timeout = isLarge ? SILENCE_TIMEOUT_MS : ANSWER_TIMEOUT_MS } = options;
  signal?.throwIfAborted();
  const request = new AbortController();
  const abort = (): void => request.abort(signal?.reason);
  signal?.addEventListener('abort', abort);
  let timer = 0;
  const restartTimeout = (): void => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => request.abort(new NoAnswer()), timeout);
  };
  restartTimeout();
  // Who allows a request long is not told that the server is away because it takes its time.
  const stopWatching = timeout > ANSWER_TIMEOUT_MS ? () => undefined : reportWhenSlow();
  let isHeard = false;
  try {
    const headers: Record<string, string> = { Accept: accept, ...pageHeaders() };
    if (body) {
      headers['X-CSRFToken'] = csrfToken();
      // A form's own token is as old as the form, and the server would heed it rather than the header.
      body.delete('csrfmiddlewaretoken');
    }
    if (accept === 'text/html') headers['HX-Request'] = 'true';
    const method = body ? 'POST' : 'GET';
    const response = await fetch(address, {
      method,
      body: body ?? null,
      keepalive,
      headers,
      credentials: 'same-origin',
      signal: request.signal,
    });
    restartTimeout();
    isHeard = true;
    stopWatching();
    if (AWAY.includes(response.status) && !isLarge) reportAway();
    else reportAnswered();
    if (!response.ok) throw await errorOf(response);
    return await read(response, restartTimeout);
  } catch (error) {
    signal?.throwIfAborted();
    if (!isHeard && !keepalive) reportAway();
    throw error instanceof ServerError ? error : new NoAnswer();
  } finally {
    stopWatching();
    window.clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** A failure of the server may pass, so that it is no refusal even where it comes with a sentence. */
async function errorOf(response: Response): Promise<ServerError> {
  const problem = await problemOf(response);
  if (!problem) return new NoAnswer();
  const trouble = troubleOf(new Refusal(problem).code);
  if (trouble) {
    reportSignedOut(trouble);
    return new SignedOut(problem.detail);
  }
  return response.status >= 500 ? new NoAnswer(problem.detail) : new Refusal(problem);
}

async function problemOf(response: Response): Promise<Refusal['problem'] | null> {
  if (isJson(response)) {
    const problem = (await response.json()) as Partial<Problem>;
    return typeof problem.detail === 'string' ? { ...problem, detail: problem.detail } : null;
  }
  // The platform's error page says in its first paragraph what is wrong.
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const detail = page.querySelector('main p')?.textContent.trim();
  return detail ? { detail } : null;
}

const isJson = (response: Response): boolean => /json/.test(response.headers.get('Content-Type') ?? '');

/** The token as it is now: who signs in again in another window gets a new one. */
export function csrfToken(): string {
  const name = pageSettings()?.csrf_cookie;
  const cookies = document.cookie.split('; ').map((cookie) => cookie.split('='));
  return cookies.find(([of]) => of === name)?.[1] ?? '';
}

/** A JSON answer; its type is the model's in `api_types.ts`. */
export function getJson<T>(address: string, options: RequestOptions = {}): Promise<T> {
  return sendRequest(address, 'application/json', options, async (response) => {
    if (!isJson(response)) throw new NoAnswer();
    return (await response.json()) as T;
  });
}

/** Send a form and have its JSON answer. */
export const postJson = <T>(address: string, body: FormData, options: RequestOptions = {}): Promise<T> =>
  getJson<T>(address, { ...options, body });

/** Send a form whose answer says nothing. */
export function post(address: string, body: FormData, options: RequestOptions = {}): Promise<void> {
  return sendRequest(address, 'application/json', { ...options, body }, () => Promise.resolve());
}

/** The element that a selector finds in a fragment of HTML. */
export function getFragment(address: string, selector: string, options: RequestOptions = {}): Promise<Element> {
  return sendRequest(address, 'text/html', options, async (response) => {
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    const found = page.querySelector(selector);
    if (!found) throw new NoAnswer();
    return found;
  });
}

/** An answer of whatever type, such as a picture. */
export function getBlob(address: string, options: RequestOptions = {}): Promise<Blob> {
  return sendRequest(address, '*/*', options, (response) => response.blob());
}

/**
 * The bytes of an answer.
 *
 * @param size - How many there must be: half an image must never look like a whole one.
 * @param onProgress - Told the part that has come, from 0 to 1.
 */
export function getBytes(
  address: string,
  size: number,
  onProgress: (fraction: number) => void,
  options: RequestOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  return sendRequest(
    address,
    'application/octet-stream, application/json',
    options,
    async (response, restartTimeout) => {
      const bytes = new Uint8Array(size);
      let filled = 0;
      const add = (piece: Uint8Array): void => {
        if (filled + piece.length > size) throw new NoAnswer();
        bytes.set(piece, filled);
        filled += piece.length;
        restartTimeout();
        onProgress(filled / size);
      };
      const reader = response.body?.getReader();
      if (!reader) add(new Uint8Array(await response.arrayBuffer()));
      else for (let piece = await reader.read(); !piece.done; piece = await reader.read()) add(piece.value);
      if (filled !== size) throw new NoAnswer();
      return bytes;
    },
  );
}

/** What a form of the server's says to an exchange: where it leads once it is content, or itself with what is wrong. */
export interface DoorAnswer {
  location?: string;
  html?: string;
  /** Where the form stands, which it is sent to. */
  address: string;
}

/**
 * Ask for a form that leads out of a session's trouble, such as the sign-in with whatever stages it has, or send it.
 * The forms are the pages' own (allauth answers scripts with `location` or `html`); nothing waits for the session.
 *
 * @throws NoAnswer, or Refusal such as too many attempts.
 */
export async function exchangeForm(address: string, body?: FormData): Promise<DoorAnswer> {
  const headers: Record<string, string> = { Accept: 'application/json', 'X-Requested-With': 'XMLHttpRequest' };
  if (body) headers['X-CSRFToken'] = csrfToken();
  body?.delete('csrfmiddlewaretoken');
  try {
    const response = await fetch(address, {
      method: body ? 'POST' : 'GET',
      body: body ?? null,
      headers,
      signal: AbortSignal.timeout(DOOR_TIMEOUT_MS),
    });
    // A form that is not content is answered 400 with itself.
    if (isJson(response) && (response.ok || response.status === 400)) {
      const answer = (await response.json()) as Omit<DoorAnswer, 'address'>;
      return { ...answer, address: new URL(response.url || address, window.location.href).pathname };
    }
    throw await errorOf(response);
  } catch (error) {
    throw error instanceof ServerError ? error : new NoAnswer();
  }
}

const DOOR_TIMEOUT_MS = 15_000;
