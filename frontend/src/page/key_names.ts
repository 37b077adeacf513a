/** What a key is called in the table of commands: `a`, `Shift+b`, `?`, `Space`, `PageUp`, `Alt+3`, `Arrows`. */

const ARROWS: Readonly<Record<string, string>> = { ArrowLeft: '', ArrowRight: '', ArrowUp: '', ArrowDown: '' };

/** The letter that stands where a keyboard of another script, or Alt on a Mac, types something else. */
const letterAt = (code: string): string => /^Key([A-Z])$/.exec(code)?.[1]?.toLowerCase() ?? '';
const digitAt = (code: string): string => /^Digit(\d)$/.exec(code)?.[1] ?? '';

/** The name of what was pressed; empty where it is no key of a command, such as Shift alone or a character by AltGr. */
export function keyName(event: KeyboardEvent): string {
  const { key, code, shiftKey } = event;
  if (['Shift', 'Control', 'Alt', 'Meta', 'Dead', 'Process', 'Unidentified', 'CapsLock'].includes(key)) return '';
  const isPrinted = [...key].length === 1;
  // With AltGr a key types its third sign: text.
  if (isPrinted && event.getModifierState('AltGraph')) return '';
  const modifiers = [event.ctrlKey || event.metaKey ? 'Ctrl+' : '', event.altKey ? 'Alt+' : ''].join('');
  if (!isPrinted) return `${modifiers}${shiftKey ? 'Shift+' : ''}${key}`;
  if (key === ' ') return `${modifiers}${shiftKey ? 'Shift+' : ''}Space`;
  // A sign of its own has Shift in it already; a letter is named small, whatever Caps Lock says.
  const isLatin = /^[a-z]$/i.test(key);
  const plain = event.altKey ? letterAt(code) || digitAt(code) || key.toLowerCase() : key.toLowerCase();
  const isLetter = plain !== plain.toUpperCase();
  const letter = !isLatin && isLetter ? letterAt(code) || plain : plain;
  return `${modifiers}${shiftKey && isLetter ? 'Shift+' : ''}${letter}`;
}

/** All four arrows are one key of the table. */
export function arrowsName(name: string): string {
  const modifiers = /^(Ctrl\+)?(Shift\+)?/.exec(name)?.[0] ?? '';
  return name.slice(modifiers.length) in ARROWS ? `${modifiers}Arrows` : name;
}

/** Whether a key types a character, so that it comes with dictated text. */
export const isCharacter = (name: string): boolean =>
  name === 'Space' || [...name.replace(/^Shift\+/, '')].length === 1;
