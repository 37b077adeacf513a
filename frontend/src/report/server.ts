/** Talking to the platform: what it refused, and that it did not answer, are ordinary answers. */

export interface FieldProblem {
  field: string;
  label: string;
  reason: string;
}

/** A refusal with a sentence for the reader. `code` tells the cases apart that need more than the sentence. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly errors: FieldProblem[] = [],
    readonly writer = '',
    readonly savedAt = '',
  ) {
    super(message);
  }
}

/** The server is away, or an answer came from something that is not the platform. */
export class NoAnswer extends Error {}

/** The session has ended. */
export class SignedOut extends Error {}

async function ask(url: string, accept: string, body: FormData | null, keepalive = false): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: body ? 'POST' : 'GET',
      body,
      keepalive,
      headers: { Accept: accept, ...(accept === 'text/html' ? { 'HX-Request': 'true' } : {}) },
    });
  } catch {
    throw new NoAnswer();
  }
  if (response.redirected && new URL(response.url).pathname.startsWith('/accounts/login')) throw new SignedOut();
  return response;
}

/** A JSON answer. Throws `Refusal`, `NoAnswer` or `SignedOut`. */
export async function json<T>(url: string, body: FormData | null = null, keepalive = false): Promise<T> {
  const response = await ask(url, 'application/json', body, keepalive);
  if (response.status === 204) return {} as T;
  if (!(response.headers.get('Content-Type') ?? '').startsWith('application/json')) throw new NoAnswer();
  const answer = (await response.json()) as {
    code: string;
    detail: string;
    errors: FieldProblem[];
    writer?: string;
    saved_at?: string;
  };
  if (response.ok) return answer as unknown as T;
  if (response.status >= 500) throw new NoAnswer(answer.detail);
  throw new Refusal(answer.code, answer.detail, answer.errors, answer.writer, answer.saved_at);
}

/** The element with this tag in a fragment of HTML. */
export async function fragment(url: string, tag: string, body: FormData | null = null): Promise<Element> {
  const response = await ask(url, 'text/html', body);
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const found = page.querySelector(tag);
  if (response.ok && found) return found;
  // The platform's error page says in its first paragraph what is wrong.
  const reason = page.querySelector('main p')?.textContent?.trim();
  if (response.status >= 500 || !reason) throw new NoAnswer();
  throw new Refusal('refused', reason);
}

/** A clock time in the reader's own language. */
export function clock(iso: string): string {
  return new Date(iso).toLocaleTimeString(document.documentElement.lang || 'en-GB', { hour12: false });
}
