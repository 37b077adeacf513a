/** What the server refuses or fails to answer is said in place. */

const TOAST_MS = 8000;

interface SwapDetail {
  xhr: XMLHttpRequest;
  shouldSwap: boolean;
  isError: boolean;
}

/** React to what htmx reports of its requests: refusals and failures. */
export function startMessages(): void {
  document.addEventListener('htmx:beforeSwap', (event) => {
    const detail = (event as CustomEvent<SwapDetail>).detail;
    const { xhr } = detail;
    // A refusal comes as a message with its own place (web.middleware).
    if (xhr.getResponseHeader('HX-Retarget')) {
      detail.shouldSwap = true;
      detail.isError = false;
    }
  });
  document.addEventListener('htmx:afterSwap', (event) => {
    const target = (event as CustomEvent<{ target: HTMLElement }>).detail.target;
    if (target.id !== 'toasts') return;
    for (const note of target.children) window.setTimeout(() => note.remove(), TOAST_MS);
  });
}
