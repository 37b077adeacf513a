import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fieldsOf, forgetText, keepText, type Text } from './texts';

/** What the browser's store was asked, in its order. */
const { asked, sealing } = vi.hoisted(() => ({ asked: [] as string[], sealing: { ms: 0 } }));

vi.mock('./storage', () => ({
  keep: async (_table: string, id: string, text: Text) => {
    // As sealing does, which takes a moment before anything is written.
    if (sealing.ms) await new Promise((done) => setTimeout(done, sealing.ms));
    asked.push(`${id}: ${text.fields['impression']?.[0]}`);
    return true;
  },
  remove: (_table: string, id: string) => Promise.resolve(void asked.push(`${id} is gone`)),
  allKept: () => Promise.resolve([]),
}));

const typed = (impression: string, place = 'report'): Text => ({
  study: '1.2',
  place,
  words: 'text of the report',
  at: Date.now(),
  fields: { impression: [impression] },
});

beforeEach(() => {
  vi.useFakeTimers();
  asked.length = 0;
  sealing.ms = 0;
});
afterEach(() => vi.useRealTimers());

describe('what is typed', () => {
  it('is kept while somebody types on without a pause', async () => {
    // A letter every 50 ms for three seconds, as in dictation: no pause as long as the writing's delay.
    const words = [...'No suspicious finding in either breast on this exam of today'];
    for (let letters = 1; letters <= words.length; letters += 1) {
      keepText(typed(words.slice(0, letters).join('')));
      await vi.advanceTimersByTimeAsync(50);
      const behind = letters - (asked.at(-1)?.split(': ')[1]?.length ?? 0);
      expect(behind, `after ${letters} letters`).toBeLessThan(5);
    }
    expect(asked.length).toBeGreaterThan(words.length / 5);
    expect(asked.length).toBeLessThan(words.length / 3);
    await vi.advanceTimersByTimeAsync(200);
    expect(asked.at(-1)).toBe(`1.2 report: ${words.join('')}`);
  });

  it('is one writing where many keys come together, and none after the last is written', async () => {
    for (const words of ['N', 'No', 'No ', 'No m']) keepText(typed(words));
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toEqual(['1.2 report: No m']);
  });

  it('in one form does not put off another', async () => {
    keepText(typed('Text'));
    await vi.advanceTimersByTimeAsync(100);
    keepText(typed('Reason', 'reject'));
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toEqual(['1.2 report: Text']);
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toEqual(['1.2 report: Text', '1.2 reject: Reason']);
  });

  it('and sent before it was written is not written any more', async () => {
    keepText(typed('Sent at once'));
    forgetText(typed(''));
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toEqual(['1.2 report is gone']);
    keepText(typed('The next words'));
    await vi.advanceTimersByTimeAsync(200);
    expect(asked.at(-1)).toBe('1.2 report: The next words');
  });

  it('and sent while it is being written does not come back', async () => {
    sealing.ms = 30;
    keepText(typed('Sent meanwhile'));
    await vi.advanceTimersByTimeAsync(210);
    forgetText(typed(''));
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toEqual(['1.2 report: Sent meanwhile', '1.2 report is gone']);
  });
});

describe('what the journal reads of a form', () => {
  it('has no passwords and no token, whatever they are called', () => {
    document.body.innerHTML = `<form>
      <input name="csrfmiddlewaretoken" value="token">
      <input type="password" name="password" value="secret one">
      <input type="password" name="code" value="secret two">
      <textarea name="reason">Agreed with the surgeon.</textarea>
    </form>`;
    const form = document.querySelector('form') as HTMLFormElement;
    expect(fieldsOf(form)).toEqual({ reason: ['Agreed with the surgeon.'] });
  });
});
