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
  readonly opened: string[] = [];
  items = 0;
  readonly world = { getItemCount: (): number => this.items };
  readonly viewport = {
    imageToViewportCoordinates: (x: number, y: number) => ({ x, y }),
    pixelFromPoint: (point: { x: number; y: number }) => point,
  };
  private readonly handlers = new Map<string, () => void>();
  readonly addHandler = (name: string, handler: () => void): void => void this.handlers.set(name, handler);
  readonly addOnceHandler = this.addHandler;

  constructor({ tileSources }: { tileSources: string }) {
    FakeViewer.made.push(this);
    this.opened.push(tileSources);
  }

  open({ tileSource }: { tileSource: string }): void {
    this.opened.push(tileSource);
  }

  tell(name: 'open' | 'open-failed' | 'canvas-click'): void {
    if (this.isDestroyed) return;
    if (name === 'open') this.items = 1;
    this.handlers.get(name)?.();
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

vi.mock('openseadragon', () => ({ default: (options: { tileSources: string }) => new FakeViewer(options) }));

const image = caseImage('slide', { kind: 'slide' });
const metadata = (more: object = {}): Response =>
  Response.json({
    slide: {
      mpp_x: 0.5,
      objective_power: 20,
      focal_planes: [0],
      shown_plane: 0,
      optical_paths: [''],
      remarks: [],
      ...more,
    },
  });
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
  const pane = new SlidePane(
    image,
    caseWords,
    events,
    {
      selected: vi.fn(),
      boxChanged: vi.fn(),
      annotationDrawn: vi.fn(),
      annotationSelected: vi.fn(),
      annotationMoved: vi.fn(),
    },
    hanging.signal,
  );
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

test('focal planes and optical paths are chosen by name, and the tiles follow', async () => {
  const { pane } = hang();
  const several = { focal_planes: [0, 1.5, 3], shown_plane: 1, optical_paths: ['H', 'E'] };
  await server.answer(image.urls.metadata, metadata(several));
  FakeViewer.made[0]?.tell('open');
  await pane.ready;
  const [plane, path] = [...pane.element.querySelectorAll('select')];
  expect([...(plane?.children ?? [])].map((option) => option.textContent)).toEqual(['0 µm', '1.5 µm', '3 µm']);
  expect(plane?.value).toBe('1');
  pane.step(1);
  expect(plane?.value).toBe('2');
  pane.step(1);
  if (path) path.value = '1';
  path?.dispatchEvent(new Event('change'));
  const tiles = image.urls.tiles ?? '';
  expect(FakeViewer.made[0]?.opened).toEqual(
    ['?plane=1&path=0', '?plane=2&path=0', '?plane=2&path=1'].map((query) => tiles + query),
  );
});

test('a slide of one plane offers no choice', async () => {
  const { pane } = hang();
  await server.answer(image.urls.metadata, metadata());
  expect(pane.element.querySelector('select')).toBeNull();
  expect(FakeViewer.made[0]?.opened).toEqual([image.urls.tiles]);
});

test('what of a slide has not arrived is said on it', async () => {
  const { pane } = hang();
  await server.answer(image.urls.metadata, metadata({ remarks: ['Part 2 is missing.'] }));
  expect(pane.element.textContent).toContain('Part 2 is missing.');
});

test('a press leaves the focus at the pane, where the keys act', async () => {
  const { pane } = hang();
  await server.answer(image.urls.metadata, metadata());
  const [viewer] = FakeViewer.made;
  viewer?.tell('open');
  expect(await pane.ready).toBe(true);
  pane.element.append(viewer?.canvas as HTMLElement);
  viewer?.canvas.focus();
  viewer?.tell('canvas-click');
  expect(document.activeElement).toBe(pane.element);
});
