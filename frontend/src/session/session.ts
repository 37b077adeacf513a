/** Whether somebody is signed in here, for everything that sends: who is told that the session has ended says so, and
 * who has something to send waits until it is renewed. */

let signedIn: Promise<void> = Promise.resolve();
let renewed: (() => void) | null = null;

/** An answer said that nobody is signed in (any more), or somebody else. */
export function reportSignedOut(): void {
  if (renewed) return;
  signedIn = new Promise((resolve) => {
    renewed = () => {
      renewed = null;
      resolve();
    };
  });
}

/** The same person is signed in again. */
export function reportSignedIn(): void {
  renewed?.();
}

/** Settles when the person of this page is signed in: at once, or after the session was renewed in place. */
export const whenSignedIn = (): Promise<void> => signedIn;
