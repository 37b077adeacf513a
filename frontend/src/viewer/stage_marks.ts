/** What lies over the images of the stage: findings, the box that is edited, heat maps, lengths and arrows. */
import type { CaseAnnotation, CaseDescription, CaseFinding, CaseImage } from '../api_types';
import { type Box, caseFramesRead, caseHeatmaps, dispatchCaseEvent, onCaseEvent } from '../page/case_events';
import { visibleFindings } from '../page/faint_marks';
import { AnnotationPanel } from './annotation_panel';
import { Annotations, annotationsOnPage } from './annotations';
import { isOnFrame } from './findings';
import { screenStep } from './geometry';
import type { HeatLayer } from './heat_layer';
import type { Pane } from './pane';

/** What the marks need of the stage. */
interface Host {
  panes(): readonly Pane[];
  /** Show an image, and answer its pane once that hangs. */
  show(image: CaseImage): Promise<Pane | null>;
  activate(pane: Pane): void;
  /** The focusable part of the page that all images are in. */
  readonly grid: HTMLElement;
  /** The pointer does again what the tool says. */
  restoreTool(): void;
  /** What the toolbar shows is another now. */
  changed(): void;
}

/** The one owner of what is marked and what of it is chosen. */
export class StageMarks {
  areVisible = true;
  readonly annotations: Annotations;
  private findings: CaseFinding[] = visibleFindings();
  private framesRead = caseFramesRead();
  private selected: string | null = null;
  /** The finding that is edited, none for a new one, and its box as it is now, whatever hangs. */
  private editing: { id: string | null; image: string; box: Box | null } | null = null;
  private readonly panel: AnnotationPanel;

  constructor(
    private readonly description: CaseDescription,
    private readonly heat: HeatLayer,
    private readonly host: Host,
  ) {
    this.annotations = new Annotations(
      description,
      () => {
        this.refreshAll();
        this.panel.showSelected();
      },
      (inReport) => {
        dispatchCaseEvent('cad:poll', {});
        if (inReport) dispatchCaseEvent('cad:findings-changed', { study: description.study });
      },
    );
    this.panel = new AnnotationPanel(this.annotations, description.words, (annotation) => this.reveal(annotation));
    this.bindFindings();
    this.bindAnnotations();
  }

  /** Whether a new finding is drawn. */
  get isDrawing(): boolean {
    return this.editing?.id === null;
  }

  refreshAll(): void {
    this.host.panes().forEach((pane) => this.refresh(pane));
    this.host.changed();
  }

  refresh(pane: Pane): void {
    const shown = this.findings.filter((finding) => isOnFrame(finding, pane) && finding.id !== this.editing?.id);
    pane.showFramesRead(this.framesRead[pane.image.id] ?? '');
    pane.overlay.showFindings(shown, this.selected);
    pane.overlay.setMarksVisible(this.areVisible);
    const { annotations } = this;
    pane.overlay.showAnnotations(annotations.on(pane.image.id, pane.shownFrame), annotations.selected);
    this.heat.refresh(pane);
  }

  /** Move the box that is edited by so many steps on the screen, or with `isResize` a corner of it; false where none is
   * edited. */
  nudgeBox([x, y]: readonly [number, number], isResize: boolean): boolean {
    const edited = this.host.panes().find((pane) => pane.overlay.editedBox);
    if (!edited) return false;
    const by = Math.max(1, Math.round(edited.image.columns / 400));
    edited.overlay.nudge(x * by, y * by, isResize);
    return true;
  }

  /** Move the length or arrow that is chosen, or its second end; on the screen, however the image is turned. */
  nudgeAnnotation(step: readonly [number, number], isEnd: boolean): void {
    const chosen = this.annotations.get(this.annotations.selected);
    const pane = this.host.panes().find(({ image }) => image.id === chosen?.image);
    if (!pane) return;
    const by = Math.max(1, Math.round(pane.image.columns / 800));
    const [dx, dy] = screenStep(pane.overlay.transform, step);
    this.annotations.nudge(dx * by, dy * by, isEnd, (point) => pane.overlay.inImage(point));
  }

  showEditedBox(): void {
    if (!this.editing) return;
    const { id, image, box } = this.editing;
    for (const pane of this.host.panes()) {
      pane.overlay.setMode(id === null ? 'draw' : 'none');
      pane.overlay.editBox(pane.image.id === image ? box : null);
    }
    this.refreshAll();
  }

  // --- findings -----------------------------------------------------------------------------------------

  private bindFindings(): void {
    onCaseEvent('cad:findings-updated', () => {
      this.findings = visibleFindings();
      this.framesRead = caseFramesRead();
      const heatmaps = caseHeatmaps();
      for (const image of this.description.images) image.heatmap = heatmaps[image.id] ?? null;
      this.annotations.adopt(annotationsOnPage());
    });
    onCaseEvent('cad:finding-selected', ({ id }) => void this.selectFinding(id));
    onCaseEvent('cad:image-asked', ({ image }) => {
      const asked = this.description.images.find((each) => each.id === image);
      if (asked) void this.host.show(asked);
    });
    onCaseEvent('cad:edit-started', ({ id }) => {
      const finding = this.findings.find((candidate) => candidate.id === id);
      this.editing = { id, image: finding?.image ?? '', box: finding?.box ?? null };
      this.showEditedBox();
      this.host.changed();
    });
    onCaseEvent('cad:edit-ended', () => {
      this.editing = null;
      this.host.panes().forEach((pane) => pane.overlay.editBox(null));
      this.host.restoreTool();
      this.refreshAll();
    });
    onCaseEvent('cad:box-changed', ({ image, box, from }) => {
      if (this.editing) Object.assign(this.editing, { image, box });
      for (const pane of this.host.panes()) {
        if (pane.image.id !== image) pane.overlay.editBox(null);
        else if (from === 'panel') pane.overlay.editBox(box);
      }
    });
  }

  private async selectFinding(id: string): Promise<void> {
    this.selected = id;
    const finding = this.findings.find((candidate) => candidate.id === id);
    if (!finding) return;
    this.refreshAll();
    await this.bringUp(finding.image, finding.frame, finding.box, () => this.selected === id);
  }

  // --- lengths and arrows -------------------------------------------------------------------------------

  private bindAnnotations(): void {
    onCaseEvent('cad:annotation-drawn', ({ image, frame, kind, points }) => {
      const made = this.annotations.draw(image, frame, kind, points);
      if (kind === 'arrow') this.panel.askNote(made, this.elementOf(image));
    });
    onCaseEvent('cad:annotation-moved', ({ id, points }) => this.annotations.move(id, points));
    onCaseEvent('cad:annotation-selected', ({ id }) => this.annotations.select(id));
    onCaseEvent('cad:show-finding', ({ finding }) => {
      const annotation = this.annotations.get(finding);
      if (!annotation) return;
      this.annotations.select(finding);
      void this.reveal(annotation);
    });
    // A press that chooses one does not come this far.
    this.host.grid.addEventListener('pointerdown', () => this.annotations.select(null));
  }

  /** Go to the next length or arrow of the study. */
  async revealNext(): Promise<void> {
    const next = this.annotations.selectNext();
    if (next) await this.reveal(next);
  }

  private elementOf(image: string): HTMLElement | null {
    return this.host.panes().find((pane) => pane.image.id === image)?.element ?? null;
  }

  /** Show where an annotation is; answers the pane's element. */
  private async reveal({ id, image, frame, points }: CaseAnnotation): Promise<HTMLElement | null> {
    const [[x0, y0], [x1, y1]] = points;
    const box: Box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
    await this.bringUp(image, frame, box, () => this.annotations.selected === id);
    return this.elementOf(image);
  }

  /** Bring a place of an image into view and give it the focus, unless something else is wanted meanwhile. */
  private async bringUp(id: string, frame: number | null, box: Box, isWanted: () => boolean): Promise<void> {
    const image = this.description.images.find((candidate) => candidate.id === id);
    if (!image) return;
    const focused = document.activeElement;
    const pane = await this.host.show(image);
    if (!pane || !(await pane.ready) || !isWanted()) return;
    this.host.activate(pane);
    if (frame !== null) pane.showFrame(frame);
    pane.reveal(box);
    // The keys that decide act where the image has the focus; whoever went elsewhere meanwhile is left there.
    const isWhereItWas = document.activeElement === focused || document.activeElement === document.body;
    if (isWhereItWas || this.host.grid.contains(document.activeElement)) pane.element.focus({ preventScroll: true });
  }
}
