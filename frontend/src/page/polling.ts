/** One clock for everything on a page that keeps itself current: `cad:poll` on the document, every few seconds
 * while the page is looked at. The server answers 204 while nothing changed, so nothing on the page moves. */
import { isSignedIn, onSessionChange } from '../session/session';
import { dispatchCaseEvent } from './case_events';

const PERIOD_MS = 4000;

/** Dispatch `cad:poll` from now on, and at once when the reader comes back to the page or the session. */
export function startPolling(): void {
  const tick = (): void => {
    if (document.visibilityState === 'visible' && isSignedIn()) dispatchCaseEvent('cad:poll', {});
  };
  window.setInterval(tick, PERIOD_MS);
  document.addEventListener('visibilitychange', tick);
  onSessionChange((trouble) => trouble ?? tick());
}
