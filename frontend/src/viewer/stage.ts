/** The stage: which images are shown and how they hang, the tools and keys that act on the active one, and what
 * lies over them. */
import type { CaseDescription, CaseImage, StageView } from '../api_types';
import { dispatchCaseEvent } from '../page/case_events';
import { areFaintMarksShown, faintCount, showFaintMarks } from '../page/faint_marks';
import { hangingOf } from './hanging';
import { HeatLayer } from './heat_layer';
import type { Pane, PaneEvents, Tool } from './pane';
import { type Cell, PaneGrid } from './pane_grid';
import { PlaceSwitch } from './place_switch';
import { registerImageCommands } from './shortcuts';
import { StageMarks } from './stage_marks';
import { Strip } from './strip';
import { Toolbar, toolFor } from './toolbar';
import { ViewState, shownAsLeft } from './view_state';

const PAN_STEP = 60;

/** The one stage of a case page; it lives as long as the page. */
export class Stage {
  private activePane: Pane | null = null;
  private readonly canHangTogether: boolean;
  /** Of the places of the hanging, by row. */
  private readonly rows: readonly (readonly PlaceSwitch[])[];
  private hangsTogether: boolean;
  private current: CaseImage;
  private tool: Tool = 'window';
  private linked = false;
  private readonly root = document.getElementById('stage') as HTMLElement;
  private readonly stateElement = document.getElementById('view-state');
  private stateFrame = 0;
  private readonly grid: PaneGrid;
  private readonly strip: Strip;
  private readonly toolbar: Toolbar;
  private readonly heat: HeatLayer;
  private readonly marks: StageMarks;
  private readonly views: ViewState;
  /** Of what was restored that hides something: said until the reader changes it. */
  private marksLeftHidden = false;

  constructor(private readonly description: CaseDescription) {
    const { images, words } = description;
    const hanging = hangingOf(description.hanging, images);
    this.canHangTogether = hanging !== null;
    this.hangsTogether = this.canHangTogether;
    this.rows = (hanging?.rows ?? []).map((row) =>
      row.map((place) => new PlaceSwitch(place, words, (image) => this.showImage(image))),
    );
    this.views = new ViewState(description, (pane) => {
      this.reset([pane]);
      pane.showFrame(0);
    });
    const left = this.views.stage;
    for (const image of shownAsLeft(left, images)) {
      const place = this.switchOf(image);
      if (place) place.shown = image;
    }
    const active = images.find(({ id }) => id === left?.active);
    const first = active ?? this.switches.find(({ shown }) => shown)?.shown ?? images.find(isHung) ?? images[0];
    if (!first) throw new Error('a stage needs an image');
    this.current = first;
    this.grid = new PaneGrid(document.getElementById('panes') as HTMLElement, words, this.paneEvents);
    this.strip = new Strip(document.getElementById('strip') as HTMLElement, images, words, (image, byPointer) => {
      this.showImage(image);
      if (byPointer) (this.panes.find((pane) => pane.image === image)?.element ?? this.grid.element).focus();
    });
    this.toolbar = new Toolbar(this.root, words, {
      tool: (tool) => this.setTool(tool),
      command: (name) => this.runCommand(name),
      opacity: (opacity) => this.setOpacity(opacity),
    });
    this.heat = new HeatLayer(this.toolbar.slider, (pane) => this.panes.includes(pane));
    this.marks = new StageMarks(description, this.heat, {
      panes: () => this.panes,
      show: (image) => {
        this.showImage(image);
        return this.grid.paneOf(image);
      },
      activate: (pane) => this.activate(pane),
      grid: this.grid.element,
      restoreTool: () => this.setTool(this.tool),
      changed: () => this.updateToolbar(),
    });
    if (left) this.restore(left);
    this.grid.element.addEventListener('dblclick', (event) => this.onDoubleClick(event));
    const { annotations } = this.marks;
    registerImageCommands({
      tool: (tool) => this.setTool(tool),
      command: (name) => this.runCommand(name),
      arrow: (step, isResize) => this.runArrow(step, isResize),
      drawnArrow: (step, isEnd) => this.marks.nudgeAnnotation(step, isEnd),
      nextDrawn: () => void this.marks.revealNext(),
      removeDrawn: () => annotations.remove(annotations.selected),
      undoDrawing: () => annotations.undo(),
      redoDrawing: () => annotations.redo(),
      neighbour: (by) => this.showNeighbour(by),
      other: (by) => this.showOther(by),
    });
    void this.hang();
  }

  private restore(left: StageView): void {
    this.hangsTogether = this.canHangTogether && left.together;
    this.tool = left.tool;
    this.linked = left.linked;
    this.marks.areVisible = left.marks;
    this.marksLeftHidden = !left.marks;
    this.heat.visible = left.heat;
  }

  private viewNow(): StageView {
    return {
      together: this.hangsTogether,
      shown: this.switches.map(({ shown }) => shown?.id ?? '').filter(Boolean),
      active: this.current.id,
      tool: this.tool,
      linked: this.linked,
      marks: this.marks.areVisible,
      heat: this.heat.visible,
    };
  }

  // --- hanging ------------------------------------------------------------------------------------------

  private get panes(): readonly Pane[] {
    return this.grid.panes;
  }

  private readonly paneEvents: PaneEvents = {
    drawn: (pane) => {
      this.grid.scaleTogether([pane]);
      this.views.restore(pane);
      this.marks.refresh(pane);
      this.updateToolbar();
    },
    changed: (pane) => {
      this.views.paneChanged(pane);
      if (pane === this.activePane) this.updateStateText();
    },
    frameShown: (pane) => {
      this.views.paneChanged(pane);
      this.marks.refresh(pane);
    },
    activated: (pane) => this.activate(pane),
    panned: (from, dx, dy) =>
      this.linkedPanes(from).forEach((pane) => pane.panBy(this.isOtherSide(from, pane) ? -dx : dx, dy)),
    zoomed: (from, factor) => this.linkedPanes(from).forEach((pane) => pane.zoomBy(factor)),
  };

  private linkedPanes(from: Pane): Pane[] {
    return this.linked ? this.panes.filter((pane) => pane !== from) : [];
  }

  /** The two sides are mirror images of each other, so a linked pan is mirrored too. */
  private isOtherSide(one: Pane, other: Pane): boolean {
    return one.image.laterality !== other.image.laterality;
  }

  private get switches(): PlaceSwitch[] {
    return this.rows.flat();
  }

  private switchOf(image: CaseImage): PlaceSwitch | undefined {
    return this.switches.find(({ place }) => place.images.includes(image));
  }

  private cellOf(image: CaseImage | null, place: PlaceSwitch | undefined): Cell {
    return {
      image,
      // The right breast hangs on the left with its chest wall towards the middle, and the other way round.
      wall: place ? (place.place.side === 'R' ? 'right' : 'left') : null,
      furnish: (element) => place?.furnish(element),
    };
  }

  private async hang(): Promise<void> {
    this.views.settle();
    this.activePane = null;
    this.updateStateText();
    const cells = this.hangsTogether
      ? this.rows.map((row) => row.map((place) => this.cellOf(place.shown, place)))
      : [[this.cellOf(this.current, this.switchOf(this.current))]];
    const active = this.current;
    const hung = this.grid.hang(cells, this.hangsTogether);
    this.strip.show(this.grid.images);
    if (await hung) this.afterHanging(this.panes.find(({ image }) => image === active) ?? this.panes[0] ?? null);
  }

  private afterHanging(active: Pane | null): void {
    this.activate(active);
    this.setTool(this.tool);
    // Who read by key before the images changed goes on by key.
    if (document.activeElement === this.grid.element) active?.element.focus({ preventScroll: true });
  }

  /** Show an image, unless it is part of what hangs or is about to: in its place, or alone where it has none. */
  private showImage(image: CaseImage): void {
    if (this.grid.images.includes(image)) return;
    this.current = image;
    const place = this.switchOf(image);
    if (place) place.shown = image;
    if (place && this.hangsTogether) void this.replace(this.switches.indexOf(place), image);
    else {
      this.hangsTogether = false;
      void this.hang();
    }
  }

  private async replace(place: number, image: CaseImage): Promise<void> {
    this.views.settle();
    const replaced = this.grid.replace(place, image);
    this.strip.show(this.grid.images);
    if (!(await replaced)) return;
    const pane = this.panes.find((each) => each.image === image);
    if (pane) this.afterHanging(pane);
  }

  private activate(pane: Pane | null): void {
    if (this.activePane === pane) return;
    this.activePane?.element.classList.remove('pane--active');
    this.activePane = pane;
    pane?.element.classList.add('pane--active');
    if (pane) this.current = pane.image;
    this.updateToolbar();
    this.updateStateText();
  }

  private updateStateText(): void {
    cancelAnimationFrame(this.stateFrame);
    this.stateFrame = requestAnimationFrame(() => {
      const { left_marks } = this.description.words;
      const said = [
        this.activePane?.stateText(),
        this.views.wordsOf(this.activePane),
        this.marksLeftHidden ? left_marks : '',
      ];
      if (this.stateElement) this.stateElement.textContent = said.filter(Boolean).join(' · ');
    });
  }

  // --- tools --------------------------------------------------------------------------------------------

  private updateToolbar(): void {
    this.toolbar.show({
      active: this.activePane,
      panes: this.panes,
      tool: this.tool,
      canHangTogether: this.canHangTogether,
      faint: faintCount(),
      pressed: {
        layout: this.hangsTogether,
        link: this.linked,
        marks: this.marks.areVisible,
        faint: areFaintMarksShown(),
        heatmap: this.heat.visible,
        draw: this.marks.isDrawing,
        flip: this.activePane?.isFlipped ?? false,
        invert: this.activePane?.isInverted ?? false,
      },
    });
    this.views.stageChanged(() => this.viewNow());
  }

  private setTool(tool: Tool): void {
    this.tool = tool;
    this.panes.forEach((pane) => pane.setTool(toolFor(pane, tool)));
    this.marks.showEditedBox();
    this.updateToolbar();
  }

  private onDoubleClick(event: Event): void {
    const pane = this.panes.find((candidate) => candidate.element.contains(event.target as Node));
    if (this.canHangTogether && pane && !(event.target instanceof Element && event.target.closest('button, input, a')))
      this.runCommand('layout');
  }

  private runCommand(name: string): void {
    const pane = this.activePane;
    switch (name) {
      case 'fit':
        this.panes.filter((each) => each === pane || this.linked).forEach((each) => each.fit());
        break;
      case 'actual':
        pane?.actualSize();
        break;
      case 'reset':
        this.reset(this.panes.filter((each) => each === pane || this.linked));
        break;
      case 'flip':
        if (!pane?.image.is_photograph) pane?.flip();
        break;
      case 'invert':
        (this.hangsTogether ? this.panes : [pane])
          .filter((each) => !each?.image.is_photograph)
          .forEach((each) => each?.invert());
        break;
      case 'layout':
        if (!this.canHangTogether) return;
        this.hangsTogether = !this.hangsTogether;
        void this.hang();
        break;
      case 'link':
        this.linked = !this.linked;
        break;
      case 'marks':
        this.marks.areVisible = !this.marks.areVisible;
        this.marksLeftHidden = false;
        this.updateStateText();
        this.marks.refreshAll();
        break;
      case 'faint':
        showFaintMarks(!areFaintMarksShown());
        break;
      case 'heatmap':
        this.heat.visible = !this.heat.visible;
        this.marks.refreshAll();
        break;
      case 'heat-fainter':
        this.setOpacity(this.heat.opacity - 0.1);
        break;
      case 'heat-stronger':
        this.setOpacity(this.heat.opacity + 0.1);
        break;
      case 'zoom-in':
        this.zoom(1.25);
        break;
      case 'zoom-out':
        this.zoom(0.8);
        break;
      case 'play':
        if (pane && pane.image.frames > 1) pane.togglePlay();
        break;
      case 'draw':
        dispatchCaseEvent('cad:draw-asked', {});
        break;
    }
    this.updateToolbar();
  }

  private reset(panes: readonly Pane[]): void {
    panes.forEach((pane) => pane.reset());
    this.grid.scaleTogether(this.panes);
  }

  private setOpacity(opacity: number): void {
    this.heat.setOpacity(opacity);
    this.marks.refreshAll();
  }

  private showNeighbour(by: 1 | -1): void {
    if (this.activePane && this.activePane.image.frames > 1) this.activePane.step(by);
    else this.showNextImage(by);
  }

  private showNextImage(by: 1 | -1): void {
    const { images } = this.description;
    const next = images[(images.indexOf(this.current) + by + images.length) % images.length];
    if (!next) return;
    const shown = this.panes.find((pane) => pane.image === next);
    if (shown) shown.element.focus();
    else this.showImage(next);
  }

  /** Another image in the place of the active one; where the place has no other, the study's next. */
  private showOther(by: 1 | -1): void {
    if (!this.switchOf(this.current)?.step(by)) this.showNextImage(by);
  }

  private runArrow([x, y]: readonly [number, number], shift: boolean): void {
    if (!this.marks.nudgeBox([x, y], shift) && this.activePane) {
      this.activePane.panBy(-x * PAN_STEP, -y * PAN_STEP);
      this.paneEvents.panned(this.activePane, -x * PAN_STEP, -y * PAN_STEP);
    }
  }

  private zoom(factor: number): void {
    if (!this.activePane) return;
    this.activePane.zoomBy(factor);
    this.paneEvents.zoomed(this.activePane, factor);
  }
}

const isHung = (image: CaseImage): boolean => image.roles.includes('hung');
