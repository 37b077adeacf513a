/** The heat maps of the stage: whether they are shown, how strongly, and each loaded once. */
import type { CaseHeatmap } from '../api_types';
import { loadHeatmap } from './heatmap';
import type { Pane } from './pane';

/** Whether a heat map is of the frame that the pane shows. */
const isOn = (pane: Pane, heatmap: CaseHeatmap): boolean =>
  pane.image.frames === 1 || pane.shownFrame === heatmap.frame;

export class HeatLayer {
  visible = false;
  private strength = 0.45;
  private readonly canvases = new Map<string, Promise<HTMLCanvasElement>>();

  constructor(
    private readonly slider: HTMLInputElement | null,
    /** Whether a pane still hangs. */
    private readonly hangs: (pane: Pane) => boolean,
  ) {}

  get opacity(): number {
    return this.strength;
  }

  /** Show heat maps with this opacity, between 0 and 1. */
  setOpacity(opacity: number): void {
    this.strength = Math.min(Math.max(opacity, 0), 1);
    if (this.slider) this.slider.value = String(Math.round(this.strength * 100));
    this.visible = true;
  }

  /** Show a pane's heat map, or take it away. */
  refresh(pane: Pane): void {
    const { heatmap } = pane.image;
    // Before its image has come, a pane does not know which colours stand out on it.
    // It is of one frame: on another of the clip it would lie over other tissue.
    if (!heatmap || !this.visible || pane.isColour === null || !isOn(pane, heatmap)) {
      pane.overlay.showHeat(null, 0);
      return;
    }
    const loaded = this.canvases.get(heatmap.url) ?? loadHeatmap(heatmap.url, pane.isColour);
    this.canvases.set(heatmap.url, loaded);
    loaded.then(
      (canvas) => {
        // Meanwhile the pane may have been put away, or a newer result have brought another map.
        if (this.visible && pane.image.heatmap?.url === heatmap.url && isOn(pane, heatmap) && this.hangs(pane))
          pane.overlay.showHeat(canvas, this.strength);
      },
      () => this.canvases.delete(heatmap.url),
    );
  }
}
