/** Frames of a clip are loaded before they are due, so that it plays at its own speed where line and server can. */

/** How many frames beyond the one that is shown; with it, how much is asked for in vain when the reader stops. */
const AHEAD = 8;
/** At a time, beside the frame that is due. */
const IN_FLIGHT = 3;

export class ReadAhead {
  private readonly loading = new Set<number>();
  private readonly loaded = new Set<number>();
  private wanted: number[] = [];

  /** `load` may be asked for a frame that is loaded already. */
  constructor(
    private readonly frames: number,
    private readonly load: (frame: number) => Promise<void>,
  ) {}

  /** This frame is shown next, and those behind it soon. */
  from(frame: number): void {
    const soon = Array.from({ length: Math.min(AHEAD, this.frames - 1) }, (_, by) => (frame + 1 + by) % this.frames);
    // What lies behind may have left the cache by the time it comes round again.
    for (const known of this.loaded) if (!soon.includes(known)) this.loaded.delete(known);
    this.wanted = soon.filter((each) => !this.loaded.has(each) && !this.loading.has(each));
    this.goOn();
  }

  stop(): void {
    this.wanted = [];
  }

  private goOn(): void {
    while (this.loading.size < IN_FLIGHT && this.wanted.length > 0) {
      const frame = this.wanted.shift() as number;
      this.loading.add(frame);
      this.load(frame)
        .then(() => this.loaded.add(frame))
        // Whoever shows it says why it cannot be had.
        .catch(() => undefined)
        .finally(() => {
          this.loading.delete(frame);
          this.goOn();
        });
    }
  }
}
