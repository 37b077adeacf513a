/** Stray typing changes nothing: a key acts only where what it acts on has the focus, and dictated text is no key. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import shortcuts from '../testing/shortcuts.json';
import { registerCommand, startKeyboard, whenQuiet } from './keyboard';

const PAGE = `
  <script id="page-settings" type="application/json">${JSON.stringify({ shortcuts })}</script>
  <div class="pane" tabindex="0" data-keys="image" id="pane"><button id="in-pane">›</button></div>
  <a href="#" class="worklist__link" data-keys="list" id="row">Row</a>
  <button id="button">Accept</button> <textarea id="text"></textarea> <div tabindex="0" id="panel">Panel</div>`;

const done: string[] = [];
let now = 0;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  document.body.innerHTML = PAGE;
  done.length = 0;
  now += 10_000;
  const add = vi.spyOn(document, 'addEventListener');
  startKeyboard();
  for (const { id } of shortcuts) registerCommand(id, () => void done.push(id));
  const listeners = [...add.mock.calls];
  add.mockRestore();
  stop = () => listeners.forEach((listener) => document.removeEventListener(...listener));
});

afterEach(() => {
  stop();
  vi.useRealTimers();
});

/** A key, so many milliseconds after the one before. */
function press(key: string, at = 'pane', after = 300, more: KeyboardEventInit = {}): KeyboardEvent {
  vi.advanceTimersByTime(after);
  now += after;
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more });
  Object.defineProperty(event, 'timeStamp', { value: now });
  (document.getElementById(at) ?? document.body).dispatchEvent(event);
  return event;
}

function type(text: string, at: string, apart: number): void {
  [...text].forEach((key, place) => press(key, at, place === 0 ? 300 : apart));
  vi.advanceTimersByTime(300);
}

/** Every character that a command has. */
const characters = shortcuts.flatMap(({ keys }) => keys).filter((key) => [...key].length === 1);

describe('a single key', () => {
  test('acts with the focus on the image', () => {
    press('n');
    press('i');
    press('a');
    vi.advanceTimersByTime(100);
    expect(done).toEqual(['next-finding', 'invert', 'accept']);
  });

  test.each(['body', 'row', 'button', 'text', 'panel', 'in-pane'])('does nothing with the focus on %s', (at) => {
    for (const key of characters.filter((each) => !'jk/?'.includes(each))) press(key, at);
    for (const key of ['B', '?', 'ArrowLeft', 'PageDown']) if (at !== 'row') press(key, at, 300);
    press('g', at);
    if (at !== 'row') press('w', at);
    vi.advanceTimersByTime(300);
    expect(done).toEqual([]);
  });

  test('of the list acts on a row alone', () => {
    press('j', 'body');
    press('j', 'button');
    press('j', 'pane');
    expect(done).toEqual([]);
    press('j', 'row');
    press('?', 'row');
    expect(done).toEqual(['next-study', 'sheet']);
  });

  test('acts once however long it is held, unless it leads from one thing to the next', () => {
    press('a');
    for (let time = 0; time < 20; time += 1) press('a', 'pane', 33, { repeat: true });
    for (let time = 0; time < 3; time += 1) press('i', 'pane', 33, { repeat: true });
    vi.advanceTimersByTime(300);
    expect(done).toEqual(['accept']);
    for (let time = 0; time < 3; time += 1) press('+', 'pane', 33, { repeat: true });
    expect(done).toEqual(['accept', 'zoom-in', 'zoom-in', 'zoom-in']);
  });

  test('that is composed to a character of Chinese is text', () => {
    press('n', 'pane', 300, { isComposing: true });
    press('Process', 'pane', 300, { keyCode: 229 });
    press('a', 'pane', 300, { keyCode: 229 });
    vi.advanceTimersByTime(300);
    expect(done).toEqual([]);
  });

  test('with Ctrl, Alt or the command key is the browser’s', () => {
    for (const more of [{ ctrlKey: true }, { altKey: true }, { metaKey: true }]) press('a', 'pane', 300, more);
    vi.advanceTimersByTime(300);
    expect(done).toEqual([]);
  });

  test('is the letter in its place where the keyboard is of another script, and whatever Caps Lock says', () => {
    press('ш', 'pane', 300, { code: 'KeyI' });
    press('I', 'pane', 300, { code: 'KeyI' });
    press('B', 'pane', 300, { code: 'KeyB', shiftKey: true });
    expect(done).toEqual(['invert', 'invert', 'faint']);
  });

  test('after another is a command of its own', () => {
    press('g');
    press('w');
    expect(done).toEqual(['worklist']);
  });
});

describe('dictated text on the image', () => {
  test.each(['an area', 'a ', ' a', 'architectural distortion.', 'r', 'ra', 'are due', 'membrane'])(
    'decides nothing: “%s”',
    (text) => {
      type(`${text}${text.length === 1 ? ' ' : ''}`, 'pane', 8);
      const decisions = shortcuts.filter(({ changes_record }) => changes_record).map(({ id }) => id);
      expect(done.filter((id) => decisions.includes(id))).toEqual([]);
    },
  );

  test('is no burst when a person goes on to the next finding and decides at once', () => {
    press('n');
    press('a', 'pane', 20);
    vi.advanceTimersByTime(300);
    press('n');
    press('n', 'pane', 30);
    press('u', 'pane', 30);
    vi.advanceTimersByTime(300);
    expect(done.filter((id) => id !== 'next-finding')).toEqual(['accept', 'undo']);
  });
});

describe('Space and Enter on a button', () => {
  test.each([' ', 'Enter'])('of a person press it: %s', (key) => {
    const pressed = vi.fn();
    document.getElementById('button')?.addEventListener('click', pressed);
    press(key, 'button');
    vi.advanceTimersByTime(100);
    expect(pressed).toHaveBeenCalledOnce();
  });

  test('of dictated text do not', () => {
    const pressed = vi.fn();
    document.getElementById('button')?.addEventListener('click', pressed);
    document.getElementById('row')?.addEventListener('click', pressed);
    type('no mass seen ', 'button', 5);
    type(' no', 'button', 5);
    type('seen', 'row', 5);
    press('Enter', 'row', 5);
    vi.advanceTimersByTime(300);
    expect(pressed).not.toHaveBeenCalled();
  });
});

test('a key that an element handles before the page waits for quiet like every other', () => {
  const run = vi.fn();
  document.getElementById('panel')?.addEventListener('keydown', () => whenQuiet(run));
  press('3', 'panel');
  vi.advanceTimersByTime(300);
  expect(run).toHaveBeenCalledTimes(1);
  type('at 3 o’clock', 'panel', 5);
  expect(run).toHaveBeenCalledTimes(1);
});

test('a row that is renewed while a press waits is pressed all the same', () => {
  const pressed = vi.fn();
  document.body.addEventListener('click', ({ target }) => void pressed((target as HTMLElement).id), { once: true });
  press('Enter', 'row');
  const row = document.getElementById('row') as HTMLElement;
  row.replaceWith(row.cloneNode(true));
  vi.advanceTimersByTime(300);
  expect(pressed).toHaveBeenCalledWith('row');
});

test('what waits for quiet is given up when a character comes', () => {
  const run = vi.fn();
  whenQuiet(run);
  press('x', 'text', 10);
  vi.advanceTimersByTime(300);
  expect(run).not.toHaveBeenCalled();
});
