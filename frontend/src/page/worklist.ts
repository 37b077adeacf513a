/** j and k walk the worklist's rows, / goes to the search. Enter opens, because each row is a link. */
import { onKey } from './keyboard';

const rows = (): HTMLAnchorElement[] => [...document.querySelectorAll<HTMLAnchorElement>('.worklist__link')];

function step(by: 1 | -1): boolean {
  const all = rows();
  if (all.length === 0) return false;
  const current = all.indexOf(document.activeElement as HTMLAnchorElement);
  const next = current === -1 ? (by === 1 ? 0 : all.length - 1) : Math.min(Math.max(current + by, 0), all.length - 1);
  all[next]?.focus();
  all[next]?.closest('tr')?.scrollIntoView({ block: 'nearest' });
  return true;
}

export function startWorklist(): void {
  const search = document.getElementById('search');
  if (!search) return;
  onKey('j', () => step(1));
  onKey('k', () => step(-1));
  onKey('/', () => search.focus());
  // From the search on into its results, or back to the list's own keys.
  search.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' && step(1)) event.preventDefault();
    if (event.key === 'Escape') search.blur();
  });
}
