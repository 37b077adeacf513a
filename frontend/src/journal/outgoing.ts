/** What a person typed, decided or marked, on its way to the server: kept in this browser until the server has it. */
import { NoAnswer, postJson, SignedOut } from '../server/client';
import { reportSignedOut, whenSignedIn } from '../session/session';

/** One thing that a person did and that the server must learn. */
export interface Sending {
  /** Names it for ever: the server does what comes twice under one key only once. */
  key: string;
  /** Of which study, by its UID. */
  study: string;
  /** Of those that wait under the same name only the newest is sent: text and views, not decisions. */
  replaces?: string;
  address: string;
  fields: Readonly<Record<string, string | readonly string[]>>;
  /** What it is, for the list of what is kept here and not yet there: "Accept finding 3". */
  words: string;
}

const RETRY_MS = 4000;

/** A new key. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/**
 * Keep it, and send it until the server has it.
 *
 * @throws Refusal when the server has it and says no; whatever else goes wrong is waited out.
 */
export async function send<T>(sending: Sending): Promise<T> {
  const body = new FormData();
  body.set('request_key', sending.key);
  for (const [name, value] of Object.entries(sending.fields))
    for (const each of typeof value === 'string' ? [value] : value) body.append(name, each);
  for (;;) {
    await whenSignedIn();
    try {
      return await postJson<T>(sending.address, body);
    } catch (problem) {
      if (problem instanceof SignedOut) reportSignedOut();
      else if (problem instanceof NoAnswer) await new Promise((resolve) => window.setTimeout(resolve, RETRY_MS));
      else throw problem;
    }
  }
}
