/** What is typed and not sent yet, kept as it is typed: a tab that crashes does not take it along. One text for each place
 * of a study, such as a draft or a form. */
import { allKept, keep, remove } from './storage';

/** The fields of a form by their names; several of one name in their order. */
type Fields = Record<string, string[]>;

/** What stood in a form. */
export interface Text {
  study: string;
  /** Which form of the study. */
  place: string;
  /** What it is, for the question at signing out. */
  words: string;
  /** When it was typed last. */
  at: number;
  fields: Fields;
}

/** What is typed is kept this soon. */
const KEEP_MS = 200;

const idOf = ({ study, place }: Pick<Text, 'study' | 'place'>): string => `${study} ${place}`;
const timers = new Map<string, number>();
const newest = new Map<string, Text>();
const underWay = new Map<string, Promise<unknown>>();

/** Keep a text in the place of the one before, soon: many keys are one writing, and who never pauses is kept as well. */
export function keepText(text: Text): void {
  const id = idOf(text);
  newest.set(id, text);
  if (timers.has(id)) return;
  const write = (): void => {
    timers.delete(id);
    const latest = newest.get(id);
    newest.delete(id);
    inTurn(id, () => keep('texts', id, latest));
  };
  timers.set(id, window.setTimeout(write, KEEP_MS));
}

/** It is with the server, or its person does not want it. */
export function forgetText(of: Pick<Text, 'study' | 'place'>): void {
  const id = idOf(of);
  window.clearTimeout(timers.get(id));
  timers.delete(id);
  newest.delete(id);
  inTurn(id, () => remove('texts', id));
}

/** A writing is sealed first, which takes a moment: what is forgotten meanwhile must not come back. */
function inTurn(id: string, act: () => Promise<unknown>): void {
  const done = (underWay.get(id) ?? Promise.resolve()).then(act).finally(() => {
    if (underWay.get(id) === done) underWay.delete(id);
  });
  underWay.set(id, done);
}

/** The texts of a study that are kept. */
export async function keptTexts<T extends Text>(study: string): Promise<T[]> {
  return (await allKept<T>('texts')).filter((text) => text.study === study);
}

/** What stands in a form; its token, files and passwords aside, which nothing keeps. */
export function fieldsOf(form: HTMLFormElement): Fields {
  const fields: Fields = {};
  const secrets = [...form.querySelectorAll<HTMLInputElement>('input[type="password"]')].map(({ name }) => name);
  for (const [name, value] of new FormData(form))
    if (typeof value === 'string' && name !== 'csrfmiddlewaretoken' && !secrets.includes(name))
      (fields[name] ??= []).push(value);
  return fields;
}

/** Put values into the fields of a form that have their names, in their order. */
export function fillFields(form: HTMLFormElement, fields: Fields): void {
  for (const [name, values] of Object.entries(fields)) {
    const controls = [...form.elements].filter((each) => each.getAttribute('name') === name);
    controls.forEach((control, index) => {
      const value = values[index];
      if (control instanceof HTMLInputElement && ['radio', 'checkbox'].includes(control.type))
        control.checked = values.includes(control.value);
      else if (
        value !== undefined &&
        (control instanceof HTMLInputElement ||
          control instanceof HTMLTextAreaElement ||
          control instanceof HTMLSelectElement)
      )
        control.value = value;
    });
  }
}
