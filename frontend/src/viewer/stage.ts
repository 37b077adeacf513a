/** The stage: which images are shown and how they hang, the tools and keys that act on the active one, and what
 * lies over them. */
import type { CaseDescription, CaseFinding, CaseImage } from '../api_types';
import { type Box, caseHeatmaps, onCaseEvent, dispatchCaseEvent } from '../page/case_events';
import { visibleFindings } from '../page/faint_marks';
import { isTyping } from '../page/keyboard';
import { drawLegend, loadHeatmap } from './heatmap';
import { type Hanging, hangingOf } from './hanging';
import type { Pane, PaneEvents, Tool } from './pane';
import { PaneGrid } from './pane_grid';

const PAN_STEP = 60;

/** The one stage of a case page; it lives as long as the page. */
export class Stage {
  private activePane: Pane | null = null;
  private readonly hanging: Hanging | null;
  private hangsTogether: boolean;
  private current: CaseImage;
  private tool: Tool = 'window';
  private linked = false;
  private marksVisible = true;
  private heatVisible = false;
  private opacity = 0.45;
  private findings: CaseFinding[] = visibleFindings();
  private selected: string | null = null;
  /** The finding that is edited, none for a new one, and its box as it is now, whatever hangs. */
  private editing: { id: string | null; image: string; box: Box | null } | null = null;
  private readonly heatmapCanvases = new Map<string, Promise<HTMLCanvasElement>>();
  private readonly root = document.getElementById('stage') as HTMLElement;
  private readonly strip = document.getElementById('strip') as HTMLElement;
  private readonly slider = document.getElementById('opacity') as HTMLInputElement | null;
  private readonly stateElement = document.getElementById('view-state');
  private stateFrame = 0;
  private readonly grid: PaneGrid;

  constructor(private readonly description: CaseDescription) {
    const [first] = description.images;
    if (!first) throw new Error('a stage needs an image');
    this.current = first;
    this.hanging = hangingOf(description.hanging, description.images);
    this.hangsTogether = this.hanging !== null;
    this.grid = new PaneGrid(document.getElementById('panes') as HTMLElement, description.words, this.paneEvents);
    this.bindToolbar();
    this.bindCaseEvents();
    document.addEventListener('keydown', (event) => this.onKey(event));
    void this.hang();
  }

  // --- hanging ------------------------------------------------------------------------------------------

  private get panes(): readonly Pane[] {
    return this.grid.panes;
  }

  private readonly paneEvents: PaneEvents = {
    drawn: (pane) => {
      this.grid.scaleTogether([pane]);
      this.refreshOverlay(pane);
      this.updateToolbar();
    },
    changed: (pane) => {
      if (pane === this.activePane) this.updateStateText();
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

  private async hang(): Promise<void> {
    this.activePane = null;
    this.updateStateText();
    const rows: (CaseImage | null)[][] = this.hangsTogether && this.hanging ? this.hanging.rows : [[this.current]];
    this.drawStrip();
    if (!(await this.grid.hang(rows, this.hangsTogether))) return;
    this.activate(this.panes[0] ?? null);
    this.updateToolbar();
    this.setTool(this.tool);
  }

  private drawStrip(): void {
    const shown = this.description.images.length > 1 && !this.hangsTogether;
    this.strip.hidden = !shown;
    if (!shown) return;
    this.strip.replaceChildren(
      ...this.description.images.map((image) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'strip__image';
        button.setAttribute('aria-pressed', String(image === this.current));
        const picture = Object.assign(document.createElement('img'), {
          src: image.urls.thumbnail,
          alt: '',
          loading: 'lazy',
        });
        const name = document.createElement('span');
        name.textContent = image.name;
        button.append(picture, name);
        button.addEventListener('click', () => this.showImage(image));
        return button;
      }),
    );
  }

  /** Show an image alone, unless it is part of what hangs or is about to. */
  private showImage(image: CaseImage): void {
    if (this.grid.images.includes(image)) return;
    this.current = image;
    this.hangsTogether = false;
    void this.hang();
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
      if (this.stateElement) this.stateElement.textContent = this.activePane?.stateText() ?? '';
    });
  }

  // --- tools --------------------------------------------------------------------------------------------

  private updateToolbar(): void {
    const isSlide = this.activePane?.image.kind === 'slide';
    const shows: Record<string, boolean> = {
      raster: !isSlide,
      slide: isSlide,
      hanging: this.hanging !== null,
      heatmap: this.panes.some((pane) => pane.image.heatmap !== null),
    };
    for (const part of this.root.querySelectorAll<HTMLElement>('[data-for]'))
      part.hidden = !shows[part.dataset['for'] ?? ''];
    const legend = document.getElementById('heat-legend');
    const ramp = document.getElementById('heat-ramp');
    if (legend) legend.hidden = !(shows['heatmap'] && this.heatVisible);
    if (ramp instanceof HTMLCanvasElement) drawLegend(ramp, this.activePane?.isColour ?? false);
    this.showPressed('layout', this.hangsTogether);
    this.showPressed('link', this.linked);
    this.showPressed('marks', this.marksVisible);
    this.showPressed('heatmap', this.heatVisible);
    this.showPressed('draw', this.editing?.id === null);
  }

  private showPressed(command: string, pressed: boolean): void {
    this.root.querySelector(`[data-command=${command}][aria-pressed]`)?.setAttribute('aria-pressed', String(pressed));
  }

  private setTool(tool: Tool): void {
    this.tool = tool;
    this.panes.forEach((pane) => pane.setTool(tool));
    const shown = this.activePane?.image.kind === 'slide' && tool !== 'length' ? 'pan' : tool;
    for (const button of this.root.querySelectorAll<HTMLElement>('.toolbar [data-tool]'))
      button.setAttribute('aria-pressed', String(button.dataset['tool'] === shown));
    this.showEditedBox();
  }

  private bindToolbar(): void {
    this.root.querySelector('.toolbar')?.addEventListener('click', (event) => {
      const button =
        event.target instanceof Element ? event.target.closest<HTMLElement>('[data-tool], [data-command]') : null;
      if (button?.dataset['tool']) this.setTool(button.dataset['tool'] as Tool);
      else if (button?.dataset['command']) this.runCommand(button.dataset['command']);
    });
    this.slider?.addEventListener('input', () => this.setOpacity(Number(this.slider?.value) / 100));
    this.grid.element.addEventListener('dblclick', (event) => {
      const pane = this.panes.find((candidate) => candidate.element.contains(event.target as Node));
      if (this.hanging && pane && !(event.target instanceof Element && event.target.closest('button, input')))
        this.runCommand('layout');
    });
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
        this.panes.filter((each) => each === pane || this.linked).forEach((each) => each.reset());
        this.grid.scaleTogether(this.panes);
        break;
      case 'flip':
        pane?.flip();
        break;
      case 'invert':
        (this.hangsTogether ? this.panes : [pane]).forEach((each) => each?.invert());
        break;
      case 'layout':
        if (!this.hanging) return;
        this.hangsTogether = !this.hangsTogether;
        void this.hang();
        break;
      case 'link':
        this.linked = !this.linked;
        this.updateToolbar();
        break;
      case 'marks':
        this.marksVisible = !this.marksVisible;
        this.refreshOverlays();
        break;
      case 'heatmap':
        this.heatVisible = !this.heatVisible;
        this.refreshOverlays();
        break;
      case 'draw':
        dispatchCaseEvent('cad:draw-asked', {});
        break;
    }
  }

  private setOpacity(opacity: number): void {
    this.opacity = Math.min(Math.max(opacity, 0), 1);
    if (this.slider) this.slider.value = String(Math.round(this.opacity * 100));
    this.heatVisible = true;
    this.refreshOverlays();
  }

  private showNeighbour(by: 1 | -1): void {
    const { images } = this.description;
    if (this.activePane && this.activePane.image.frames > 1) {
      this.activePane.step(by);
      return;
    }
    const next = images[(images.indexOf(this.current) + by + images.length) % images.length];
    if (!next) return;
    const shown = this.panes.find((pane) => pane.image === next);
    if (shown) shown.element.focus();
    else this.showImage(next);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector('dialog[open]:modal')) return;
    const inList = event.target instanceof Element && event.target.closest('.panel, .toolbar, .shell-header') !== null;
    if (this.runKey(event.key, event.shiftKey, inList)) event.preventDefault();
  }

  private runKey(key: string, shift: boolean, inList: boolean): boolean {
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const arrow = arrows[key];
    if (arrow) {
      // In tabs, sliders and lists the arrows keep their own meaning.
      if (inList && !this.editing) return false;
      const edited = this.panes.find((pane) => pane.overlay.editedBox);
      if (edited) {
        const by = Math.max(1, Math.round(edited.image.columns / 400));
        edited.overlay.nudge(arrow[0] * by, arrow[1] * by, shift);
      } else {
        this.activePane?.panBy(-arrow[0] * PAN_STEP, -arrow[1] * PAN_STEP);
        if (this.activePane) this.paneEvents.panned(this.activePane, -arrow[0] * PAN_STEP, -arrow[1] * PAN_STEP);
      }
      return true;
    }
    const tools: Record<string, Tool> = { w: 'window', h: 'pan', z: 'zoom', m: 'length' };
    const commands: Record<string, string> = {
      f: 'fit',
      '9': 'actual',
      '0': 'reset',
      x: 'flip',
      i: 'invert',
      v: 'layout',
      l: 'link',
      b: 'marks',
      o: 'heatmap',
    };
    if (tools[key]) this.setTool(tools[key]);
    else if (commands[key]) this.runCommand(commands[key]);
    else if (key === '+' || key === '=') this.zoom(1.25);
    else if (key === '-' || key === '_') this.zoom(0.8);
    else if (key === '[') this.setOpacity(this.opacity - 0.1);
    else if (key === ']') this.setOpacity(this.opacity + 0.1);
    else if (key === ',') this.showNeighbour(-1);
    else if (key === '.') this.showNeighbour(1);
    else if (key === ' ' && !inList && this.activePane && this.activePane.image.frames > 1)
      this.activePane.togglePlay();
    else return false;
    return true;
  }

  private zoom(factor: number): void {
    if (!this.activePane) return;
    this.activePane.zoomBy(factor);
    this.paneEvents.zoomed(this.activePane, factor);
  }

  // --- findings and heat maps ---------------------------------------------------------------------------

  private bindCaseEvents(): void {
    onCaseEvent('cad:findings-updated', () => {
      this.findings = visibleFindings();
      const heatmaps = caseHeatmaps();
      for (const image of this.description.images) image.heatmap = heatmaps[image.id] ?? null;
      this.refreshOverlays();
    });
    onCaseEvent('cad:finding-selected', ({ id }) => void this.selectFinding(id));
    onCaseEvent('cad:edit-started', ({ id }) => {
      const finding = this.findings.find((candidate) => candidate.id === id);
      this.editing = { id, image: finding?.image ?? '', box: finding?.box ?? null };
      this.showEditedBox();
      this.updateToolbar();
    });
    onCaseEvent('cad:edit-ended', () => {
      this.editing = null;
      this.panes.forEach((pane) => pane.overlay.editBox(null));
      this.setTool(this.tool);
      this.refreshOverlays();
    });
    onCaseEvent('cad:box-changed', ({ image, box, from }) => {
      if (this.editing) Object.assign(this.editing, { image, box });
      for (const pane of this.panes) {
        if (pane.image.id !== image) pane.overlay.editBox(null);
        else if (from === 'panel') pane.overlay.editBox(box);
      }
    });
  }

  private async selectFinding(id: string): Promise<void> {
    this.selected = id;
    const finding = this.findings.find((candidate) => candidate.id === id);
    const image = this.description.images.find((candidate) => candidate.id === finding?.image);
    if (!finding || !image) return;
    this.refreshOverlays();
    this.showImage(image);
    const pane = await this.grid.paneOf(image);
    // Another may have been chosen while this one's image came.
    if (!pane || !(await pane.ready) || this.selected !== id) return;
    this.activate(pane);
    pane.reveal(finding.box);
  }

  private showEditedBox(): void {
    if (!this.editing) return;
    const { id, image, box } = this.editing;
    for (const pane of this.panes) {
      pane.overlay.setMode(id === null ? 'draw' : 'none');
      pane.overlay.editBox(pane.image.id === image ? box : null);
    }
    this.refreshOverlays();
  }

  private refreshOverlays(): void {
    this.panes.forEach((pane) => this.refreshOverlay(pane));
    this.updateToolbar();
  }

  private refreshOverlay(pane: Pane): void {
    const shown = this.findings.filter((finding) => finding.image === pane.image.id && finding.id !== this.editing?.id);
    pane.overlay.showFindings(shown, this.selected);
    pane.overlay.setMarksVisible(this.marksVisible);
    this.showHeat(pane);
  }

  private showHeat(pane: Pane): void {
    const { heatmap } = pane.image;
    // Before its image has come, a pane does not know which colours stand out on it.
    if (!heatmap || !this.heatVisible || pane.isColour === null) {
      pane.overlay.showHeat(null, 0);
      return;
    }
    const loaded = this.heatmapCanvases.get(heatmap) ?? loadHeatmap(heatmap, pane.isColour);
    this.heatmapCanvases.set(heatmap, loaded);
    loaded.then(
      (canvas) => {
        // Meanwhile the pane may have been put away, or a newer result have brought another map.
        if (this.heatVisible && pane.image.heatmap === heatmap && this.panes.includes(pane))
          pane.overlay.showHeat(canvas, this.opacity);
      },
      () => this.heatmapCanvases.delete(heatmap),
    );
  }
}
