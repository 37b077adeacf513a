/** Views are kept when they have been left alone, restored when a pane is built, and said where they hide something. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { CaseDescription, CaseImage, ImageView, StageView } from '../api_types';
import type { send } from '../journal/outgoing';
import { caseImage, caseOf, fourViews } from '../testing/case_page';
import type { FakePane } from '../testing/fake_pane';
import { chunksArrive, closeStage, expectHung, openStage, paneOf, press, testStages } from '../testing/stage_page';
import { settled } from '../testing/settled';

type Sending = Parameters<typeof send>[0];

const sent: Sending[] = [];
vi.mock('../journal/outgoing', async (original) => ({
  ...(await original<object>()),
  send: (sending: Sending): Promise<object> => {
    sent.push(sending);
    return Promise.resolve({ kept: true });
  },
}));

testStages();
beforeEach(() => {
  sent.length = 0;
});

const images = fourViews();
const [rcc, lcc, , lmlo] = images as [CaseImage, CaseImage, CaseImage, CaseImage];
const zoomed: ImageView = {
  window: null,
  table: null,
  inverted: false,
  flipped: false,
  zoom: 2.5,
  centre: [1, 2],
  frame: 0,
  plane: null,
  path: 0,
};
const together: StageView = {
  together: true,
  shown: images.map(({ id }) => id),
  active: rcc.id,
  tool: 'window',
  linked: false,
  marks: true,
  heat: false,
};

async function open(
  left: { stage?: StageView | null; images?: Record<string, ImageView> } | null = {},
  more: Partial<CaseDescription> = {},
): Promise<void> {
  const kept = left && { stage: null, images: {}, ...left };
  await openStage({ ...caseOf('mammography', images), kept, ...more });
  await chunksArrive();
  for (const each of images) pane(each)?.draw();
}

const pane = (image: CaseImage): FakePane => paneOf(image);
const left = (image: CaseImage): string => pane(image).element.querySelector('.pane__left')?.textContent ?? '';
const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 450));

/** Fake panes have no head of their own. */
function withHeads(): void {
  const observer = new MutationObserver(() => {
    for (const element of document.querySelectorAll('.pane'))
      if (!element.querySelector('.pane__head'))
        element.append(Object.assign(document.createElement('div'), { className: 'pane__head' }));
  });
  observer.observe(document.body, { childList: true, subtree: true });
}

describe('an image', () => {
  test('is sent once when it is left alone, however often it moved', async () => {
    await open();
    for (let step = 1; step <= 30; step += 1) pane(lcc).moved({ zoom: step, centre: [1, 1] });
    expect(sent).toEqual([]);
    await quiet();
    expect(sent.map(({ address, replaces }) => [address, replaces])).toEqual([
      [`/images/${lcc.id}/view`, `view ${lcc.id}`],
    ]);
    expect(JSON.parse(sent[0]?.fields['state'] as string)).toMatchObject({ zoom: 30, centre: [1, 1] });
    pane(lcc).moved({ zoom: 30, centre: [1, 1] });
    await quiet();
    expect(sent).toHaveLength(1);
  });

  test('is as it was left in another layout, and sent before its pane goes', async () => {
    await open();
    pane(rcc).moved({ zoom: 3, centre: [1, 3] });
    press('v');
    expect(sent.map(({ replaces }) => replaces)).toContain(`view ${rcc.id}`);
    await settled();
    pane(rcc).draw();
    expect(pane(rcc).restored).toMatchObject({ zoom: 3, centre: [1, 3] });
  });

  test('that was left otherwise than it opens is restored and says so until it is changed', async () => {
    withHeads();
    await open({ images: { [lcc.id]: { ...zoomed, inverted: true } } });
    expect(pane(lcc).restored).toMatchObject({ zoom: 2.5 });
    expect(left(lcc)).toBe('As you left it: zoomed · invertedReset');
    expect(left(rcc)).toBe('');
    // Restoring it is no change.
    await quiet();
    expect(sent).toEqual([]);
    pane(lcc).moved({ zoom: 4, centre: [1, 2] });
    await quiet();
    expect(left(lcc)).toBe('');
  });

  test('goes back to the opening view by its button, and stays there', async () => {
    withHeads();
    await open({ images: { [lcc.id]: zoomed } });
    pane(lcc).element.querySelector<HTMLElement>('.pane__left button')?.click();
    await quiet();
    expect(left(lcc)).toBe('');
    expect(JSON.parse(sent[0]?.fields['state'] as string)).toMatchObject({ zoom: null, centre: null });
  });

  test('is sent when the page is left, and not at all by who keeps none', async () => {
    await open();
    pane(lcc).moved({ zoom: 2, centre: [0, 0] });
    window.dispatchEvent(new Event('pagehide'));
    expect(sent).toHaveLength(1);
    closeStage();
    document.getElementById('panes')?.replaceChildren();
    sent.length = 0;
    await open(null);
    pane(lcc).moved({ zoom: 2, centre: [0, 0] });
    await quiet();
    expect(sent).toEqual([]);
  });
});

describe('the stage', () => {
  test('opens as it was left: layout, active image, tool', async () => {
    await open({ stage: { ...together, together: false, active: lmlo.id, tool: 'length' } });
    expectHung([lmlo]);
    expect(document.querySelector('[data-for=raster] [data-tool=length]')?.getAttribute('aria-pressed')).toBe('true');
    await quiet();
    expect(sent).toEqual([]);
  });

  test('is sent when something of it changes', async () => {
    await open({ stage: together });
    await quiet();
    press('m');
    press('b');
    await quiet();
    expect(sent.map(({ address }) => address)).toEqual(['/view']);
    expect(JSON.parse(sent[0]?.fields['state'] as string)).toMatchObject({ tool: 'length', marks: false });
  });

  test('says that findings are hidden as they were left', async () => {
    await open({ stage: { ...together, marks: false } });
    await settled();
    expect(document.getElementById('view-state')?.textContent).toContain('findings hidden');
    press('b');
    await settled();
    expect(document.getElementById('view-state')?.textContent).not.toContain('findings hidden');
  });

  test('shows what belongs to its places, also where images are gone or new', async () => {
    const again = caseImage('L CC', { id: 'l-cc-again' });
    const five = [...images, again];
    await openStage({
      ...caseOf('mammography', five),
      kept: { stage: { ...together, shown: ['gone', 'l-cc-again'], active: 'gone' }, images: {} },
    });
    await chunksArrive();
    expectHung([images[0], again, images[2], images[3]] as CaseImage[]);
  });
});
