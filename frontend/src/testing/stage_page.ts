/** A stage under test: the viewers' chunks are held back and let go by the test, and panes draw nothing. */
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { CaseDescription, CaseImage } from '../api_types';
import { openCasePage } from './case_page';
import { FakePane } from './fake_pane';
import { settled } from './settled';

const listeners: [string, EventListenerOrEventListenerObject][] = [];
/** Let the viewers' chunks go, without waiting for what follows. */
export let releaseChunks: () => void;

/** Open a case page before each test of a file, and close its stage after it. */
export function testStages(): void {
  beforeEach(() => {
    vi.resetModules();
    FakePane.made.length = 0;
    openCasePage();
    const chunks = new Promise<void>((resolve) => {
      releaseChunks = resolve;
    });
    for (const [path, name] of [
      ['../viewer/raster_pane', 'RasterPane'],
      ['../viewer/slide_pane', 'SlidePane'],
    ] as const) {
      vi.doMock(path, async () => {
        await chunks;
        return { [name]: FakePane };
      });
    }
    // A stage lives as long as its page; here one document sees many.
    const add = document.addEventListener.bind(document);
    vi.spyOn(document, 'addEventListener').mockImplementation(
      (name: string, listener: EventListenerOrEventListenerObject) => {
        listeners.push([name, listener]);
        add(name, listener);
      },
    );
  });

  afterEach(closeStage);
}

/** Silence the stage that is open, for a test that opens several. */
export function closeStage(): void {
  for (const [name, listener] of listeners.splice(0)) document.removeEventListener(name, listener);
}

/** Start a stage, whose viewers wait for `chunksArrive`. */
export async function openStage(description: CaseDescription): Promise<void> {
  const { startKeyboard } = await import('../page/keyboard');
  startKeyboard();
  const { Stage } = await import('../viewer/stage');
  new Stage(description);
}

/** A key with the focus where it is; on the images where it is nowhere. */
export function press(key: string, more: KeyboardEventInit = {}): void {
  if (document.activeElement === document.body) document.getElementById('panes')?.focus();
  document.activeElement?.dispatchEvent(
    new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }),
  );
}

export async function chunksArrive(): Promise<void> {
  releaseChunks();
  await settled();
}

/** The images of what hangs, place by place; an empty text where a place is empty. */
export const hungImageIds = (): string[] =>
  [...document.querySelectorAll<HTMLElement>('#panes > *')].map((element) => element.dataset['image'] ?? '');
/** The panes whose hanging has not ended. */
export const livePanes = (): FakePane[] => FakePane.made.filter((pane) => !pane.hanging.aborted);
export const paneOf = (image: CaseImage): FakePane => livePanes().find((pane) => pane.image === image) as FakePane;
const ids = (images: readonly CaseImage[]): string[] => images.map((image) => image.id);

/** What hangs is exactly this, and nothing else is alive. */
export function expectHung(images: readonly CaseImage[]): void {
  expect(hungImageIds()).toEqual(ids(images));
  // Panes are alive in the order that they were made in, which is not that of their places once one was replaced.
  expect(ids(livePanes().map((pane) => pane.image)).sort()).toEqual(ids(images).sort());
  expect(document.querySelectorAll('.overlay')).toHaveLength(images.length);
  expect(document.body.textContent).not.toContain('NaN');
}
