import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { isSignedIn, reportSignedIn } from '../session/session';
import { ControlledFetch } from '../testing/controlled_fetch';
import { settled } from '../testing/settled';
import {
  ANSWER_TIMEOUT_MS,
  getBytes,
  getFragment,
  getJson,
  NoAnswer,
  post,
  postJson,
  Refusal,
  SignedOut,
  SILENCE_TIMEOUT_MS,
} from './client';

let server: ControlledFetch;

beforeEach(() => {
  document.body.innerHTML =
    '<script id="page-settings" type="application/json">' +
    '{"csrf_cookie": "cad_csrf_80", "user": {"id": 7}, "session": {"state": "/session"}}</script>';
  document.cookie = 'cad_csrf_8000=of another platform';
  document.cookie = 'cad_csrf_80=the token';
  server = new ControlledFetch();
});

afterEach(() => vi.useRealTimers());

const problem = (status: number, type = 'urn:cad:problem:invalid'): Response =>
  new Response(
    JSON.stringify({ type, title: '', status, detail: 'A sentence.', errors: [{ reason: 'Why', field: 'a' }] }),
    {
      status,
      headers: { 'Content-Type': 'application/problem+json' },
    },
  );

/** What a promise was rejected with. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable(),
    (error: unknown) => error,
  );

describe('an answer', () => {
  test('of JSON is what was sent', async () => {
    const answer = getJson<{ revision: number }>('/draft');
    await server.answer('/draft', Response.json({ revision: 3 }));
    expect(await answer).toEqual({ revision: 3 });
  });

  test('that says nothing is no failure where none is expected', async () => {
    const answer = post('/leave', new FormData(), { keepalive: true });
    await server.answer('/leave', new Response(null, { status: 204 }));
    expect(await answer).toBeUndefined();
    expect(server.requests[0]?.init).toMatchObject({ method: 'POST', keepalive: true });
  });

  test('of another kind than JSON is no answer of the platform', async () => {
    const answer = failure(getJson('/draft'));
    await server.answer('/draft', new Response('<p>A proxy</p>', { headers: { 'Content-Type': 'text/html' } }));
    expect(await answer).toBeInstanceOf(NoAnswer);
  });

  test('of HTML is the element that was looked for', async () => {
    const answer = getFragment('/report', 'report-section');
    await server.answer('/report', new Response('<main><report-section id="r"></report-section></main>'));
    expect((await answer).id).toBe('r');
    expect(server.requests[0]?.init.headers).toMatchObject({ 'HX-Request': 'true' });
  });

  test('without that element is none', async () => {
    const answer = failure(getFragment('/report', 'report-section'));
    await server.answer('/report', new Response('<main></main>'));
    expect(await answer).toBeInstanceOf(NoAnswer);
  });
});

describe('a request', () => {
  test('carries the CSRF token where it changes something, and nowhere else', () => {
    void postJson('/save', new FormData()).catch(() => undefined);
    void getJson('/read').catch(() => undefined);
    expect(server.requests[0]?.init.headers).toMatchObject({ 'X-CSRFToken': 'the token' });
    expect(server.requests[1]?.init.headers).not.toHaveProperty('X-CSRFToken');
  });

  test('carries the token that a sign-in in another window has brought', () => {
    document.cookie = 'cad_csrf_80=the new token';
    void postJson('/save', new FormData()).catch(() => undefined);
    expect(server.requests[0]?.init.headers).toMatchObject({ 'X-CSRFToken': 'the new token' });
  });

  test('that is given up ends with the reason of who gave it up', async () => {
    const leaving = new AbortController();
    const answer = failure(getJson('/image', { signal: leaving.signal }));
    leaving.abort(new Error('left'));
    expect(await answer).toEqual(new Error('left'));
    expect(server.requests[0]?.signal?.aborted).toBe(true);
  });

  test('that was given up before it began asks for nothing', async () => {
    expect(await failure(getJson('/image', { signal: AbortSignal.abort(new Error('left')) }))).toEqual(
      new Error('left'),
    );
    expect(server.requests).toEqual([]);
  });

  test('fails when nothing comes for the time of its patience', async () => {
    vi.useFakeTimers();
    const answer = failure(getJson('/slow'));
    vi.advanceTimersByTime(ANSWER_TIMEOUT_MS - 1);
    expect(server.requests[0]?.signal?.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(await answer).toBeInstanceOf(NoAnswer);
    expect(server.requests[0]?.signal?.aborted).toBe(true);
  });
});

describe('a refusal', () => {
  test('says its sentence, its fields and which case it is', async () => {
    const answer = failure(postJson('/save', new FormData()));
    await server.answer('/save', problem(409, 'urn:cad:problem:stale_revision'));
    const refusal = (await answer) as Refusal;
    expect(refusal).toBeInstanceOf(Refusal);
    expect([refusal.message, refusal.code]).toEqual(['A sentence.', 'stale_revision']);
    expect(refusal.problem.errors).toEqual([{ reason: 'Why', field: 'a' }]);
  });

  test('as a page says the first paragraph of it', async () => {
    const answer = failure(getFragment('/report', 'report-section'));
    await server.answer('/report', new Response('<main><p> Not permitted. </p></main>', { status: 403 }));
    expect(await answer).toMatchObject({ message: 'Not permitted.', code: '' });
  });

  test('of a server in trouble is no refusal: the same may be asked again', async () => {
    const answer = failure(getJson('/image'));
    await server.answer('/image', problem(503));
    const error = (await answer) as NoAnswer;
    expect(error).toBeInstanceOf(NoAnswer);
    expect(error.message).toBe('A sentence.');
  });

  test('without a word is no answer', async () => {
    const answer = failure(getJson('/image'));
    await server.answer('/image', new Response('', { status: 404 }));
    expect(await answer).toMatchObject({ message: '' });
    expect(await answer).toBeInstanceOf(NoAnswer);
  });
});

describe('a session', () => {
  const ended = (): Response => problem(401, 'urn:cad:problem:signed_out');

  test('that has ended is waited for, and what was asked goes through once it is renewed', async () => {
    const answer = postJson<{ revision: number }>('/save', new FormData());
    await server.answer('/save', ended());
    expect([server.count('/save'), isSignedIn()]).toEqual([1, false]);
    reportSignedIn();
    await settled();
    await server.answer('/save', Response.json({ revision: 4 }));
    expect([server.count('/save'), await answer]).toEqual([2, { revision: 4 }]);
  });

  test('that has ended ends a poll', async () => {
    const answer = failure(getJson('/live', { poll: true }));
    await server.answer('/live', ended());
    expect(await answer).toBeInstanceOf(SignedOut);
    reportSignedIn();
  });

  test('that is not renewed before what was asked is given up is not waited for', async () => {
    const leaving = new AbortController();
    const answer = failure(getJson('/image', { signal: leaving.signal }));
    await server.answer('/image', ended());
    leaving.abort(new Error('left'));
    expect(await answer).toEqual(new Error('left'));
    reportSignedIn();
  });

  test('is named by every request: the page is one person’s', () => {
    void getJson('/read').catch(() => undefined);
    expect(server.requests[0]?.init.headers).toMatchObject({ 'X-CAD-Page-User': '7' });
  });

  test('with a new CSRF token is taken up, and what was refused for the old one asked once more', async () => {
    const body = new FormData();
    body.set('csrfmiddlewaretoken', 'of an old form');
    const answer = failure(postJson('/save', body));
    expect((server.requests[0]?.init.body as FormData).has('csrfmiddlewaretoken')).toBe(false);
    const stale = (): Response => problem(403, 'urn:cad:problem:csrf_failed');
    await server.answer('/save', stale());
    document.cookie = 'cad_csrf_80=the new token';
    await server.answer('/session', Response.json({ person: null }));
    expect(server.requests.at(-1)?.init.headers).toMatchObject({ 'X-CSRFToken': 'the new token' });
    await server.answer('/save', stale());
    expect(await answer).toMatchObject({ code: 'csrf_failed' });
    expect(server.count('/save')).toBe(2);
  });
});

describe('bytes', () => {
  let body: ReadableStreamDefaultController<Uint8Array>;
  const streamed = (): Response =>
    new Response(new ReadableStream<Uint8Array>({ start: (controller) => void (body = controller) }));
  const progress = vi.fn();

  test('come whole, and tell how far they are', async () => {
    const answer = getBytes('/pixels', 4, progress);
    await server.answer('/pixels', streamed());
    body.enqueue(Uint8Array.of(1, 2));
    body.enqueue(Uint8Array.of(3, 4));
    body.close();
    expect([...(await answer)]).toEqual([1, 2, 3, 4]);
    expect(progress.mock.calls).toEqual([[0.5], [1]]);
  });

  test.each([
    ['too few', [1, 2, 3]],
    ['too many', [1, 2, 3, 4, 5]],
  ])('%s are no image', async (_, sent) => {
    const answer = failure(getBytes('/pixels', 4, progress));
    await server.answer('/pixels', new Response(Uint8Array.from(sent)));
    expect(await answer).toBeInstanceOf(NoAnswer);
  });

  test('may take their time as long as some come', async () => {
    vi.useFakeTimers();
    const answer = failure(getBytes('/pixels', 4, progress));
    server.requests[0]?.answer(streamed());
    for (let piece = 0; piece < 3; piece += 1) {
      await vi.advanceTimersByTimeAsync(SILENCE_TIMEOUT_MS - 1);
      body.enqueue(Uint8Array.of(piece));
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(server.requests[0]?.signal?.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(SILENCE_TIMEOUT_MS);
    expect(server.requests[0]?.signal?.aborted).toBe(true);
    body.error(new Error('aborted'));
    expect(await answer).toBeInstanceOf(NoAnswer);
  });
});
