/** The controls of an image with frames: play, pause, a slider, and which frame it is. */

import type { CaseWords } from '../api_types';

const PERIOD_MS = 66;

/** Asks for frames by number; its owner loads them and says with `show` which one is on the screen. */
export class Cine {
  readonly element = document.createElement('div');
  private readonly button = document.createElement('button');
  private readonly slider = document.createElement('input');
  private readonly position = document.createElement('output');
  private current = 0;
  private timer: number | null = null;

  constructor(
    private readonly frames: number,
    private readonly words: CaseWords,
    private readonly showFrame: (frame: number) => Promise<void>,
  ) {
    this.element.className = 'cine';
    Object.assign(this.button, { type: 'button', className: 'button button--small', textContent: words.play });
    this.button.addEventListener('click', () => this.toggle());
    Object.assign(this.slider, { type: 'range', min: '1', max: String(frames), value: '1' });
    this.slider.setAttribute('aria-label', words.frame);
    this.slider.addEventListener('input', () => {
      this.stop();
      void this.showFrame(Number(this.slider.value) - 1);
    });
    this.position.className = 'num';
    this.element.append(this.button, this.slider, this.position);
    this.element.addEventListener('pointerdown', (event) => event.stopPropagation());
    this.show(0);
  }

  /** Say which frame is on the screen, counted from 0. */
  show(frame: number): void {
    this.current = frame;
    this.slider.value = String(frame + 1);
    this.position.textContent = `${frame + 1} / ${this.frames}`;
  }

  step(by: number): void {
    // Counted from the frame last asked for, so that quick steps add up while one still loads.
    this.current = (this.current + by + this.frames) % this.frames;
    void this.showFrame(this.current);
  }

  toggle(): void {
    if (this.timer !== null) {
      this.stop();
      return;
    }
    let busy = false;
    this.timer = window.setInterval(() => {
      // A frame that is still loading is waited for, not skipped.
      if (busy) return;
      busy = true;
      void this.showFrame((this.current + 1) % this.frames).finally(() => {
        busy = false;
      });
    }, PERIOD_MS);
    this.button.textContent = this.words.pause;
  }

  stop(): void {
    if (this.timer !== null) window.clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = this.words.play;
  }
}
