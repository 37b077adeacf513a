/** Frames come before they are due: as many as help, no more at a time than the line bears. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { caseWords } from '../testing/case_page';
import { Cine } from './cine';
import { ReadAhead } from './read_ahead';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A server that takes this long for a frame, whatever else it does; what was loaded is there at once. */
function server(milliseconds: number): {
  load: (frame: number) => Promise<void>;
  state: { now: number; most: number; asked: number };
} {
  const cache = new Map<number, Promise<void>>();
  const state = { now: 0, most: 0, asked: 0 };
  const load = (frame: number): Promise<void> => {
    const known = cache.get(frame);
    if (known) return known;
    state.asked += 1;
    state.most = Math.max(state.most, (state.now += 1));
    const coming = new Promise<void>((resolve) =>
      setTimeout(() => {
        state.now -= 1;
        resolve();
      }, milliseconds),
    );
    cache.set(frame, coming);
    return coming;
  };
  return { load, state };
}

/** How many frames of 120 a clip of 30 frames a second has shown after three seconds. */
async function shownInThreeSeconds(isAhead: boolean): Promise<{ shown: number; most: number; asked: number }> {
  const { load, state } = server(80);
  let shown = 0;
  const ahead = new ReadAhead(120, load);
  const cine: Cine = new Cine(120, 1000 / 30, caseWords, async (frame) => {
    if (isAhead && cine.isPlaying) ahead.from(frame);
    await load(frame);
    cine.show(frame);
    shown += 1;
  });
  cine.toggle();
  await vi.advanceTimersByTimeAsync(3000);
  cine.stop();
  ahead.stop();
  return { shown, ...state };
}

describe('a clip of 30 frames a second from a server that takes 80 ms for a frame', () => {
  test('plays at its speed', async () => {
    const { shown, most } = await shownInThreeSeconds(true);
    expect(shown).toBeGreaterThan(80);
    expect(most).toBeLessThanOrEqual(4);
  });

  test('which it did not when each frame was asked for when it was due', async () => {
    expect((await shownInThreeSeconds(false)).shown).toBeLessThan(40);
  });
});

test('what is asked for beyond the frame that is shown is bounded, and ends with the playing', async () => {
  const { load, state } = server(10);
  const ahead = new ReadAhead(120, load);
  ahead.from(0);
  await vi.advanceTimersByTimeAsync(1000);
  expect(state.asked).toBe(8);
  ahead.from(20);
  ahead.stop();
  await vi.advanceTimersByTimeAsync(1000);
  expect(state.asked).toBe(11);
});

test('after the last frame come the first, and a short clip is asked for once', async () => {
  const asked: number[] = [];
  const ahead = new ReadAhead(4, (frame) => Promise.resolve(void asked.push(frame)));
  ahead.from(2);
  await vi.runAllTimersAsync();
  ahead.from(3);
  await vi.runAllTimersAsync();
  expect(asked).toEqual([3, 0, 1, 2]);
});

test('a frame that cannot be had does not stop the others', async () => {
  const asked: number[] = [];
  const ahead = new ReadAhead(10, (frame) => {
    asked.push(frame);
    return frame === 1 ? Promise.reject(new Error('busy')) : Promise.resolve();
  });
  ahead.from(0);
  await vi.runAllTimersAsync();
  expect(asked).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});
