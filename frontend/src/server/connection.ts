/** Whether the server answers this page: every request says how it fares, and whoever shows or waits for it asks here.
 * A server that hangs counts as away long before its requests are given up. */

/** A request without an answer for this long makes the state visible; the request itself may still be answered. */
const SLOW_MS = 2500;
/** Of a server that is away behind a proxy, or whose database is. */
export const AWAY = [502, 503, 504];
const PROBE_MS = 2000;
/** Database and storage answer, not only the process. */
const PROBE_ADDRESS = '/readyz/web';

let away = false;
let probing = 0;
const listeners: (() => void)[] = [];

/** Whether the last that was heard of the server is that it does not answer. */
export const isAway = (): boolean => away;

/** Be told of each change from now on. */
export function onConnectionChange(listener: () => void): void {
  listeners.push(listener);
}

/** A request failed without an answer, or has had none for too long. */
export function reportAway(): void {
  window.clearTimeout(probing);
  probing = window.setTimeout(() => void probe(), PROBE_MS);
  change(true);
}

/** Something was answered. */
export function reportAnswered(): void {
  window.clearTimeout(probing);
  change(false);
}

/** Look after a request whose answer should come soon: if it hangs, it says so, until the function returned is called. */
export function reportWhenSlow(): () => void {
  const timer = window.setTimeout(reportAway, SLOW_MS);
  return () => window.clearTimeout(timer);
}

/** htmx asks by requests of its own: they tell as much of the server as the scripts' (`client.ts`). */
export function watchFragments(): void {
  const watched = new WeakMap<XMLHttpRequest, () => void>();
  const on = (event: string, then: (xhr: XMLHttpRequest) => void): void =>
    document.addEventListener(event, (happened) => then((happened as CustomEvent<{ xhr: XMLHttpRequest }>).detail.xhr));
  on('htmx:beforeSend', (xhr) => watched.set(xhr, reportWhenSlow()));
  on('htmx:afterRequest', (xhr) => watched.get(xhr)?.());
  on('htmx:sendError', reportAway);
  on('htmx:timeout', reportAway);
  on('htmx:beforeOnLoad', ({ status }) => (AWAY.includes(status) ? reportAway() : reportAnswered()));
}

/** Notice at once what the browser itself knows of the network. */
export function watchNetwork(): void {
  window.addEventListener('offline', reportAway);
  window.addEventListener('online', () => void probe());
}

/** While the server is away, the page need not wait for its own next request to notice that it is back. */
async function probe(): Promise<void> {
  window.clearTimeout(probing);
  try {
    const response = await fetch(PROBE_ADDRESS, { cache: 'no-store', signal: AbortSignal.timeout(SLOW_MS) });
    if (response.ok) return reportAnswered();
  } catch {
    // Away still.
  }
  if (away) probing = window.setTimeout(() => void probe(), PROBE_MS);
}

function change(to: boolean): void {
  if (away === to) return;
  away = to;
  for (const listener of listeners) listener();
}
