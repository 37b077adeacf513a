/** What hangs on the stage. There is one hanging at a time, and it owns its panes: the next one ends it, whether its
 * images are drawn, still come, or wait for the code that draws them. */
import type { CaseImage, CaseWords } from '../api_types';
import { type Box, dispatchCaseEvent } from '../page/case_events';
import type { OverlayEvents } from './overlay';
import type { Pane, PaneEvents } from './pane';

type PaneClass = new (
  image: CaseImage,
  words: CaseWords,
  events: PaneEvents,
  overlayEvents: OverlayEvents,
  hanging: AbortSignal,
) => Pane;

/** The viewers are large, so that a page loads only the one that its images need. */
async function loadPaneClass(image: CaseImage): Promise<PaneClass> {
  return image.kind === 'slide' ? (await import('./slide_pane')).SlidePane : (await import('./raster_pane')).RasterPane;
}

/** Makes the panes of a hanging, places them by row, and puts those of the last one away. */
export class PaneGrid {
  /** The panes that hang; none while their viewer loads. */
  panes: readonly Pane[] = [];
  /** What they show, known from the moment that it is asked for. */
  images: readonly CaseImage[] = [];
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

  /** Hang images by row in place of what hangs; an empty place stays empty. `together` turns chest walls to the
   * middle and gives all images one physical scale. False when another hanging took over before the panes were made. */
  hang(rows: readonly (readonly (CaseImage | null)[])[], together: boolean): Promise<boolean> {
    this.hanging.abort();
    this.hanging = new AbortController();
    const places = rows.flat();
    this.panes = [];
    this.images = places.filter((image) => image !== null);
    this.areTogether = together;
    this.element.replaceChildren();
    this.element.style.setProperty('--rows', String(rows.length));
    this.element.style.setProperty('--columns', String(rows[0]?.length ?? 1));
    this.panesMade = this.makePanes(places, this.hanging.signal);
    return this.panesMade;
  }

  private async makePanes(places: readonly (CaseImage | null)[], hanging: AbortSignal): Promise<boolean> {
    const viewers = await Promise.all(places.map((image) => (image ? loadPaneClass(image) : Promise.resolve(null))));
    if (hanging.aborted) return false;
    const made = places.map((image, place) => {
      const Viewer = viewers[place];
      return image && Viewer ? this.makePane(Viewer, image, hanging) : null;
    });
    this.panes = made.filter((pane) => pane !== null);
    this.element.append(
      ...made.map(
        (pane) => pane?.element ?? Object.assign(document.createElement('div'), { className: 'pane pane--empty' }),
      ),
    );
    return true;
  }

  private makePane(Viewer: PaneClass, image: CaseImage, hanging: AbortSignal): Pane {
    const overlayEvents = {
      selected: (id: string) => dispatchCaseEvent('cad:finding-selected', { id, from: 'viewer' }),
      boxChanged: (box: Box) => dispatchCaseEvent('cad:box-changed', { image: image.id, box, from: 'viewer' }),
      noSpacing: this.words.no_spacing,
    };
    const pane = new Viewer(image, this.words, this.events, overlayEvents, hanging);
    // The right breast hangs on the left with its chest wall towards the middle, and the other way round.
    if (this.areTogether) pane.together?.hangTowards(image.laterality === 'R' ? 'right' : 'left');
    pane.element.dataset['laterality'] = image.laterality;
    return pane;
  }

  /** The pane of an image, as soon as what was asked for hangs; none where the image is not part of it. */
  async paneOf(image: CaseImage): Promise<Pane | null> {
    await this.panesMade;
    return this.panes.find((pane) => pane.image === image) ?? null;
  }

  /** Give panes that hang together the one physical scale, the largest at which each image fits. */
  scaleTogether(panes: readonly Pane[]): void {
    if (!this.areTogether) return;
    const spacing = (pane: Pane): number => pane.image.pixel_spacing_um ?? 1;
    const scale = Math.min(...this.panes.map((pane) => (pane.together?.fitScale() ?? Infinity) / spacing(pane)));
    // Nothing fits while the stage has no size.
    if (Number.isFinite(scale) && scale > 0) panes.forEach((pane) => pane.together?.setScale(scale * spacing(pane)));
  }
}
