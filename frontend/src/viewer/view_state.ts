/** How the reader left images and stage: restored when a pane is built, sent when it changes, and said where it is not
 * as it opens, so that no part of an image is out of sight unsaid. */
import type { CaseDescription, CaseImage, CaseWords, ImageView, StageView, ViewKept } from '../api_types';
import { send } from '../journal/outgoing';
import { newKey } from '../server/request_key';
import { Refusal } from '../server/client';
import type { Pane } from './pane';

/** Dragging changes a view a hundred times a second: it is sent when it has been left alone for this long. */
const SETTLE_MS = 400;

/** An image as it opens. */
const OPENING: ImageView = {
  window: null,
  table: null,
  inverted: false,
  flipped: false,
  zoom: null,
  centre: null,
  frame: 0,
  plane: null,
  path: 0,
};

/** What of a view is not as it opens, in words; a clip's frame is said by its controls. */
function leftWords(view: ImageView, words: CaseWords): string[] {
  return [
    view.zoom === null ? '' : words.left_zoomed,
    view.window || view.table !== null ? words.left_window : '',
    view.inverted ? words.left_inverted : '',
    view.flipped ? words.left_flipped : '',
    view.plane !== null || view.path > 0 ? words.left_sheet : '',
  ].filter(Boolean);
}

/** A pane with what it was restored with, and what is known of it to the server. */
interface Followed {
  known: string;
  note: HTMLElement | null;
}

export class ViewState {
  /** How the stage was left; none at the first opening. */
  readonly stage: StageView | null;
  private readonly images: Map<string, ImageView>;
  private readonly followed = new WeakMap<Pane, Followed>();
  private readonly timers = new Map<Pane, number>();
  private stageKnown = '';
  private stageTimer = 0;
  private stageNow: () => StageView | null = () => null;

  constructor(
    private readonly description: CaseDescription,
    private readonly reset: (pane: Pane) => void,
  ) {
    this.stage = description.kept?.stage ?? null;
    this.images = new Map(Object.entries(description.kept?.images ?? {}));
    window.addEventListener('pagehide', () => this.settle());
    document.addEventListener('visibilitychange', () => this.settle());
  }

  /** A pane's image is there: show it as it was left, and follow what the reader does with it. */
  restore(pane: Pane): void {
    const left = this.images.get(pane.image.id);
    if (left && JSON.stringify(left) !== JSON.stringify(OPENING)) pane.restore(left);
    const said = left ? leftWords(left, this.description.words) : [];
    const note = said.length > 0 ? this.makeNote(pane, said) : null;
    if (note) pane.element.querySelector('.pane__head')?.append(note);
    this.followed.get(pane)?.note?.remove();
    this.followed.set(pane, { known: JSON.stringify(pane.view()), note });
  }

  /** What of a pane is as the reader left it, for the line that says how it is shown. */
  wordsOf(pane: Pane | null): string {
    return (pane && this.followed.get(pane)?.note?.firstElementChild?.textContent) ?? '';
  }

  /** Called with every change of what is seen. */
  paneChanged(pane: Pane): void {
    if (!this.followed.has(pane)) return;
    window.clearTimeout(this.timers.get(pane));
    this.timers.set(
      pane,
      window.setTimeout(() => this.settlePane(pane), SETTLE_MS),
    );
  }

  /** The stage may have changed; `now` says how it is. */
  stageChanged(now: () => StageView): void {
    this.stageNow = now;
    if (!this.stageKnown) this.stageKnown = JSON.stringify(now());
    window.clearTimeout(this.stageTimer);
    this.stageTimer = window.setTimeout(() => this.settleStage(), SETTLE_MS);
  }

  /** Send what is not sent yet: panes are put away, or the page is. */
  settle(): void {
    for (const pane of [...this.timers.keys()]) this.settlePane(pane);
    this.settleStage();
  }

  private settlePane(pane: Pane): void {
    window.clearTimeout(this.timers.get(pane));
    this.timers.delete(pane);
    const followed = this.followed.get(pane);
    const view = pane.view();
    const now = JSON.stringify(view);
    if (!followed || !view || followed.known === now) return;
    followed.known = now;
    // It is the reader's own doing from here on.
    followed.note?.remove();
    followed.note = null;
    const { image } = pane;
    this.images.set(image.id, view);
    const { addresses, words } = this.description;
    this.send(
      `view ${image.id}`,
      addresses.image_view.replace('{id}', image.id),
      now,
      words.kept_view.replace('{image}', image.name),
    );
  }

  private settleStage(): void {
    window.clearTimeout(this.stageTimer);
    const now = JSON.stringify(this.stageNow());
    if (now === 'null' || now === this.stageKnown) return;
    this.stageKnown = now;
    const { addresses, words } = this.description;
    this.send('view', addresses.stage_view, now, words.kept_stage);
  }

  private send(replaces: string, address: string, state: string, words: string): void {
    const { study, kept } = this.description;
    if (!kept) return;
    send<ViewKept>({ key: newKey(), study, replaces, address, fields: { state }, words }).catch((problem: unknown) => {
      // Of a withdrawn study no view is kept, and nothing is lost by it.
      if (!(problem instanceof Refusal)) throw problem;
    });
  }

  private makeNote(pane: Pane, said: readonly string[]): HTMLElement {
    const { words } = this.description;
    const note = Object.assign(document.createElement('div'), { className: 'pane__left' });
    const text = Object.assign(document.createElement('p'), {
      textContent: words.as_left.replace('{what}', said.join(' · ')),
    });
    const button = Object.assign(document.createElement('button'), {
      type: 'button',
      className: 'button button--small',
      textContent: words.reset,
    });
    button.addEventListener('click', () => {
      this.reset(pane);
      pane.element.focus({ preventScroll: true });
    });
    for (const name of ['pointerdown', 'dblclick'] as const)
      note.addEventListener(name, (event) => event.stopPropagation());
    note.append(text, button);
    return note;
  }
}

/** Put back what was shown in the places of a hanging, as far as it still belongs there. */
export function shownAsLeft(stage: StageView | null, images: readonly CaseImage[]): readonly CaseImage[] {
  return images.filter(({ id }) => stage?.shown.includes(id));
}
