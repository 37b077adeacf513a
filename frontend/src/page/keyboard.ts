/** Shortcuts of every page, and the registry that pages add theirs to. Single keys never act while text is
 * being typed or a dialog is open (WCAG 2.1.4). */

type Action = (event: KeyboardEvent) => boolean | void;

const actions = new Map<string, Action>();

/** Bind a key (`event.key`, as typed). The action returns false when it did not apply. */
export function registerShortcut(key: string, action: Action): void {
  actions.set(key, action);
}

/** Whether keys that arrive at this element are text or a choice, not shortcuts. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement)
    return true;
  return (
    target instanceof HTMLInputElement && !['checkbox', 'radio', 'range', 'button', 'submit'].includes(target.type)
  );
}

function openDialog(id: string): void {
  const dialog = document.getElementById(id);
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}

let pressedPrefix = '';

function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector('dialog[open]:modal')) return;
  if (pressedPrefix === 'g' && event.key === 'w') {
    pressedPrefix = '';
    const worklist = document.querySelector<HTMLAnchorElement>('.shell-nav a[href$="/worklist/"]');
    if (worklist) window.location.assign(worklist.href);
    return;
  }
  pressedPrefix = event.key === 'g' ? 'g' : '';
  const action = actions.get(event.key);
  if (action && action(event) !== false) event.preventDefault();
}

/** Listen for shortcuts, and for buttons that open and close a page's dialogs. */
export function startKeyboard(): void {
  document.addEventListener('keydown', onKeyDown);
  document.addEventListener('click', (event) => {
    const opener = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-opens]') : null;
    if (opener?.dataset['opens']) openDialog(opener.dataset['opens']);
    const closer = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-closes]') : null;
    closer?.closest('dialog')?.close();
  });
  registerShortcut('?', () => openDialog('shortcuts'));
}
