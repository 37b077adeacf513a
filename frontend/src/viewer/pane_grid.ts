/** What hangs on the stage. There is one hanging at a time, and it owns its panes: the next one ends it, whether its
 * images are drawn, still come, or wait for the code that draws them. */
import type { CaseImage, CaseWords } from '../api_types';
import { dispatchCaseEvent } from '../page/case_events';
import { wholeSpacing } from './calibration';
import type { OverlayEvents } from './overlay';
import type { Pane, PaneEvents } from './pane';

type PaneClass = new (
  image: CaseImage,
  words: CaseWords,
  events: PaneEvents,
  overlayEvents: OverlayEvents,
  hanging: AbortSignal,
) => Pane;

/** One place of a hanging. */
export interface Cell {
  /** None where nothing hangs; the place keeps the others where the eye expects them. */
  image: CaseImage | null;
  /** The border at which the chest wall meets the other breast's. */
  wall: 'left' | 'right' | null;
  /** Add to the pane, or to the empty place, what belongs to the place. */
  furnish(element: HTMLElement): void;
}

/** A cell, what fills it, and the end of that alone. */
interface Filled {
  cell: Cell;
  element: HTMLElement;
  pane: Pane | null;
  end: AbortController;
}

/** The viewers are large, so that a page loads only the one that its images need. */
async function loadPaneClass(image: CaseImage): Promise<PaneClass> {
  return image.kind === 'slide' ? (await import('./slide_pane')).SlidePane : (await import('./raster_pane')).RasterPane;
}

/** Makes the panes of a hanging, places them by row, and puts those of the last one away. */
export class PaneGrid {
  private cells: Cell[] = [];
  /** By place; none while their viewer loads. */
  private filled: Filled[] = [];
  private hanging = new AbortController();
  private panesMade: Promise<boolean> = Promise.resolve(false);
  private areTogether = false;

  constructor(
    readonly element: HTMLElement,
    private readonly words: CaseWords,
    private readonly events: PaneEvents,
  ) {
    new ResizeObserver(() => this.panes.forEach((pane) => pane.resize())).observe(element);
  }

  /** The panes that hang; none while their viewer loads. */
  get panes(): readonly Pane[] {
    return this.filled.map(({ pane }) => pane).filter((pane) => pane !== null);
  }

  /** What they show, known from the moment that it is asked for. */
  get images(): readonly CaseImage[] {
    return this.cells.map(({ image }) => image).filter((image) => image !== null);
  }

  /** Hang cells by row in place of what hangs. `together` gives all images one physical scale. False when another
   * hanging took over before the panes were made. */
  hang(rows: readonly (readonly Cell[])[], together: boolean): Promise<boolean> {
    this.keepFocus();
    this.hanging.abort();
    this.hanging = new AbortController();
    this.filled = [];
    this.cells = rows.flat();
    this.areTogether = together;
    this.element.replaceChildren();
    this.element.style.setProperty('--rows', String(rows.length));
    this.element.style.setProperty('--columns', String(rows[0]?.length ?? 1));
    this.panesMade = this.makePanes(this.hanging.signal);
    return this.panesMade;
  }

  /** Show another image in one place, and leave the others as the reader has them. False when it was overtaken. */
  replace(place: number, image: CaseImage): Promise<boolean> {
    const old = this.cells[place];
    if (!old) return Promise.resolve(false);
    const cell = { ...old, image };
    this.cells[place] = cell;
    const hanging = this.hanging.signal;
    this.panesMade = this.panesMade.then(async () => {
      const Viewer = await loadPaneClass(image);
      if (hanging.aborted || this.cells[place] !== cell) return false;
      const before = this.filled[place];
      this.keepFocus(before?.element);
      this.filled[place] = this.fill(cell, Viewer, hanging);
      before?.element.replaceWith(this.filled[place].element);
      before?.end.abort();
      cell.furnish(this.filled[place].element);
      return true;
    });
    return this.panesMade;
  }

  /** The focus of a pane that goes would be lost; it waits here for the pane that comes. */
  private keepFocus(pane?: Element): void {
    const focused = document.activeElement;
    if (focused?.matches('.pane') && (pane ? focused === pane : this.element.contains(focused)))
      this.element.focus({ preventScroll: true });
  }

  private async makePanes(hanging: AbortSignal): Promise<boolean> {
    const cells = [...this.cells];
    const viewers = await Promise.all(cells.map(({ image }) => (image ? loadPaneClass(image) : Promise.resolve(null))));
    if (hanging.aborted) return false;
    this.filled = cells.map((cell, place) => this.fill(cell, viewers[place] ?? null, hanging));
    this.element.append(...this.filled.map(({ element }) => element));
    for (const { cell, element } of this.filled) cell.furnish(element);
    return true;
  }

  private fill(cell: Cell, Viewer: PaneClass | null, hanging: AbortSignal): Filled {
    const end = new AbortController();
    const { image } = cell;
    if (!image || !Viewer) {
      const element = Object.assign(document.createElement('div'), { className: 'pane pane--empty' });
      return { cell, element, pane: null, end };
    }
    hanging.addEventListener('abort', () => end.abort(), { signal: end.signal });
    const frame = (): number | null => (image.frames > 1 ? pane.shownFrame : null);
    const overlayEvents: OverlayEvents = {
      selected: (id) => dispatchCaseEvent('cad:finding-selected', { id, from: 'viewer' }),
      boxChanged: (box) =>
        dispatchCaseEvent('cad:box-changed', { image: image.id, frame: frame(), box, from: 'viewer' }),
      annotationDrawn: (kind, points) =>
        dispatchCaseEvent('cad:annotation-drawn', { image: image.id, frame: frame(), kind, points }),
      annotationSelected: (id) => dispatchCaseEvent('cad:annotation-selected', { id }),
      annotationMoved: (id, points) => dispatchCaseEvent('cad:annotation-moved', { id, points }),
    };
    const pane: Pane = new Viewer(image, this.words, this.events, overlayEvents, end.signal);
    if (this.areTogether && cell.wall) pane.together?.hangAt(cell.wall);
    pane.element.dataset['laterality'] = image.laterality;
    return { cell, element: pane.element, pane, end };
  }

  /** The pane of an image, as soon as what was asked for hangs; none where the image is not part of it. */
  async paneOf(image: CaseImage): Promise<Pane | null> {
    await this.panesMade;
    return this.panes.find((pane) => pane.image === image) ?? null;
  }

  /** Give panes that hang together the one physical scale, the largest at which each image fits. An image of unknown
   * scale is shown as large as its own pane allows. */
  scaleTogether(panes: readonly Pane[]): void {
    if (!this.areTogether) return;
    const spacing = (pane: Pane): number | null => wholeSpacing(pane.image)?.[0] ?? null;
    const fitting = this.panes.map((pane) => {
      const micrometres = spacing(pane);
      return micrometres && pane.together ? pane.together.fitScale() / micrometres : Infinity;
    });
    const scale = Math.min(...fitting);
    for (const pane of panes) {
      const micrometres = spacing(pane);
      const wanted = micrometres ? scale * micrometres : (pane.together?.fitScale() ?? 0);
      // Nothing fits while the stage has no size.
      if (Number.isFinite(wanted) && wanted > 0) pane.together?.setScale(wanted);
    }
  }
}
