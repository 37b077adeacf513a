/** The browser's own store of what is not with the server yet. Each row belongs to one person and is written so that only
 * a page of that person can read it, where the browser can (it cannot on a page without TLS). */
import type { PageSettings } from '../api_types';
import { embeddedJson } from '../page/embedded';

const NAME = 'cad-journal';
/** A store that does not open or write must not hold up what a person does. */
const PATIENCE_MS = 1500;

const TABLES = ['sendings', 'texts'] as const;

/** The rows of one kind. */
type Table = (typeof TABLES)[number];

interface Row {
  id: string;
  user: number;
  iv: Uint8Array<ArrayBuffer> | null;
  value: unknown;
}

let database: Promise<IDBDatabase | null> | null = null;
let key: Promise<CryptoKey | null> | null = null;

const settings = (): PageSettings | null => embeddedJson<PageSettings>('page-settings');

/** Whose page this is; 0 where nobody is signed in. */
export const pageUser = (): number => settings()?.user?.id ?? 0;

/**
 * Keep a value under its name, in the place of what was there.
 *
 * @returns Whether it is kept: a browser may have no room, or forbid it.
 */
export async function keep(table: Table, id: string, value: unknown): Promise<boolean> {
  const row: Row = { id: idOf(id), user: pageUser(), ...(await seal(value)) };
  return (await inTable(table, 'readwrite', (rows) => rows.put(row))) !== undefined;
}

/** Remove a value, where it is there. */
export async function remove(table: Table, id: string): Promise<void> {
  await inTable(table, 'readwrite', (rows) => rows.delete(idOf(id)));
}

/** Remove everything of this page's person. */
export async function removeAll(): Promise<void> {
  for (const table of TABLES)
    await inTable(table, 'readwrite', (rows) => {
      const cursor = rows.index('user').openKeyCursor(pageUser());
      cursor.onsuccess = () => {
        if (!cursor.result) return;
        rows.delete(cursor.result.primaryKey);
        cursor.result.continue();
      };
      return cursor;
    });
}

/** All values of this page's person that it can read. */
export async function allKept<T>(table: Table): Promise<T[]> {
  const rows = await inTable<Row[]>(table, 'readonly', (all) => all.index('user').getAll(pageUser()));
  const values = await Promise.all((rows ?? []).map(open));
  return values.filter((value) => value !== null) as T[];
}

/** Another person's row of the same name is another row. */
const idOf = (id: string): string => `${pageUser()} ${id}`;

function inTable<T>(
  table: Table,
  mode: IDBTransactionMode,
  act: (rows: IDBObjectStore) => IDBRequest,
): Promise<T | undefined> {
  const done = opened().then(
    (found) =>
      new Promise<T | undefined>((resolve) => {
        if (!found) return resolve(undefined);
        // Written to the disk before it is answered: what crashes next must not take it along.
        const transaction = found.transaction(table, mode, { durability: 'strict' });
        const request = act(transaction.objectStore(table));
        transaction.oncomplete = () => resolve((request.result ?? null) as T);
        transaction.onerror = transaction.onabort = () => resolve(undefined);
      }),
  );
  const tooLate = new Promise<undefined>((resolve) => window.setTimeout(() => resolve(undefined), PATIENCE_MS));
  return Promise.race([done.catch(() => undefined), tooLate]);
}

function opened(): Promise<IDBDatabase | null> {
  database ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => {
        for (const table of TABLES)
          request.result.createObjectStore(table, { keyPath: 'id' }).createIndex('user', 'user');
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return database;
}

/** The key comes with the page, to this person only; it is nowhere in the store. */
function sealingKey(): Promise<CryptoKey | null> {
  const secret = settings()?.journal.key;
  key ??=
    secret && 'subtle' in crypto
      ? crypto.subtle.importKey('raw', bytesOf(secret), 'AES-GCM', false, ['encrypt', 'decrypt']).catch(() => null)
      : Promise.resolve(null);
  return key;
}

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

async function seal(value: unknown): Promise<Pick<Row, 'iv' | 'value'>> {
  const secret = await sealingKey();
  if (!secret) return { iv: null, value };
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const words = new TextEncoder().encode(JSON.stringify(value));
  return { iv, value: await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, secret, words) };
}

async function open(row: Row): Promise<unknown> {
  if (!row.iv) return row.value;
  const secret = await sealingKey();
  if (!secret) return null;
  try {
    const words = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: row.iv }, secret, row.value as ArrayBuffer);
    return JSON.parse(new TextDecoder().decode(words)) as unknown;
  } catch {
    return null; // sealed for another
  }
}
