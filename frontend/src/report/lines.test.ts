import { afterEach, describe, expect, it } from 'vitest';
import { renewLines } from './lines';

const line = (finding: string, text = '', heading = `finding ${finding}`): string =>
  `<div data-line><input type="hidden" name="line_finding" value="${finding}">` +
  (finding ? `<button class="report__heading">${heading}</button>` : '') +
  `<textarea name="line_text" aria-label="${finding ? `About ${heading}` : 'Own words'}">${text}</textarea></div>`;

function block(...lines: string[]): HTMLElement {
  const made = document.createElement('div');
  made.innerHTML = `${lines.join('') || '<p>None yet.</p>'}<template data-blank-line>${line('')}</template>`;
  return made;
}

function shown(...lines: string[]): HTMLElement {
  const made = block(...lines);
  document.body.replaceChildren(made);
  return made;
}

const area = (of: HTMLElement, number: number): HTMLTextAreaElement =>
  of.querySelectorAll('textarea')[number] as HTMLTextAreaElement;
const told = (of: HTMLElement): string[][] =>
  [...of.querySelectorAll('[data-line]')].map((each) => [
    each.querySelector('input')?.value ?? '',
    each.querySelector('textarea')?.value ?? '',
  ]);

describe('lines of findings that are renewed', () => {
  afterEach(() => document.body.replaceChildren());

  it('stay under the cursor, with what was typed since, whatever comes before and behind', () => {
    const here = shown(line('b', 'kept'), line('', 'my own'));
    const typing = area(here, 0);
    typing.focus();
    typing.value = 'kept, and more';
    area(here, 1).value = 'my own words';
    renewLines(here, block(line('a'), line('b', 'kept'), line('c'), line('', 'my own')));
    expect(document.activeElement).toBe(typing);
    expect(told(here)).toEqual([
      ['a', ''],
      ['b', 'kept, and more'],
      ['c', ''],
      ['', 'my own words'],
    ]);
  });

  it('leave a line of the reader alone that the server does not know yet', () => {
    const here = shown(line('a'), line('', 'typed a moment ago'));
    area(here, 1).focus();
    renewLines(here, block(line('a'), line('b')));
    expect(document.activeElement).toBe(area(here, 2));
    expect(told(here)).toEqual([
      ['a', ''],
      ['b', ''],
      ['', 'typed a moment ago'],
    ]);
  });

  it("go with their finding, but for words, which become the reader's own", () => {
    const here = shown(line('a', 'spiculated'), line('b'), line('c'));
    area(here, 0).focus();
    renewLines(here, block(line('c'), line('', 'spicul')));
    expect(told(here)).toEqual([
      ['c', ''],
      ['', 'spiculated'],
    ]);
    expect(here.querySelectorAll('.report__heading')).toHaveLength(1);
    expect(area(here, 1).getAttribute('aria-label')).toBe('Own words');
  });

  it('are named as the server names them now', () => {
    const here = shown(line('a', 'x', 'length 12.0 mm'));
    renewLines(here, block(line('a', 'x', 'length 14.0 mm')));
    expect(here.querySelector('button')?.textContent).toBe('length 14.0 mm');
    expect(area(here, 0).getAttribute('aria-label')).toBe('About length 14.0 mm');
  });

  it('say that there is none, and no longer', () => {
    const here = shown();
    renewLines(here, block(line('a')));
    expect(here.querySelector('p')).toBeNull();
    renewLines(here, block());
    expect(here.querySelector('p')?.textContent).toBe('None yet.');
    expect(told(here)).toEqual([]);
  });
});
