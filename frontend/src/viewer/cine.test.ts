import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { caseWords } from '../testing/case_page';
import { Cine } from './cine';

let asked: number[];
let arrive: (() => void)[];

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  arrive = [];
});
afterEach(() => vi.useRealTimers());

/** A clip whose frames come as soon as the test lets them. */
function open(periodMs: number | null, frames = 8): Cine {
  const cine: Cine = new Cine(frames, periodMs, caseWords, (frame) => {
    asked.push(frame);
    return new Promise((resolve) =>
      arrive.push(() => {
        cine.show(frame);
        resolve();
      }),
    );
  });
  return cine;
}
const speed = (cine: Cine): string | null | undefined => cine.element.querySelector('.cine__speed')?.textContent;
async function play(ms: number, come = true): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    await vi.advanceTimersByTimeAsync(10);
    if (come) for (const frame of arrive.splice(0)) frame();
  }
}

describe('a clip', () => {
  test('plays as fast as its file says, and says so', async () => {
    const cine = open(200);
    expect(speed(cine)).toBe('5 / s');
    cine.toggle();
    await play(1000);
    expect(asked).toEqual([1, 2, 3, 4, 5]);
  });

  test('whose file says no speed says that it is assumed', () => {
    expect(speed(open(null))).toBe('15 / s (assumed)');
  });

  test('waits for a frame that is late, skips none, and says how fast it is instead', async () => {
    const cine = open(100, 20);
    cine.toggle();
    for (let frame = 0; frame < 12; frame += 1) {
      await play(290, false);
      await play(20);
    }
    expect(asked).toEqual(Array.from({ length: asked.length }, (_, index) => index + 1));
    expect(speed(cine)).toMatch(/^3\.\d \/ s \(should be 10 \/ s\)$/);
    cine.toggle();
    expect(speed(cine)).toBe('10 / s');
  });

  test('stops at its ends under the wheel, and goes round with keys', () => {
    const cine = open(100, 3);
    cine.scroll(-1);
    expect(asked).toEqual([]);
    cine.step(-1);
    expect(asked).toEqual([2]);
    cine.scroll(1);
    expect(asked).toEqual([2]);
  });

  test('that plays stops where it is asked to go', async () => {
    const cine = open(100);
    cine.toggle();
    cine.goTo(5);
    await play(500);
    expect(asked).toEqual([5]);
  });
});
