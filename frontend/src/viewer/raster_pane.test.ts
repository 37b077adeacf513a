/** A picture's pane lives as long as its hanging, wherever its load stands when that ends. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { CaseImage, ImageMetadata } from '../api_types';
import { onCaseEvent } from '../page/case_events';
import { caseImage, caseWords } from '../testing/case_page';
import { enabledViewports, metaData, viewportSize } from '../testing/fake_cornerstone';
import { base64, identity } from '../testing/greys';
import { ControlledFetch } from '../testing/controlled_fetch';
import { settled } from '../testing/settled';
import { RasterPane } from './raster_pane';

vi.mock('@cornerstonejs/core', () => import('../testing/fake_cornerstone'));

let server: ControlledFetch;
let image: CaseImage;
let count = 0;
const events = {
  drawn: vi.fn(),
  changed: vi.fn(),
  frameShown: vi.fn(),
  activated: vi.fn(),
  panned: vi.fn(),
  zoomed: vi.fn(),
};

beforeEach(() => {
  document.body.replaceChildren();
  enabledViewports.clear();
  Object.assign(viewportSize, { width: 2, height: 4 });
  server = new ControlledFetch();
  vi.clearAllMocks();
  // Cornerstone's cache outlives a test.
  image = caseImage(`image ${(count += 1)}`, { frames: 3 });
});

function hang(): { pane: RasterPane; end: () => void } {
  const hanging = new AbortController();
  const pane = new RasterPane(
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

const frame = (number: number): string => `${image.urls.pixels}?frame=${number}`;
const pixels = (): Response => new Response(new Uint8Array(8));
const refusal = (detail: string): Response => Response.json({ detail }, { status: 503 });
const metadata = (facts: Partial<ImageMetadata> = {}): Response =>
  Response.json({
    rows: 4,
    columns: 2,
    frames: 3,
    samples: 1,
    bits_allocated: 8,
    signed: false,
    photometric: 'MONOCHROME2',
    window: { center: 128, width: 256 },
    window_function: 'LINEAR',
    slope: 1,
    intercept: 0,
    min: 0,
    max: 255,
    display: identity,
    frames_alike: true,
    windows: [],
    modality_table: null,
    padding: null,
    ...facts,
    pixel_spacing_um: 100,
    lossy: false,
    slide: null,
  });

async function hangDrawn(): Promise<{ pane: RasterPane; end: () => void }> {
  const hung = hang();
  await server.answer(image.urls.metadata, metadata());
  await server.answer(frame(0), pixels());
  expect(await hung.pane.ready).toBe(true);
  return hung;
}

describe('a hanging that ends', () => {
  test('before the metadata come asks for nothing more and fails nothing', async () => {
    const { pane, end } = hang();
    end();
    expect(server.requests[0]?.signal?.aborted).toBe(true);
    await server.answer(image.urls.metadata, metadata());
    expect(await pane.ready).toBe(false);
    expect(server.requests).toHaveLength(1);
    expect(pane.element.isConnected).toBe(false);
    expect(pane.element.dataset['ready']).toBeUndefined();
  });

  test('before the pixels come enables no viewport', async () => {
    const { pane, end } = hang();
    await server.answer(image.urls.metadata, metadata());
    end();
    await server.answer(frame(0), pixels());
    expect(await pane.ready).toBe(false);
    expect(enabledViewports.size).toBe(0);
    expect(events.drawn).not.toHaveBeenCalled();
    expect(pane.element.dataset['ready']).toBeUndefined();
  });

  test('gives its viewport back', async () => {
    const { pane, end } = await hangDrawn();
    expect(enabledViewports.size).toBe(1);
    end();
    expect(enabledViewports.size).toBe(0);
    expect(pane.element.isConnected).toBe(false);
    expect(pane.stateText()).toBe('');
    events.changed.mockClear();
    pane.resize();
    pane.fit();
    expect(events.changed).not.toHaveBeenCalled();
  });
});

describe('the next hanging of an image whose pixels still come', () => {
  test('shares the load, hears of its progress and is drawn', async () => {
    const first = hang();
    await server.answer(image.urls.metadata, metadata());
    first.end();
    const second = hang();
    await server.answer(image.urls.metadata, metadata());
    let more: ReadableStreamDefaultController<Uint8Array> | null = null;
    await server.answer(
      frame(0),
      new Response(new ReadableStream({ start: (controller) => void (more = controller) })),
    );
    const body = more as unknown as ReadableStreamDefaultController<Uint8Array>;
    body.enqueue(new Uint8Array(4));
    await settled();
    const bar = (pane: RasterPane): string | undefined =>
      pane.element.querySelector<HTMLElement>('.progress__bar')?.style.width;
    expect(bar(second.pane)).toBe('50%');
    body.enqueue(new Uint8Array(4));
    body.close();
    expect(await second.pane.ready).toBe(true);
    expect(server.count(frame(0))).toBe(1);
    expect(enabledViewports.size).toBe(1);
  });

  test('is told why they cannot be had, and comes back when asked again', async () => {
    const first = hang();
    await server.answer(image.urls.metadata, metadata());
    first.end();
    const { pane } = hang();
    await server.answer(image.urls.metadata, metadata());
    await server.answer(frame(0), refusal('The decoders are busy.'));
    expect(await pane.ready).toBe(false);
    expect(pane.element.textContent).toContain('The decoders are busy.');
    expect(first.pane.element.textContent).not.toContain('busy');
    pane.element.querySelector('button')?.click();
    await server.answer(image.urls.metadata, metadata());
    await server.answer(frame(0), pixels());
    expect(await pane.ready).toBe(true);
    expect(events.drawn).toHaveBeenCalledExactlyOnceWith(pane);
  });
});

describe('what Cornerstone may ask about an image', () => {
  const isKnown = (): boolean => metaData.get('imagePlaneModule', `cad:${image.id}/0`) !== undefined;

  test('is kept while it hangs anywhere, and no longer', async () => {
    const first = await hangDrawn();
    const second = hang();
    await server.answer(image.urls.metadata, metadata());
    expect(await second.pane.ready).toBe(true);
    first.end();
    expect(isKnown()).toBe(true);
    second.end();
    expect(isKnown()).toBe(false);
  });

  test('is kept for a load that outlives its hanging, and goes with the load', async () => {
    const { end } = hang();
    await server.answer(image.urls.metadata, metadata());
    end();
    expect(isKnown()).toBe(true);
    await server.answer(frame(0), pixels());
    expect(isKnown()).toBe(false);
  });
});

describe('frames', () => {
  const shown = (pane: RasterPane): string | null | undefined => pane.element.querySelector('output')?.textContent;
  const onScreen = (): string | undefined => [...enabledViewports.values()][0]?.image?.imageId;

  test('the number is that of the frame asked for last, in whatever order they come', async () => {
    const { pane } = await hangDrawn();
    pane.step(1);
    pane.step(1);
    await server.answer(frame(2), pixels());
    await server.answer(frame(1), pixels());
    expect(shown(pane)).toBe('3 / 3');
    expect(onScreen()).toMatch(/\/2$/);
  });

  test('one that cannot be had says why, and no other stands under its number', async () => {
    const { pane } = await hangDrawn();
    pane.step(1);
    await server.answer(frame(1), refusal('The decoders are busy.'));
    expect(pane.element.textContent).toContain('The decoders are busy.');
    expect(shown(pane)).toBe('1 / 3');
    expect(onScreen()).toMatch(/\/0$/);
  });

  test('one that comes after the hanging has ended changes nothing', async () => {
    const { pane, end } = await hangDrawn();
    pane.step(1);
    end();
    await server.answer(frame(1), refusal('The decoders are busy.'));
    expect(shown(pane)).toBe('1 / 3');
    expect(pane.element.textContent).not.toContain('busy');
  });
});

describe('a pane without an image or without room', () => {
  test('leaves every command alone, and nothing over it can be touched', () => {
    const { pane } = hang();
    for (const command of ['fit', 'actualSize', 'reset', 'flip', 'invert', 'resize', 'togglePlay'] as const)
      pane[command]();
    pane.zoomBy(2);
    pane.panBy(1, 1);
    pane.reveal([0, 0, 1, 1]);
    pane.together.setScale(2);
    expect(pane.stateText()).toBe('');
    expect(pane.overlay.element.hidden).toBe(true);
  });

  test('says no numbers, and its camera keeps its place', async () => {
    const { pane } = await hangDrawn();
    expect(pane.stateText()).toContain('100 %');
    expect(pane.overlay.element.hidden).toBe(false);
    viewportSize.width = 0;
    pane.actualSize();
    pane.zoomBy(2);
    pane.reveal([0, 0, 1, 1]);
    pane.together.setScale(2);
    expect(pane.stateText()).toBe('');
    const [viewport] = enabledViewports.values();
    expect(viewport).toMatchObject({ zoom: 1, pan: [0, 0] });
  });
});

describe('an image that is turned and mirrored', () => {
  const flipped = (): boolean | undefined => [...enabledViewports.values()][0]?.camera.flipHorizontal;
  const notes = (pane: RasterPane): string | null | undefined =>
    pane.element.querySelector('.pane__notes')?.textContent;

  test('says so, and is as it is wherever it hangs', async () => {
    image = { ...image, mirror: true, turn: 90 };
    const { pane } = await hangDrawn();
    expect(flipped()).toBe(true);
    expect(notes(pane)).toBe('mirrored · turned 90°');
    pane.together.hangAt('left');
    expect(flipped()).toBe(true);
    const [viewport] = enabledViewports.values();
    expect(viewport?.image).toMatchObject({ rows: 2, columns: 4 });
  });

  test('that the reader flips is as it is stored, and comes back with a reset', async () => {
    image = { ...image, mirror: true };
    const { pane } = await hangDrawn();
    pane.flip();
    expect(flipped()).toBe(false);
    expect(pane.isFlipped).toBe(true);
    expect(notes(pane)).toBe('');
    pane.reset();
    expect(flipped()).toBe(true);
    expect(pane.isFlipped).toBe(false);
  });

  test('that the reader mirrors says so', async () => {
    const { pane } = await hangDrawn();
    expect(notes(pane)).toBe('');
    pane.flip();
    expect(notes(pane)).toBe('mirrored');
  });
});

describe('the scale', () => {
  const bar = (pane: RasterPane): HTMLElement => pane.element.querySelector('.scale-bar') as HTMLElement;

  test('of an image without spacing is none, and is said to be', async () => {
    image = { ...image, spacing_um: null, pixel_spacing_um: null };
    const { pane } = await hangDrawn();
    expect(bar(pane).hidden).toBe(true);
    expect(pane.element.querySelector('.pane__notes')?.textContent).toBe('no scale');
  });

  test('that was refused says why', async () => {
    image = { ...image, spacing_um: null, pixel_spacing_um: null, scale_reason: 'magnification unknown' };
    const { pane } = await hangDrawn();
    expect(pane.element.querySelector('.pane__notes')?.textContent).toBe('no scale (magnification unknown)');
  });

  test('of two regions that differ is that of the one in the middle', async () => {
    const regions: CaseImage['regions'] = [
      { box: [0, 0, 1, 4], spacing_um: [100, 100] },
      { box: [1, 0, 2, 4], spacing_um: [200, 200] },
    ];
    image = { ...image, spacing_um: null, pixel_spacing_um: null, regions };
    const { pane } = await hangDrawn();
    expect(bar(pane).textContent).toContain('in the middle');
    expect(pane.element.querySelector('.pane__notes')?.textContent).toBe('');
  });

  test('of pixels that are not square stretches the longer side', async () => {
    image = { ...image, spacing_um: [80, 40] };
    await hangDrawn();
    const [viewport] = enabledViewports.values();
    expect(viewport?.image).toMatchObject({ columnPixelSpacing: 2, rowPixelSpacing: 1 });
  });
});

test('a side that is not sure is a stop that leads to where it is settled', async () => {
  image = { ...image, side_stop: 'Side unconfirmed: the header says L.' };
  const { pane } = await hangDrawn();
  const stop = pane.element.querySelector('.pane__stop');
  expect(stop?.textContent).toContain('the header says L');
  const asked: string[] = [];
  const stopListening = onCaseEvent('cad:side-asked', (detail) => void asked.push(detail.image));
  stop?.querySelector('button')?.click();
  stopListening();
  expect(asked).toEqual([image.id]);
});

test('an image that is kept aside says why', () => {
  image = { ...image, roles: ['kept_aside'], kept_aside_reason: 'FOR PROCESSING.' };
  expect(hang().pane.element.querySelector('.pane__aside')?.textContent).toBe('Kept aside. FOR PROCESSING.');
});

describe('greys', () => {
  const onScreen = (): number[] => [...([...enabledViewports.values()][0]?.drawn ?? [])];
  const stored = (...values: number[]): Response => new Response(Uint16Array.from(values));
  const sixteen = { rows: 1, columns: 4, bits_allocated: 16, display: { first: 10, table: base64([0, 40, 80, 255]) } };

  async function hangSixteen(facts: Partial<ImageMetadata> = {}): Promise<RasterPane> {
    image = caseImage(`image ${(count += 1)}`, { frames: 3, rows: 1, columns: 4 });
    const { pane } = hang();
    await server.answer(image.urls.metadata, metadata({ ...sixteen, ...facts }));
    await server.answer(frame(0), stored(0, 11, 12, 500));
    expect(await pane.ready).toBe(true);
    return pane;
  }

  test('are those of the table, at opening and after a reset', async () => {
    const pane = await hangSixteen({ window: { center: 12, width: 3 }, min: 0, max: 500 });
    expect(onScreen()).toEqual([0, 40, 80, 255]);
    pane.changeWindow(0, 600);
    expect(onScreen()).toEqual([0, 0, 0, 0]);
    expect(pane.stateText()).toContain('W 3  L 512');
    pane.reset();
    expect(onScreen()).toEqual([0, 40, 80, 255]);
    expect(pane.stateText()).toContain('W 3  L 12');
  });

  test('of a frame that has a table of its own are by that', async () => {
    const pane = await hangSixteen({ frames_alike: false });
    pane.step(1);
    await server.answer(frame(1), stored(0, 11, 12, 500));
    const own = { window: { center: 7, width: 9 }, display: { first: 11, table: base64([1, 2]) } };
    await server.answer(`${image.urls.metadata}?frame=1`, metadata({ ...sixteen, ...own }));
    await settled();
    expect(onScreen()).toEqual([1, 1, 2, 2]);
    expect(pane.stateText()).toContain('L 7');
    pane.changeWindow(0, 600);
    pane.reset();
    expect(pane.shownFrame).toBe(1);
    expect(pane.stateText()).toContain('W 9  L 7');
  });

  test('of frames that are alike need no further question', async () => {
    const pane = await hangSixteen();
    pane.step(1);
    await server.answer(frame(1), stored(10, 10, 10, 10));
    await settled();
    expect(onScreen()).toEqual([0, 0, 0, 0]);
    expect(server.count(`${image.urls.metadata}?frame=1`)).toBe(0);
  });

  test('keep the window that the reader made from frame to frame', async () => {
    const pane = await hangSixteen({ window: { center: 12, width: 3 }, min: 0, max: 500 });
    pane.changeWindow(0, 600);
    pane.step(1);
    await server.answer(frame(1), stored(600, 600, 600, 600));
    await settled();
    expect(pane.stateText()).toContain('L 512');
    expect(onScreen()).toEqual([0, 0, 0, 0]);
  });

  test('can be seen through each window and table that the header names', async () => {
    const named = { center: 500, width: 2, function: 'LINEAR' as const, display: null };
    const display = { first: 0, table: base64([7]) };
    const pane = await hangSixteen({
      window: { center: 12, width: 3 },
      windows: [
        { name: 'HARDER', ...named },
        { name: 'NORMAL', ...named, center: 12, width: 3 },
        { name: 'CURVE', center: null, width: null, function: 'LUT', display },
      ],
    });
    const select = pane.element.querySelector('select') as HTMLSelectElement;
    expect([...select.options].map((option) => option.text)).toEqual(['HARDER', 'NORMAL', 'CURVE']);
    expect(select.value).toBe('1');
    const pick = (place: number): void => {
      select.value = String(place);
      select.dispatchEvent(new Event('change'));
    };
    pick(2);
    expect(onScreen()).toEqual([7, 7, 7, 7]);
    expect(pane.stateText()).toContain('LUT CURVE');
    pick(0);
    expect(pane.stateText()).toContain('L 500');
    pane.changeWindow(10, 10);
    expect(select.selectedIndex).toBe(-1);
    pane.reset();
    expect(select.value).toBe('1');
    expect(onScreen()).toEqual([0, 40, 80, 255]);
  });
});
