/** What a key does, and when it may: only while what it acts on has the focus (WCAG 2.1.4, ADR 35). Which key starts
 * which command comes with the page (`accounts.commands`, as the person changed it); what a command does is registered
 * by whoever does it. */
import type { PageSettings, Shortcut } from '../api_types';
import { embeddedJson } from './embedded';
import { arrowsName, isCharacter, keyName } from './key_names';

/** The action returns false when it did not apply. */
type Action = (event: KeyboardEvent) => boolean | void;

/** Characters that come within this time of one another are text: people leave more between two keys. */
const QUIET_MS = 50;
/** Readers go from finding to finding and decide as fast as they can: these keys before a decision are no text. */
const PACE: readonly string[] = ['next-finding', 'previous-finding'];

const actions = new Map<string, Action>();
let shortcuts: readonly Shortcut[] = [];

/** Say what a command does. */
export function registerCommand(id: string, action: Action): void {
  actions.set(id, action);
}

/** Of the commands of a key the one that acts where the focus is; two places may share a key. */
function shortcutAt(key: string, target: EventTarget | null): Shortcut | undefined {
  return shortcuts.find(
    ({ keys, place }) => (keys.includes(key) || keys.includes(arrowsName(key))) && actsAt(place, target),
  );
}

function actsAt(place: Shortcut['place'], target: EventTarget | null): boolean {
  if (place === 'page') return true;
  // The element itself: a button in the image, or a field in the row, is none of it.
  const focused = target instanceof HTMLElement ? (target.dataset['keys'] ?? '') : '';
  return focused !== '' && (place === focused || place === 'image or list');
}

// --- text that comes at once ------------------------------------------------------------------------------

let lastCharacterAt = -Infinity;
/** Whether the characters that came one right after the other have more in them than keys of the pace. */
let isText = false;
let waiting = 0;

/** Whether the characters right before the one that is being pressed were text. */
let wasText = false;

/** What an input method composes is text, whatever keys it takes. */
const isComposed = (event: KeyboardEvent): boolean => event.isComposing || event.keyCode === 229;

/** Keep count of the page's characters, before whatever acts on them. */
function countCharacter(event: KeyboardEvent): void {
  wasText = false;
  const key = keyName(event);
  if (isComposed(event) || event.repeat || !(isCharacter(key) || key === 'Enter')) return;
  window.clearTimeout(waiting);
  wasText = isText && event.timeStamp - lastCharacterAt < QUIET_MS;
  isText = wasText || !PACE.includes(shortcutAt(key, event.target)?.id ?? '');
  lastCharacterAt = event.timeStamp;
}

/** Do something for the character that is being pressed, unless another comes right before or after it. */
export function whenQuiet(run: () => unknown): void {
  if (!wasText) waiting = window.setTimeout(() => void run(), QUIET_MS);
}

/** The button or link that this key would press. */
function pressedBy({ key, target }: KeyboardEvent): HTMLElement | null {
  if (target instanceof HTMLButtonElement) return key === ' ' || key === 'Enter' ? target : null;
  return target instanceof HTMLAnchorElement && key === 'Enter' ? target : null;
}

/** Dictated spaces and line ends would press what has the focus; a person's are followed by nothing. A list that is
 * renewed meanwhile has another element for the same row. */
function pressWhenQuiet(event: KeyboardEvent, button: HTMLElement): void {
  event.preventDefault();
  if (!event.repeat) whenQuiet(() => (button.isConnected ? button : document.getElementById(button.id))?.click());
}

// --- keys -------------------------------------------------------------------------------------------------

let firstOfTwo = '';

const isModalOpen = (): boolean => document.querySelector('dialog[open]:modal') !== null;

/** Whether keys that arrive at this element are text or a choice. */
function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement)
    return true;
  return (
    target instanceof HTMLInputElement && !['checkbox', 'radio', 'range', 'button', 'submit'].includes(target.type)
  );
}

function onKeyDown(event: KeyboardEvent): void {
  if (isComposed(event) || event.defaultPrevented) return;
  const key = keyName(event);
  const button = pressedBy(event);
  if (button) pressWhenQuiet(event, button);
  else if (!isModalOpen() && !(key === 'Escape' && isTyping(event.target))) run(event, key);
}

function run(event: KeyboardEvent, key: string): void {
  const both = firstOfTwo && shortcutAt(`${firstOfTwo} ${key}`, event.target);
  firstOfTwo = both ? '' : key;
  const shortcut = both || shortcutAt(key, event.target);
  const action = shortcut && actions.get(shortcut.id);
  if (!action) return;
  // A held key must not decide again and again.
  if (event.repeat && !shortcut.repeats) event.preventDefault();
  else if (shortcut.changes_record) {
    event.preventDefault();
    whenQuiet(() => isModalOpen() || action(event));
  } else if (action(event) !== false) event.preventDefault();
}

function openDialog(id: string): void {
  const dialog = document.getElementById(id);
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}

/** Listen for keys, and for buttons that open and close a page's dialogs. */
export function startKeyboard(): void {
  shortcuts = embeddedJson<PageSettings>('page-settings')?.shortcuts ?? [];
  document.addEventListener('keydown', countCharacter, true);
  document.addEventListener('keydown', onKeyDown);
  document.addEventListener('click', (event) => {
    const opener = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-opens]') : null;
    if (opener?.dataset['opens']) openDialog(opener.dataset['opens']);
    const closer = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-closes]') : null;
    closer?.closest('dialog')?.close();
  });
  registerCommand('sheet', () => openDialog('shortcuts'));
  registerCommand('worklist', () => {
    const worklist = document.querySelector<HTMLAnchorElement>('.shell-nav a[href$="/worklist/"]');
    if (worklist) window.location.assign(worklist.href);
  });
}
