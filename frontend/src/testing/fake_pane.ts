/** A pane that draws nothing: the test says when its image is there. */
import type { CaseImage, CaseWords, ImageView } from '../api_types';
import { Overlay, type OverlayEvents } from '../viewer/overlay';
import type { Pane, PaneEvents } from '../viewer/pane';

/** Stands in for both kinds of pane, and keeps what the stage asked of it. */
export class FakePane implements Pane {
  /** Every pane made since the list was emptied, put away or not. */
  static readonly made: FakePane[] = [];
  readonly element = document.createElement('div');
  readonly overlay: Overlay;
  readonly ready: Promise<boolean>;
  readonly together = {
    hangAt: (border: 'left' | 'right'): void => {
      this.border = border;
    },
    fitScale: (): number => this.fittingScale,
    setScale: (scale: number): void => {
      this.scale = scale;
    },
  };
  isColour: boolean | null = null;
  border = '';
  shownFrame = 0;
  isFlipped = false;
  isInverted = false;
  fittingScale = 2;
  scale: number | null = null;
  revealed = 0;
  resized = 0;
  private settle: (isDrawn: boolean) => void = () => undefined;

  constructor(
    readonly image: CaseImage,
    words: CaseWords,
    private readonly events: PaneEvents,
    overlayEvents: OverlayEvents,
    readonly hanging: AbortSignal,
  ) {
    this.element.className = 'pane';
    this.element.tabIndex = 0;
    this.element.dataset['image'] = image.id;
    this.element.dataset['keys'] = 'image';
    this.overlay = new Overlay(image, words, overlayEvents);
    this.element.append(this.overlay.element);
    this.ready = new Promise((resolve) => {
      this.settle = resolve;
    });
    this.element.addEventListener('focus', () => events.activated(this));
    hanging.addEventListener('abort', () => {
      this.element.remove();
      this.settle(false);
    });
    FakePane.made.push(this);
  }

  /** The image has come. */
  draw(): void {
    if (this.hanging.aborted) return;
    this.isColour = false;
    this.settle(true);
    this.events.drawn(this);
    this.events.changed(this);
  }

  reveal(): void {
    this.revealed += 1;
  }

  resize(): void {
    this.resized += 1;
  }

  stateText(): string {
    return this.isColour === null ? '' : `state of ${this.image.name}`;
  }

  /** How the reader has it; the test changes it and says so with `moved`. */
  viewed: Partial<ImageView> = {};
  restored: ImageView | null = null;
  view(): ImageView | null {
    if (this.isColour === null) return null;
    const { isFlipped: flipped, isInverted: inverted, shownFrame: frame } = this;
    return {
      window: null,
      table: null,
      zoom: null,
      centre: null,
      plane: null,
      path: 0,
      inverted,
      flipped,
      frame,
      ...this.viewed,
    };
  }
  restore(view: ImageView): void {
    this.restored = view;
    this.viewed = view;
  }
  moved(view: Partial<ImageView>): void {
    this.viewed = view;
    this.events.changed(this);
  }
  setTool(): void {}
  fit(): void {}
  actualSize(): void {}
  reset(): void {
    this.moved({});
  }
  flip(): void {
    this.isFlipped = !this.isFlipped;
  }
  invert(): void {
    this.isInverted = !this.isInverted;
  }
  panBy(): void {}
  zoomBy(): void {}
  showFrame(frame: number): void {
    this.shownFrame = frame;
    this.events.frameShown(this);
  }
  framesRead = '';
  showFramesRead(words: string): void {
    this.framesRead = words;
  }
  step(): void {}
  togglePlay(): void {}
}
