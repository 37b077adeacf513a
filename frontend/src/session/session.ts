/** Whether the person of this page is signed in here, for everything that sends: who is told that the session has ended
 * says so, and who has something to send waits until it is renewed (`renewal.ts` sees to that). */

/** What may stand between this page and the server; as the server calls them (`accounts/session_states.py`). */
export type SessionTrouble = 'signed_out' | 'other_user' | 'session_locked' | 'password_due';

const TROUBLES: readonly string[] = ['signed_out', 'other_user', 'session_locked', 'password_due'];

/** Something is the matter with the session, or (null) no longer. */
type Listener = (trouble: SessionTrouble | null) => void;

let signedIn: Promise<void> = Promise.resolve();
let renewed: (() => void) | null = null;
let trouble: SessionTrouble | null = null;
const listeners: Listener[] = [];

/** Be told of each change from now on. */
export function onSessionChange(listener: Listener): void {
  listeners.push(listener);
}

/** An answer said that nobody is signed in (any more), or somebody else. */
export function reportSignedOut(reason: SessionTrouble = 'signed_out'): void {
  if (!renewed) {
    signedIn = new Promise((resolve) => {
      renewed = () => {
        renewed = null;
        resolve();
      };
    });
  }
  if (trouble === reason) return;
  trouble = reason;
  for (const listener of listeners) listener(reason);
}

/** The same person is signed in again. */
export function reportSignedIn(): void {
  if (!renewed) return;
  trouble = null;
  renewed();
  for (const listener of listeners) listener(null);
}

/** Whether nothing is known to stand in the way: what asks by itself, again and again, need not ask just now. */
export const isSignedIn = (): boolean => renewed === null;

/** Settles when the person of this page is signed in: at once, or after the session was renewed in place. */
export const whenSignedIn = (): Promise<void> => signedIn;

/** Which trouble the last part of a problem's type names; null for any other problem. */
export const troubleOf = (code: string): SessionTrouble | null =>
  TROUBLES.includes(code) ? (code as SessionTrouble) : null;
