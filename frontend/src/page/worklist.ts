/** By key from row to row of the worklist, and to its search. Enter opens, because each row is a link. */
import { registerCommand } from './keyboard';

const worklistLinks = (): HTMLAnchorElement[] => [...document.querySelectorAll<HTMLAnchorElement>('.worklist__link')];

function focusNeighbour(by: 1 | -1): boolean {
  const all = worklistLinks();
  if (all.length === 0) return false;
  const current = all.indexOf(document.activeElement as HTMLAnchorElement);
  const next = current === -1 ? (by === 1 ? 0 : all.length - 1) : Math.min(Math.max(current + by, 0), all.length - 1);
  all[next]?.focus();
  all[next]?.closest('tr')?.scrollIntoView({ block: 'nearest' });
  return true;
}

/** Add the worklist's shortcuts, on the page that has its search field. */
export function startWorklist(): void {
  const search = document.getElementById('search');
  if (!search) return;
  registerCommand('next-study', () => focusNeighbour(1));
  registerCommand('previous-study', () => focusNeighbour(-1));
  registerCommand('search', () => search.focus());
  // From the search on into its results, or back to the list's own keys.
  search.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' && !event.isComposing && focusNeighbour(1)) event.preventDefault();
    if (event.key === 'Escape') search.blur();
  });
}
