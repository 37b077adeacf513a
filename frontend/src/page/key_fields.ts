/** The page of one's own keys: a field takes the key that is pressed in it, and says at once whose it is already. */
import type { PageSettings } from '../api_types';
import { embeddedJson } from './embedded';
import { isCharacter, keyName } from './key_names';

const fields = (): HTMLInputElement[] => [...document.querySelectorAll<HTMLInputElement>('[data-key-field]')];

/** Whether two commands may be asked for at one place. */
function overlap(one: HTMLInputElement, other: HTMLInputElement): boolean {
  const places = [one.dataset['place'], other.dataset['place']];
  return places[0] === places[1] || places.includes('image or list');
}

/** The words of the command that has this field's key already. */
function ownerOf(field: HTMLInputElement): string {
  const first = field.value.split(' ')[0];
  const other = fields().find(
    (each) =>
      each !== field &&
      each.value !== '' &&
      overlap(each, field) &&
      (each.value === field.value || each.value.split(' ')[0] === first),
  );
  return other?.labels?.[0]?.textContent ?? '';
}

function checkAll(words: string): void {
  for (const field of fields()) {
    const owner = field.value === '' ? '' : ownerOf(field);
    const error = document.getElementById(`${field.id}-error`);
    const text = owner && words.replace('{command}', owner);
    field.setAttribute('aria-invalid', String(owner !== ''));
    if (error && error.textContent !== text) error.textContent = text;
  }
}

function onKey(event: KeyboardEvent): boolean {
  const field = event.target;
  if (!(field instanceof HTMLInputElement) || event.isComposing || event.keyCode === 229) return false;
  const key = keyName(event);
  // These keep their meaning: to go on, to leave, to save.
  if (['', 'Tab', 'Shift+Tab', 'Escape', 'Enter'].includes(key)) return false;
  if (key === 'Backspace' || key === 'Delete') field.value = '';
  else if (isCharacter(key) || /^(Alt\+[a-z0-9]|F\d+)$/.test(key)) field.value = key;
  else return false;
  return true;
}

/** On the page of one's own keys. */
export function startKeyFields(): void {
  const words = embeddedJson<PageSettings>('page-settings')?.words.key_taken ?? '';
  const form = document.getElementById('keyboard-form');
  form?.addEventListener('keydown', (event) => {
    if (!onKey(event)) return;
    event.preventDefault();
    checkAll(words);
  });
}
