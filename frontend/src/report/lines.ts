/** The lines of findings in a draft, renewed under whoever is writing in them. */

const linesOf = (block: Element): HTMLElement[] => [...block.querySelectorAll<HTMLElement>('[data-line]')];

const findingField = (line: Element): HTMLInputElement | null =>
  line.querySelector<HTMLInputElement>('[name="line_finding"]');

/** Of which finding a line is; empty for one of the reader's own. */
const findingOf = (line: Element): string => findingField(line)?.value ?? '';

/**
 * Bring the lines shown up to those that the server has: lines of findings come and go and are named anew.
 *
 * What is written stays as it is here, and in the very element where it is being written: a line that was put in the
 * place of another would take the cursor away, and keys that are pressed then go nowhere. Lines of the reader's own
 * are the page's. Words about a finding that is gone become one of them, as the server keeps them (`join_lines`).
 */
export function renewLines(shown: HTMLElement, next: HTMLElement): void {
  const known = new Map(linesOf(shown).map((line) => [findingOf(line), line]));
  const wanted = linesOf(next)
    .filter(findingOf)
    .map((line) => namedAnew(known.get(findingOf(line)), line));
  const blank = shown.querySelector<HTMLTemplateElement>('template[data-blank-line]')?.content.firstElementChild;
  for (const line of linesOf(shown)) {
    if (wanted.includes(line)) continue;
    const isOwn = !findingOf(line);
    if (!isOwn && !line.querySelector('textarea')?.value.trim()) line.remove();
    else wanted.push(isOwn ? line : madeOwn(line, blank ?? line));
  }
  for (const empty of shown.querySelectorAll(':scope > p')) empty.remove();
  const none = wanted.length ? null : next.querySelector(':scope > p');
  if (none) shown.prepend(none);
  let place = shown.firstElementChild;
  for (const line of wanted) {
    if (line === place) place = line.nextElementSibling;
    else shown.insertBefore(line, place);
  }
}

/** The line that stands there already, with the heading that the server gives it now; else the server's. */
function namedAnew(there: HTMLElement | undefined, now: HTMLElement): HTMLElement {
  if (!there) return now;
  const heading = there.querySelector('.report__heading');
  const said = now.querySelector('.report__heading')?.textContent ?? '';
  if (heading && heading.textContent !== said) heading.textContent = said;
  labelAs(there, now);
  return there;
}

function madeOwn(line: HTMLElement, blank: Element): HTMLElement {
  const field = findingField(line);
  if (field) field.value = '';
  line.querySelector('.report__heading')?.remove();
  labelAs(line, blank);
  return line;
}

function labelAs(line: Element, other: Element): void {
  const label = other.querySelector('textarea')?.getAttribute('aria-label');
  if (label) line.querySelector('textarea')?.setAttribute('aria-label', label);
}
