/** What a person typed, decided or marked, on its way to the server: kept in this browser, through crashes, until the
 * server has it. The server does what comes twice under one key only once (`core/request_keys.py`). */
import { postJson, Refusal } from '../server/client';
import { isAway, onConnectionChange } from '../server/connection';
import { whenSignedIn } from '../session/session';
import { allKept, keep, pageUser, remove } from './storage';
import { adoptOrphans, stayAlive, thisTab } from './tab';

/** One thing that a person did and that the server must learn. */
interface Sending {
  /** Names it for ever: the server does what comes twice under one key only once. */
  key: string;
  /** Of which study, by its UID. */
  study: string;
  /** Of those that wait under the same name only the newest is sent: text and views, not decisions. */
  replaces?: string;
  /** What of the study it is about, for who shows it there as not sent yet: a finding's id. */
  about?: string;
  address: string;
  fields: Readonly<Record<string, string | readonly string[]>>;
  /** What it is, for the list of what is kept here and not yet there: "Accept finding 3". */
  words: string;
}

/** A sending as it is kept. */
export interface Kept extends Sending {
  made: number;
  tab: string;
  /** Whether it was tried in vain. */
  failed: boolean;
  /** The server has it and says no, with this sentence; it stays until the person tries again or gives it up. */
  refused?: string;
  /** Which refusal it is. */
  code?: string;
}

interface Promised {
  resolve: (answer: unknown) => void;
  reject: (problem: unknown) => void;
}

/** One kept sending with who waits for it. */
interface Entry {
  kept: Kept;
  waiting: Promised[];
}

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 8000;
/** A save that is not answered by now is given up and sent again. */
const SEND_TIMEOUT_MS = 10_000;
const ADOPT_MS = 20_000;
/** Refusals that pass by themselves. */
const PASSING = ['csrf_failed', 'too_many_requests', 'request_timeout'];

let entries: Entry[] = [];
const running = new Set<string>();
const changed: (() => void)[] = [];
const sent: ((sending: Sending, answer: unknown) => void)[] = [];
const woken = new Set<() => void>();

/**
 * Keep it, and send it until the server has it. What waits under the same `replaces` is not sent any more; who waits for
 * it is answered with this one.
 *
 * @throws Refusal when the server has it and says no; whatever else goes wrong is waited out.
 */
export function send<T>(sending: Sending): Promise<T> {
  return new Promise((resolve, reject) => {
    const kept = { ...sending, made: Date.now(), tab: thisTab, failed: false };
    const entry: Entry = { kept, waiting: [{ resolve: resolve as Promised['resolve'], reject }] };
    entries.push(entry);
    supersede(laneOf(kept));
    announce();
    void keep('sendings', kept.key, kept).then(() => run(laneOf(kept)));
  });
}

/** What is kept here and not yet there, the oldest first. */
export const keptSendings = (): Kept[] => entries.map(({ kept }) => kept);

/** Forget everything that waits: its person has signed out, and was asked. */
export function forgetAll(): void {
  entries = [];
  announce();
}

/** Be told whenever what is kept changes. */
export function onKeptChange(listener: () => void): void {
  changed.push(listener);
}

/** Be told of each sending that the server has taken, also of those that an earlier page began, with its answer. */
export function onSent(listener: (sending: Sending, answer: unknown) => void): void {
  sent.push(listener);
}

/** Send what was refused once more, as the person wishes who has read why. */
export function tryAgain(key: string): void {
  const entry = entries.find(({ kept }) => kept.key === key);
  if (!entry) return;
  const { kept } = entry;
  // Whoever tries again has read that somebody else decided meanwhile.
  const fields = { ...kept.fields };
  if (kept.code === 'decided_meanwhile') delete fields['seen'];
  entry.kept = { ...kept, fields, failed: false };
  delete entry.kept.refused;
  announce();
  void keep('sendings', key, entry.kept).then(() => run(laneOf(entry.kept)));
}

/** Forget a sending: its person does not want it any more. */
export function giveUp(key: string): void {
  const entry = entries.find((each) => each.kept.key === key);
  if (entry) forget(entry);
}

/** Wake whatever pauses between two tries. */
export function sendNow(): void {
  for (const wake of woken) wake();
}

/** From now on, look after what earlier pages of this person left. */
export function startSending(): void {
  if (!pageUser()) return;
  stayAlive();
  void adopt();
  window.setInterval(() => void adopt(), ADOPT_MS);
  onConnectionChange(() => isAway() || sendNow());
}

async function adopt(): Promise<void> {
  await adoptOrphans(async (isAlive) => {
    const known = new Set(keptSendings().map(({ key }) => key));
    const orphans = (await allKept<Kept>('sendings')).filter(({ key, tab }) => !known.has(key) && !isAlive(tab));
    orphans.sort((one, other) => one.made - other.made);
    await Promise.all(orphans.map((kept) => keep('sendings', kept.key, { ...kept, tab: thisTab })));
    entries = [...orphans.map((kept) => ({ kept: { ...kept, tab: thisTab }, waiting: [] })), ...entries];
    for (const lane of new Set(orphans.map(laneOf))) {
      supersede(lane);
      void run(lane);
    }
    if (orphans.length > 0) announce();
  });
}

/** What is sent one after the other: all that was decided in a study, and each thing that replaces itself. */
const laneOf = ({ study, replaces = '' }: Sending): string => `${study} ${replaces}`;

/** In a lane that replaces itself the newest makes the others superfluous, but for one that is on its way just now. */
function supersede(lane: string): void {
  const newest = entries.findLast(({ kept }) => laneOf(kept) === lane);
  if (newest?.kept.replaces === undefined) return;
  for (const entry of entries) {
    if (entry === newest || laneOf(entry.kept) !== lane || entry === onItsWay.get(lane)) continue;
    newest.waiting.push(...entry.waiting.splice(0));
    forget(entry);
  }
}

/** By lane, the entry that is being sent. */
const onItsWay = new Map<string, Entry>();

/** Send a lane's entries in their order until none is left. */
async function run(lane: string): Promise<void> {
  if (running.has(lane)) return;
  running.add(lane);
  let pause = FIRST_RETRY_MS;
  for (let entry = next(lane); entry; entry = next(lane)) {
    await whenSignedIn();
    onItsWay.set(lane, entry);
    const answered = await attempt(entry);
    onItsWay.delete(lane);
    supersede(lane);
    if (answered) pause = FIRST_RETRY_MS;
    else {
      await sleep(pause);
      pause = Math.min(pause * 2, LAST_RETRY_MS);
    }
  }
  running.delete(lane);
}

const next = (lane: string): Entry | undefined =>
  entries.find(({ kept }) => laneOf(kept) === lane && kept.refused === undefined);

/** Whether the server has answered, be it with a refusal. */
async function attempt(entry: Entry): Promise<boolean> {
  const { kept } = entry;
  try {
    const answer = await postJson<unknown>(kept.address, bodyOf(kept), { timeout: SEND_TIMEOUT_MS });
    forget(entry);
    for (const { resolve } of entry.waiting) resolve(answer);
    for (const listener of sent) listener(kept, answer);
    return true;
  } catch (problem) {
    if (problem instanceof Refusal && !PASSING.includes(problem.code)) {
      refuse(entry, problem);
      return true;
    }
    kept.failed = true;
    announce();
    return false;
  }
}

/** What replaces itself is told to who sent it; anything else is lost to nobody before its person has read why. */
function refuse(entry: Entry, refusal: Refusal): void {
  const { kept } = entry;
  if (kept.replaces === undefined) {
    kept.refused = refusal.message;
    kept.code = refusal.code;
    void keep('sendings', kept.key, kept);
    announce();
  } else forget(entry);
  for (const { reject } of entry.waiting.splice(0)) reject(refusal);
}

function bodyOf({ key, fields }: Sending): FormData {
  const body = new FormData();
  body.set('request_key', key);
  for (const [name, value] of Object.entries(fields))
    for (const each of typeof value === 'string' ? [value] : value) body.append(name, each);
  return body;
}

function forget(entry: Entry): void {
  entries = entries.filter((each) => each !== entry);
  void remove('sendings', entry.kept.key);
  announce();
}

/** Ends early when the server is back. */
function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      window.clearTimeout(timer);
      woken.delete(wake);
      resolve();
    };
    const timer = window.setTimeout(wake, ms);
    woken.add(wake);
  });
}

function announce(): void {
  for (const listener of changed) listener();
}
