/** Whether somebody is at this workplace: keys, pointer and touch, in whatever window of the browser. */

const SIGNS = ['pointermove', 'pointerdown', 'keydown', 'wheel', 'touchstart'] as const;
/** The server is told at most so often, and at most a tenth of the time to the lock late. */
const REPORT_MS = 20_000;

export class IdleWatch {
  private lastSeen = Date.now();
  private reported = Date.now();
  private reportTimer = 0;
  private timer = 0;
  private readonly limit: number;

  /**
   * @param seconds - Without a sign for so long, `onIdle` is called.
   * @param onSeen - Told now and then that somebody is there.
   */
  constructor(
    seconds: number,
    private readonly onSeen: () => void,
    private readonly onIdle: () => void,
  ) {
    this.limit = seconds * 1000;
    for (const sign of SIGNS) document.addEventListener(sign, () => this.seen(), { capture: true, passive: true });
    this.waitFor(this.limit);
  }

  /** Somebody is there, here or in another window. */
  seen(here = true): void {
    this.lastSeen = Date.now();
    if (!here || this.reportTimer) return;
    const period = Math.min(REPORT_MS, this.limit / 10);
    this.reportTimer = window.setTimeout(
      () => {
        this.reportTimer = 0;
        this.reported = Date.now();
        this.onSeen();
      },
      Math.max(0, this.reported + period - Date.now()),
    );
  }

  /** Look again after so long. */
  waitFor(milliseconds: number): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.look(), Math.max(milliseconds, 1000));
  }

  private look(): void {
    const left = this.lastSeen + this.limit - Date.now();
    if (left > 0) this.waitFor(left);
    else this.onIdle();
  }
}
