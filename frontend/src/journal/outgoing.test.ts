/** What replaces itself is sent in its newest state only, what was decided in its order; nothing twice, nothing lost. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Refusal } from '../server/client';
import { newKey } from '../server/request_key';
import { ControlledFetch } from '../testing/controlled_fetch';
import { settled } from '../testing/settled';
import { forgetAll, giveUp, keptSendings, send, tryAgain } from './outgoing';

let server: ControlledFetch;
let study = '';
const bodies: FormData[] = [];
const said = (): (FormDataEntryValue | null)[] => bodies.map((body) => body.get('state'));

beforeEach(() => {
  forgetAll();
  bodies.length = 0;
  // What a test left unanswered holds up its study only.
  study = newKey();
  server = new ControlledFetch();
  const asked = globalThis.fetch;
  vi.stubGlobal('fetch', (address: string, options: RequestInit) => {
    bodies.push(options.body as FormData);
    return asked(address, options);
  });
});

const sending = (state: string, more: object = {}): Parameters<typeof send>[0] => ({
  key: newKey(),
  study,
  address: '/save',
  fields: { state },
  words: state,
  ...more,
});
const kept = (): string[] => keptSendings().map(({ words }) => words);
const yes = (answer: object = {}): Response => Response.json(answer);
const no = (code: string, detail: string): Response =>
  Response.json({ type: `urn:cad:problem:${code}`, detail }, { status: 409 });

describe('what replaces itself', () => {
  test('is sent in its newest state, and whoever waited for an older one has its answer', async () => {
    const view = { replaces: 'view' };
    const first = send(sending('first', view));
    await settled();
    const second = send(sending('second', view));
    const third = send(sending('third', view));
    await settled();
    // The first is on its way and stays; the second was overtaken before it went.
    expect(kept()).toEqual(['first', 'third']);
    await server.answer('/save', yes({ of: 'first' }));
    expect(await first).toEqual({ of: 'first' });
    await settled();
    await server.answer('/save', yes({ of: 'third' }));
    expect(await Promise.all([second, third])).toEqual([{ of: 'third' }, { of: 'third' }]);
    expect(said()).toEqual(['first', 'third']);
    expect(kept()).toEqual([]);
  });

  test('replaces nothing of another name, of another study, or without a name', async () => {
    for (const more of [{ replaces: 'view' }, { replaces: 'draft' }, { replaces: 'view', study: 'another' }, {}, {}])
      void send(sending('each', more));
    await settled();
    expect(kept()).toHaveLength(5);
    // The last two are of one lane: one after the other.
    expect(bodies).toHaveLength(4);
  });

  test('that is refused is told to who sent it, and no newer one is held up', async () => {
    const first = send(sending('first', { replaces: 'view' }));
    await settled();
    const told = expect(first).rejects.toThrow('Withdrawn.');
    await server.answer('/save', no('withdrawn', 'Withdrawn.'));
    await told;
    expect(kept()).toEqual([]);
    void send(sending('second', { replaces: 'view' }));
    await settled();
    expect(said()).toEqual(['first', 'second']);
  });
});

describe('what was decided', () => {
  test('goes in its order, one after the other', async () => {
    for (const state of ['one', 'two', 'three']) void send(sending(state));
    for (const state of ['one', 'two', 'three']) {
      await settled();
      expect(said().at(-1)).toBe(state);
      await server.answer('/save', yes());
    }
    await settled();
    expect(kept()).toEqual([]);
  });

  test('stays where it was refused, lets the next pass, and is tried or given up as its person wishes', async () => {
    const first = send(sending('one', { fields: { state: 'one', seen: '7' } }));
    void send(sending('two'));
    await settled();
    const told = expect(first).rejects.toBeInstanceOf(Refusal);
    await server.answer('/save', no('decided_meanwhile', 'Carl decided.'));
    await told;
    await settled();
    await server.answer('/save', yes());
    await settled();
    expect(kept()).toEqual(['one']);
    expect(keptSendings()[0]).toMatchObject({ refused: 'Carl decided.', code: 'decided_meanwhile' });
    const { key } = keptSendings()[0] as { key: string };
    tryAgain(key);
    await settled();
    // Whoever tries again has read what the colleague decided; it is the same request all the same.
    expect(bodies.at(-1)?.get('seen')).toBeNull();
    expect(bodies.at(-1)?.get('request_key')).toBe(bodies[0]?.get('request_key'));
    await server.answer('/save', no('signed', 'Signed.'));
    await settled();
    giveUp(key);
    expect(kept()).toEqual([]);
  });

  test('whose answer is lost is sent again under its key', async () => {
    void send(sending('one'));
    await settled();
    await server.answer('/save', new Response('', { status: 502 }));
    expect(keptSendings()[0]).toMatchObject({ failed: true });
    await vi.waitFor(() => expect(bodies).toHaveLength(2), { timeout: 4000 });
    expect(bodies[1]?.get('request_key')).toBe(bodies[0]?.get('request_key'));
    await server.answer('/save', yes());
    await settled();
    expect(kept()).toEqual([]);
  });
});
