/** JSON that the server puts into the page: descriptions and words, each typed by the model that made it. */

export function embeddedJson<T>(id: string): T | null {
  const element = document.getElementById(id);
  return element?.textContent ? (JSON.parse(element.textContent) as T) : null;
}

/** A sentence with its `{name}`s filled in. */
export function fillPlaceholders(sentence: string, values: Record<string, string | number>): string {
  return sentence.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

/** A clock time in the reader's own language. */
export function formatClockTime(iso: string): string {
  return new Date(iso).toLocaleTimeString(document.documentElement.lang || 'en-GB', { hour12: false });
}

/** Several names as one phrase, in the reader's own language. */
export const joinNames = (names: readonly string[]): string =>
  new Intl.ListFormat(document.documentElement.lang || 'en-GB', { type: 'conjunction' }).format(names);
