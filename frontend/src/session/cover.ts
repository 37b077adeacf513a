/** The dialog that comes over a page whose session has ended or is another's. What is beneath it stays as it is, and can
 * be neither reached nor changed. */
import type { SessionTrouble } from './session';

const OPAQUE = 'is-locked';
const TITLE_ID = 'session-cover-title';

export class Cover {
  private shown: SessionTrouble | null = null;
  /** What has the focus back when the cover goes. */
  private focusedBefore: Element | null = null;
  /** The page's own title while another stands in its place. */
  private title = '';

  /** @param onWish - Told what a button of the cover asks for (`data-does`). */
  constructor(
    private readonly dialog: HTMLDialogElement,
    onWish: (wish: string) => void,
  ) {
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    // A browser closes a dialog at the second Escape whatever its page says.
    dialog.addEventListener('close', () => this.shown && this.raise());
    dialog.addEventListener('click', (event) => {
      const button = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-does]') : null;
      if (button?.dataset['does']) onWish(button.dataset['does']);
    });
    // Whatever dialog the page opens meanwhile, such as one that waited for an answer, comes beneath.
    const observer = new MutationObserver((changes) => {
      const opened = changes.some(({ target }) => target !== dialog && (target as Element).matches('dialog[open]'));
      if (this.shown && opened) this.raise();
    });
    observer.observe(document, { subtree: true, attributes: true, attributeFilter: ['open'] });
  }

  /** Cover the page and say why; `other` is who is signed in instead. */
  show(trouble: SessionTrouble, other: string): void {
    if (!this.shown) this.focusedBefore = document.activeElement;
    this.shown = trouble;
    if (trouble === 'session_locked') this.makeOpaque();
    for (const part of this.dialog.querySelectorAll<HTMLElement>('[data-when]'))
      part.hidden = !(part.dataset['when'] ?? '').split(' ').includes(trouble);
    for (const place of this.dialog.querySelectorAll('[data-other-person]')) place.textContent = other;
    this.dialog.querySelector(`#${TITLE_ID}`)?.removeAttribute('id');
    const title = this.dialog.querySelector(`[data-when~=${trouble}] h2`);
    if (title) title.id = TITLE_ID;
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** Show the page again, as it was. */
  hide(): void {
    this.shown = null;
    document.documentElement.classList.remove(OPAQUE);
    if (this.title) document.title = this.title;
    this.title = '';
    this.dialog.close();
    if (this.focusedBefore instanceof HTMLElement && this.focusedBefore.isConnected) this.focusedBefore.focus();
  }

  /** Let nothing be seen of what is beneath until the cover goes, not even whose case it is. */
  makeOpaque(): void {
    document.documentElement.classList.add(OPAQUE);
    this.title ||= document.title;
    document.title = this.dialog.querySelector('[data-when=session_locked] h2')?.textContent ?? '';
  }

  /** Bring the cover over whatever else was opened. */
  private raise(): void {
    const { shown } = this;
    const focused = document.activeElement;
    this.shown = null;
    this.dialog.close();
    this.shown = shown;
    this.dialog.showModal();
    if (focused instanceof HTMLElement && this.dialog.contains(focused)) focused.focus();
  }
}
