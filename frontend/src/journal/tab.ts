/** Which page of this browser looks after an entry of the journal: each page has a name, and holds a lock of that name as
 * long as it lives, so that what a crashed page left is known and taken over by exactly one other. */

const PREFIX = 'cad-journal-page ';
const ADOPTING = 'cad-journal-adopting';

/** This page's name. */
export const thisTab = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16)).join('');

// The DOM's types promise locks everywhere; a page without TLS has none.
const locks = (): LockManager | undefined => (navigator as { locks?: LockManager }).locks;

/** From now on, until it is gone, this page counts as alive. */
export function stayAlive(): void {
  void locks()?.request(PREFIX + thisTab, () => new Promise(() => undefined));
}

/**
 * Take over what no living page looks after.
 *
 * @param take - Told whether the page of a name is alive. Where the browser has no locks none but this one seems to be:
 * the server does what comes twice only once.
 */
export async function adoptOrphans(take: (isAlive: (tab: string) => boolean) => Promise<void>): Promise<void> {
  const manager = locks();
  if (!manager) return take((tab) => tab === thisTab);
  await manager.request(ADOPTING, async () => {
    const { held = [] } = await manager.query();
    const alive = new Set(held.map((lock) => lock.name));
    await take((tab) => tab === thisTab || alive.has(PREFIX + tab));
  });
}
