/** The stage's toolbar: which tools there are for the active image, and which are on. */
import type { CaseWords } from '../api_types';
import { drawLegend } from './heatmap';
import { type Pane, type Tool, drawnBy } from './pane';

/** What the toolbar shows of the stage. */
interface StageState {
  active: Pane | null;
  panes: readonly Pane[];
  tool: Tool;
  canHangTogether: boolean;
  /** How many marks lie below the site's operating point. */
  faint: number;
  /** Of the buttons that stay pressed, by command. */
  pressed: Readonly<Record<'layout' | 'link' | 'marks' | 'faint' | 'heatmap' | 'draw' | 'flip' | 'invert', boolean>>;
}

export class Toolbar {
  readonly slider = document.getElementById('opacity') as HTMLInputElement | null;
  private readonly faintCount = document.getElementById('faint-count');
  private readonly legend = document.getElementById('heat-legend');

  constructor(
    private readonly root: HTMLElement,
    private readonly words: CaseWords,
    events: { tool(tool: Tool): void; command(name: string): void; opacity(opacity: number): void },
  ) {
    const bar = root.querySelector('.toolbar');
    // A tool chosen with the pointer leaves the focus, and with it the keys, where they are.
    bar?.addEventListener('mousedown', (event) => {
      if (event.target instanceof Element && event.target.closest('button')) event.preventDefault();
    });
    bar?.addEventListener('click', (event) => {
      const button =
        event.target instanceof Element ? event.target.closest<HTMLElement>('[data-tool], [data-command]') : null;
      if (button?.dataset['tool']) events.tool(button.dataset['tool'] as Tool);
      else if (button?.dataset['command']) events.command(button.dataset['command']);
    });
    this.slider?.addEventListener('input', () => events.opacity(Number(this.slider?.value) / 100));
  }

  show({ active, panes, tool, canHangTogether, faint, pressed }: StageState): void {
    const isSlide = active?.image.kind === 'slide';
    const isPhotograph = active?.image.is_photograph === true;
    const shows: Record<string, boolean> = {
      raster: !isSlide,
      slide: isSlide,
      // The colours of a photograph are read as they are, and it has no left and right.
      radiology: !isSlide && !isPhotograph,
      hanging: canHangTogether,
      faint: faint > 0,
      heatmap: panes.some((pane) => pane.image.heatmap !== null),
    };
    for (const part of this.root.querySelectorAll<HTMLElement>('[data-for]'))
      part.hidden = !shows[part.dataset['for'] ?? ''];
    if (this.faintCount) this.faintCount.textContent = this.words.faint_marks.replace('{count}', String(faint));
    const ramp = document.getElementById('heat-ramp');
    if (this.legend) this.legend.hidden = !(shows['heatmap'] && pressed.heatmap);
    if (ramp instanceof HTMLCanvasElement) drawLegend(ramp, active?.isColour ?? false);
    for (const [command, isPressed] of Object.entries(pressed))
      this.root
        .querySelector(`[data-command=${command}][aria-pressed]`)
        ?.setAttribute('aria-pressed', String(isPressed));
    const shown = toolFor(active, tool);
    for (const button of this.root.querySelectorAll<HTMLElement>('.toolbar [data-tool]'))
      button.setAttribute('aria-pressed', String(button.dataset['tool'] === shown));
  }
}

/** What the chosen tool is on this image: where there is no window to change, dragging pans. */
export function toolFor(pane: Pane | null, tool: Tool): Tool {
  if (pane?.image.kind === 'slide') return drawnBy(tool) ?? 'pan';
  return pane?.image.is_photograph && tool === 'window' ? 'pan' : tool;
}
