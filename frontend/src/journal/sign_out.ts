/** Signing out clears what this browser keeps for a person; what is not with the server yet is asked about first. */
import type { JournalWords, PageSettings } from '../api_types';
import { embeddedJson, fillPlaceholders, joinNames } from '../page/embedded';
import { forgetAll, keptSendings, onKeptChange, sendNow } from './outgoing';
import { allKept, removeAll } from './storage';

/** Ask before a form marked `data-sign-out` is sent while something is kept here. */
export function guardSignOut(): void {
  const words = embeddedJson<PageSettings>('page-settings')?.journal.words;
  if (!words) return;
  const sure = new WeakSet<HTMLFormElement>();
  document.addEventListener(
    'submit',
    (event) => {
      const form = event.target;
      if (!(form instanceof HTMLFormElement) || !form.hasAttribute('data-sign-out') || sure.has(form)) return;
      event.preventDefault();
      event.stopPropagation();
      const leave = async (): Promise<void> => {
        sure.add(form);
        forgetAll();
        await removeAll();
        form.requestSubmit();
      };
      void keptWords().then((kept) => (kept.length === 0 ? leave() : ask(words, kept, leave)));
    },
    { capture: true },
  );
}

async function keptWords(): Promise<string[]> {
  const texts = await allKept<{ words: string }>('texts');
  return [...new Set([...keptSendings(), ...texts].map(({ words }) => words))];
}

/** What is kept may still get through while the dialog is open; then there is nothing left to ask. */
function ask(words: JournalWords, kept: string[], leave: () => Promise<void>): void {
  const dialog = document.createElement('dialog');
  dialog.className = 'dialog';
  dialog.setAttribute('aria-labelledby', 'sign-out-title');
  const title = Object.assign(document.createElement('h2'), {
    id: 'sign-out-title',
    textContent: words.sign_out_title,
  });
  const text = document.createElement('p');
  const foot = document.createElement('div');
  foot.className = 'dialog__foot';
  const show = (what: string[]): void => {
    text.textContent = fillPlaceholders(words.sign_out_text, { what: joinNames(what) });
  };
  const button = (label: string, look: string, act: () => void): HTMLElement => {
    const made = Object.assign(document.createElement('button'), { type: 'button', textContent: label });
    made.className = `button ${look}`;
    made.addEventListener('click', act);
    foot.append(made);
    return made;
  };
  show(kept);
  button(words.stay, 'button--quiet', () => dialog.close());
  button(words.throw_away, 'button--danger', () => void leave());
  const first = button(words.send_now, 'button--primary', sendNow);
  dialog.append(title, text, foot);
  document.body.append(dialog);
  dialog.addEventListener('close', () => dialog.remove());
  onKeptChange(() => {
    if (!dialog.isConnected) return;
    void keptWords().then((left) => (left.length === 0 ? leave() : show(left)));
  });
  dialog.showModal();
  first.focus();
}
