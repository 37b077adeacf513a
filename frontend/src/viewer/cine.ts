/** The controls of an image with frames: play, pause, a slider, which frame it is, and how fast they follow. */

import type { CaseWords } from '../api_types';

/** Where the file does not say how long a frame is shown. */
const ASSUMED_PERIOD_MS = 66;
/** Over how many frames the speed is measured. */
const MEASURED_FRAMES = 8;

const perSecond = (periodMs: number): string => (1000 / periodMs).toFixed(periodMs > 200 ? 1 : 0);

/** Asks for frames by number; its owner loads them and says with `show` which one is on the screen. */
export class Cine {
  readonly element = document.createElement('div');
  private readonly button = document.createElement('button');
  private readonly slider = document.createElement('input');
  private readonly position = document.createElement('output');
  private readonly speed = Object.assign(document.createElement('span'), { className: 'cine__speed num' });
  private readonly period: number;
  private current = 0;
  private timer: number | null = null;
  /** When the last frames of a run were shown. */
  private shownAt: number[] = [];

  constructor(
    private readonly frames: number,
    private readonly periodMs: number | null,
    private readonly words: CaseWords,
    private readonly showFrame: (frame: number) => Promise<void>,
  ) {
    this.period = periodMs ?? ASSUMED_PERIOD_MS;
    this.element.className = 'cine';
    Object.assign(this.button, { type: 'button', className: 'button button--small', textContent: words.play });
    this.button.addEventListener('click', () => this.toggle());
    Object.assign(this.slider, { type: 'range', min: '1', max: String(frames), value: '1' });
    this.slider.setAttribute('aria-label', words.frame);
    this.slider.addEventListener('input', () => this.goTo(Number(this.slider.value) - 1));
    this.position.className = 'num';
    this.element.append(this.button, this.slider, this.position, this.speed);
    this.element.addEventListener('pointerdown', (event) => event.stopPropagation());
    this.element.addEventListener('dblclick', (event) => event.stopPropagation());
    this.show(0);
    this.showSpeed(null);
  }

  /** Say which frame is on the screen, counted from 0. */
  show(frame: number): void {
    this.current = frame;
    this.slider.value = String(frame + 1);
    this.position.textContent = `${frame + 1} / ${this.frames}`;
  }

  /** Stop, and go to a frame. */
  goTo(frame: number): void {
    this.stop();
    // Counted from the frame last asked for, so that quick steps add up while one still loads.
    this.current = frame;
    void this.showFrame(frame);
  }

  step(by: number): void {
    this.goTo((this.current + by + this.frames) % this.frames);
  }

  /** Go on or back without beginning anew at the end; for the wheel. */
  scroll(by: number): void {
    const frame = Math.min(Math.max(this.current + by, 0), this.frames - 1);
    if (frame !== this.current) this.goTo(frame);
  }

  get isPlaying(): boolean {
    return this.timer !== null;
  }

  toggle(): void {
    if (this.timer !== null) {
      this.stop();
      return;
    }
    let busy = false;
    this.shownAt = [];
    this.timer = window.setInterval(() => {
      // A frame that is still loading is waited for, not skipped.
      if (busy) return;
      busy = true;
      void this.showFrame((this.current + 1) % this.frames).finally(() => {
        busy = false;
        this.measureSpeed();
      });
    }, this.period);
    this.button.textContent = this.words.pause;
  }

  stop(): void {
    if (this.timer !== null) window.clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = this.words.play;
    this.showSpeed(null);
  }

  private measureSpeed(): void {
    if (this.timer === null) return;
    this.shownAt = [...this.shownAt.slice(-MEASURED_FRAMES), performance.now()];
    const [first = 0] = this.shownAt;
    const period = (performance.now() - first) / Math.max(this.shownAt.length - 1, 1);
    this.showSpeed(this.shownAt.length > MEASURED_FRAMES && period > this.period * 1.25 ? period : null);
  }

  /** The speed that the file asks for, that it is assumed, or that the frames come slower. */
  private showSpeed(slowerMs: number | null): void {
    const wanted = `${perSecond(this.period)} / s`;
    const known = this.periodMs === null ? `${wanted} ${this.words.speed_assumed}` : wanted;
    const text =
      slowerMs === null ? known : `${perSecond(slowerMs)} / s ${this.words.slower_than.replace('{speed}', wanted)}`;
    if (this.speed.textContent !== text) this.speed.textContent = text;
  }
}
