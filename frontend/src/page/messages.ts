/** What the server refuses or fails to answer is said in place; a lost session leads to the sign-in page. */
import type { PageSettings } from '../api_types';
import { embeddedJson } from './embedded';

const TOAST_MS = 8000;

function showFailure(text: string): void {
  const note = document.createElement('p');
  note.className = 'notice notice--danger';
  note.textContent = text;
  document.getElementById('toasts')?.append(note);
  window.setTimeout(() => note.remove(), TOAST_MS);
}

interface SwapDetail {
  xhr: XMLHttpRequest;
  shouldSwap: boolean;
  isError: boolean;
}

let lastFailure = 0;

function reportUnreachable(): void {
  // A server that is down would otherwise be announced with every poll.
  if (Date.now() - lastFailure < 30_000) return;
  lastFailure = Date.now();
  showFailure(embeddedJson<PageSettings>('page-settings')?.words.no_answer ?? '');
}

/** React to what htmx reports of its requests: sign-in pages, refusals and failures. */
export function startMessages(): void {
  document.addEventListener('htmx:beforeSwap', (event) => {
    const detail = (event as CustomEvent<SwapDetail>).detail;
    const { xhr } = detail;
    if (new URL(xhr.responseURL || window.location.href).pathname.startsWith('/accounts/login')) {
      detail.shouldSwap = false;
      window.location.reload();
      return;
    }
    // A refusal comes as a message with its own place (web.middleware).
    if (xhr.getResponseHeader('HX-Retarget')) {
      detail.shouldSwap = true;
      detail.isError = false;
    }
  });
  document.addEventListener('htmx:sendError', reportUnreachable);
  document.addEventListener('htmx:timeout', reportUnreachable);
  document.addEventListener('htmx:responseError', reportUnreachable);
  document.addEventListener('htmx:afterSwap', (event) => {
    const target = (event as CustomEvent<{ target: HTMLElement }>).detail.target;
    if (target.id !== 'toasts') return;
    for (const note of target.children) window.setTimeout(() => note.remove(), TOAST_MS);
  });
}
