import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ControlledFetch } from '../testing/controlled_fetch';
import { settled } from '../testing/settled';
import { startModelUpload } from './model_upload';

const page = {
  begin: '/begin',
  piece_bytes: 4,
  words: { reading: 'reading', sending: '{percent} % sent', interrupted: '{percent} % there', importing: 'unpacking' },
};
const step = (received: number, more = {}): Response =>
  Response.json({ received, piece: '/piece', finish: '/finish', location: '', said: '', ...more });
const said = (): string => document.getElementById('upload-said')?.textContent ?? '';
const bar = (): number => document.querySelector('progress')?.value ?? -1;

async function choose(text: string): Promise<void> {
  const input = document.querySelector('input');
  Object.defineProperty(input, 'files', { value: [new File([text], 'v.zip')], configurable: true });
  document.querySelector('form')?.dispatchEvent(new SubmitEvent('submit', { bubbles: true, cancelable: true }));
  await vi.waitFor(() => expect(server.count('/begin')).toBeGreaterThan(0));
}

let server: ControlledFetch;
const followed = vi.fn();

describe('a version that is uploaded', () => {
  beforeEach(() => {
    followed.mockReset();
    document.body.innerHTML = `<script id="upload-json" type="application/json">${JSON.stringify(page)}</script>
      <form id="upload-form"><input type="file"><button type="submit">Upload</button></form>
      <div id="upload-progress" hidden><progress max="100"></progress></div><p id="upload-said"></p>`;
    server = new ControlledFetch();
    startModelUpload(followed, 20);
  });

  it('goes in pieces, and says how far it is', async () => {
    await choose('0123456789');
    await server.answer('/begin', step(0));
    await server.answer('/piece', step(4));
    expect([said(), bar()]).toEqual(['40 % sent', 40]);
    await server.answer('/piece', step(8));
    await server.answer('/piece', step(10));
    expect(said()).toBe('unpacking');
    await server.answer('/finish', step(10, { location: '/models/7/' }));
    expect(followed).toHaveBeenCalledWith('/models/7/');
  });

  it('goes on where it ended when it is behind', async () => {
    await choose('0123456789');
    await server.answer('/begin', step(8));
    const offsets = (): (FormDataEntryValue | null)[] =>
      server.requests
        .filter(({ address }) => address === '/piece')
        .map(({ init }) => (init.body as FormData).get('offset'));
    expect(offsets()).toEqual(['8']);
    await server.answer(
      '/piece',
      Response.json({ type: 'urn:cad:problem:other_offset', detail: 'begins at 4' }, { status: 409 }),
    );
    expect(said()).toBe('0 % there');
    await vi.waitFor(() => expect(server.count('/begin')).toBe(2));
    await server.answer('/begin', step(4));
    expect(offsets()).toEqual(['8', '4']);
  });

  it('says why it was refused, and may be tried again', async () => {
    await choose('0123');
    await server.answer('/begin', step(4));
    await server.answer('/finish', step(4, { said: 'setup.py may hold code' }));
    await settled();
    expect([said(), followed.mock.calls.length]).toEqual(['setup.py may hold code', 0]);
    expect(document.querySelector('button')?.disabled).toBe(false);
  });
});
