/** Names a request for ever: the server does what comes twice under one key only once (`core/request_keys.py`). */

const FIELD = 'request_key';

/** A new key. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** Put a value into a form that its page did not give it. */
export function setHidden(form: HTMLFormElement, name: string, value: string): void {
  const known = form.elements.namedItem(name);
  if (known instanceof HTMLInputElement) {
    known.value = value;
    return;
  }
  const input = document.createElement('input');
  input.type = 'hidden';
  input.name = name;
  input.value = value;
  form.append(input);
}

/** Give a form its key, unless it was sent under one before and nobody knows what became of it. */
export function nameRequest(form: HTMLFormElement, key = newKey()): void {
  if (!new FormData(form).get(FIELD)) setHidden(form, FIELD, key);
}

/** What the form sends next is another request. */
export function forgetRequest(form: HTMLFormElement): void {
  form.querySelector(`input[name=${FIELD}]`)?.remove();
}
