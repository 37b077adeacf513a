/** A slide's pane lives as long as its hanging, wherever its load stands when that ends. */
import { beforeEach, expect, test, vi } from 'vitest';
import { caseImage, caseWords } from '../testing/case_page';
import { ControlledFetch } from '../testing/controlled_fetch';
import { SlidePane } from './slide_pane';

/** OpenSeadragon as far as a slide that opens: its handlers, called by the test, and none after it was destroyed. */
class FakeViewer {
  static readonly made: FakeViewer[] = [];
  readonly canvas = document.createElement('div');
  isDestroyed = false;
  items = 0;
  readonly world = { getItemCount: (): number => this.items };
  readonly viewport = {
    imageToViewportCoordinates: (x: number, y: number) => ({ x, y }),
    pixelFromPoint: (point: { x: number; y: number }) => point,
  };
  private readonly handlers = new Map<string, () => void>();
  readonly addHandler = (name: string, handler: () => void): void => void this.handlers.set(name, handler);
  readonly addOnceHandler = this.addHandler;

  constructor() {
    FakeViewer.made.push(this);
  }

  tell(name: 'open' | 'open-failed'): void {
    if (this.isDestroyed) return;
    if (name === 'open') this.items = 1;
    this.handlers.get(name)?.();
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

vi.mock('openseadragon', () => ({ default: () => new FakeViewer() }));

const image = caseImage('slide', { kind: 'slide' });
const metadata = (): Response => Response.json({ slide: { mpp_x: 0.5, objective_power: 20 } });
const events = {
  drawn: vi.fn(),
  changed: vi.fn(),
  frameShown: vi.fn(),
  activated: vi.fn(),
  panned: vi.fn(),
  zoomed: vi.fn(),
};
let server: ControlledFetch;

beforeEach(() => {
  document.body.replaceChildren();
  FakeViewer.made.length = 0;
  server = new ControlledFetch();
  vi.clearAllMocks();
});

function hang(): { pane: SlidePane; end: () => void } {
  const hanging = new AbortController();
  const pane = new SlidePane(image, caseWords, events, { selected: vi.fn(), boxChanged: vi.fn() }, hanging.signal);
  document.body.append(pane.element);
  return { pane, end: () => hanging.abort() };
}

test('a hanging that ends before the metadata come opens no viewer', async () => {
  const { pane, end } = hang();
  end();
  await server.answer(image.urls.metadata, metadata());
  expect(await pane.ready).toBe(false);
  expect(FakeViewer.made).toEqual([]);
  expect(pane.element.textContent).not.toContain('Failed:');
});

test('a hanging that ends before the slide opens destroys the viewer and leaves nobody waiting', async () => {
  const { pane, end } = hang();
  await server.answer(image.urls.metadata, metadata());
  const [viewer] = FakeViewer.made;
  end();
  expect(await pane.ready).toBe(false);
  viewer?.tell('open-failed');
  expect(viewer?.isDestroyed).toBe(true);
  expect(events.drawn).not.toHaveBeenCalled();
  expect(pane.element.isConnected).toBe(false);
  expect(pane.element.textContent).not.toContain('Failed:');
});

test('a slide that opens is drawn once and says its magnification', async () => {
  const { pane } = hang();
  await server.answer(image.urls.metadata, metadata());
  expect(pane.stateText()).toBe('');
  FakeViewer.made[0]?.tell('open');
  expect(await pane.ready).toBe(true);
  expect(events.drawn).toHaveBeenCalledExactlyOnceWith(pane);
  expect(pane.stateText()).toBe('20×');
});

test('a slide that cannot be opened says why', async () => {
  const { pane } = hang();
  await server.answer(image.urls.metadata, metadata());
  FakeViewer.made[0]?.tell('open-failed');
  expect(await pane.ready).toBe(false);
  expect(pane.element.textContent).toContain('The slide cannot be opened.');
});
