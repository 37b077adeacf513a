/** Forms marked `data-keep="NAME"` in the page of a study: what is typed into them is kept until the server has it, put
 * in again at the next opening, and said so. */
import type { FormSent, JournalWords, PageSettings } from '../api_types';
import { embeddedJson, fillPlaceholders, formatClockTime } from '../page/embedded';
import { postJson, Refusal } from '../server/client';
import { forgetRequest, nameRequest } from '../server/request_key';
import { fieldsOf, fillFields, forgetText, keepText, keptTexts, type Text } from './texts';

/** What a form needs besides its fields to be as it was: which finding it is about. */
interface Typed extends Text {
  action: string;
}

const PLACE = 'form ';

/** Shows a form that does not stand open by itself, as it was sent to an address; answers what is to be done once its
 * fields are filled, or null where what it was about is gone. */
type Reopen = (form: HTMLFormElement, action: string) => (() => void) | null;

/** Keep what is typed into the forms of a study, and put in what was kept. */
export function keepTyped(study: string, reopen: Reopen): void {
  const words = embeddedJson<PageSettings>('page-settings')?.journal.words;
  if (!words) return;
  const changed = (event: Event): void => {
    const form = event.target instanceof Element ? event.target.closest<HTMLFormElement>('form[data-keep]') : null;
    if (form) keepForm(form, study, words);
  };
  document.addEventListener('input', changed);
  document.addEventListener('change', changed);
  document.addEventListener('reset', (event) => {
    const form = event.target as HTMLFormElement;
    if (form.dataset['keep']) forgetText({ study, place: placeOf(form) });
  });
  document.addEventListener('submit', (event) => {
    const form = event.target as HTMLFormElement;
    if (!form.dataset['keep'] || event.defaultPrevented) return;
    event.preventDefault();
    // Kept with the text: sent again, also after a crash, it is the same request.
    nameRequest(form);
    keepForm(form, study, words);
    void sendForm(form, { study, place: placeOf(form) }, words);
  });
  void keptTexts<Typed>(study).then((texts) => {
    for (const text of texts) if (text.place.startsWith(PLACE)) restore(text, words, reopen);
  });
}

const placeOf = (form: HTMLFormElement): string => PLACE + (form.dataset['keep'] ?? '');

/** Send a form that a new page follows. The page stays until the server has it. */
async function sendForm(form: HTMLFormElement, of: Pick<Text, 'study' | 'place'>, words: JournalWords): Promise<void> {
  const buttons = [...form.querySelectorAll<HTMLButtonElement>('button')];
  for (const button of buttons) button.disabled = true;
  try {
    const { location } = await postJson<FormSent>(form.action, new FormData(form));
    forgetText(of);
    window.location.assign(location);
  } catch (problem) {
    // Refused, nothing was done: what is sent next is another request.
    if (problem instanceof Refusal) forgetRequest(form);
    say(form, problem instanceof Refusal ? problem.message : words.not_sent);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

/** One notice at the head of a form. */
function say(form: HTMLFormElement, ...parts: (string | Node)[]): void {
  form.querySelector('.typed-note')?.remove();
  const note = document.createElement('p');
  note.className = 'notice notice--warn small typed-note';
  note.setAttribute('role', 'status');
  note.append(...parts);
  form.prepend(note);
}

function keepForm(form: HTMLFormElement, study: string, words: JournalWords): void {
  const typed: Typed = {
    study,
    place: placeOf(form),
    words: words.typed_words,
    at: Date.now(),
    fields: fieldsOf(form),
    action: form.getAttribute('action') ?? '',
  };
  keepText(typed);
}

function restore(text: Typed, words: JournalWords, reopen: Reopen): void {
  const name = text.place.slice(PLACE.length);
  const forms = [...document.querySelectorAll<HTMLFormElement>('form[data-keep]')];
  const form = forms.find((each) => each.dataset['keep'] === name);
  const goOn = form ? reopen(form, text.action) : null;
  if (!form || !goOn) return forgetText(text);
  const [key] = text.fields['request_key'] ?? [];
  if (key) nameRequest(form, key);
  fillFields(form, text.fields);
  goOn();
  keepText(text); // opening the form has emptied it
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: words.forget_typed });
  button.className = 'button button--small';
  button.addEventListener('click', () => form.reset());
  const time = formatClockTime(new Date(text.at).toISOString());
  say(form, fillPlaceholders(words.typed_again, { time }), ' ', button);
  form.addEventListener('reset', () => form.querySelector('.typed-note')?.remove(), { once: true });
}
