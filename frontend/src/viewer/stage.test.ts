/** The stage hangs what was asked for last, once, whatever was interrupted on the way. The viewers' chunks are held
 * back and let go by the tests. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { CaseImage } from '../api_types';
import { dispatchCaseEvent } from '../page/case_events';
import { caseImage, caseOf, findingIn, fourViews, openCasePage } from '../testing/case_page';
import { FakePane } from '../testing/fake_pane';
import { settled } from '../testing/settled';
import {
  chunksArrive,
  closeStage,
  expectHung,
  livePanes,
  openStage,
  paneOf,
  press,
  releaseChunks,
  testStages,
} from '../testing/stage_page';

testStages();

describe('a hanging that is interrupted', () => {
  test('V twice while the viewer loads leaves the four views, each once and in order', async () => {
    const images = fourViews();
    await openStage(caseOf('mammography', images));
    press('v');
    press('v');
    await chunksArrive();
    expectHung(images);
    expect(FakePane.made).toHaveLength(4);
  });

  test('V three times leaves one view', async () => {
    const images = fourViews();
    await openStage(caseOf('mammography', images));
    for (let time = 0; time < 3; time += 1) press('v');
    await chunksArrive();
    expectHung(images.slice(0, 1));
    expect(document.querySelector('[data-command=layout]')?.getAttribute('aria-pressed')).toBe('false');
  });

  test('V pressed between any two steps of the load leaves the last hanging asked for', async () => {
    for (let steps = 0; steps < 12; steps += 1) {
      FakePane.made.length = 0;
      openCasePage();
      const images = fourViews();
      await openStage(caseOf('mammography', images));
      releaseChunks();
      for (let step = 0; step < steps; step += 1) await Promise.resolve();
      press('v');
      await Promise.resolve();
      press('v');
      await settled();
      expectHung(images);
      closeStage();
    }
  });

  test('V while images still come puts their panes away', async () => {
    const images = fourViews();
    await openStage(caseOf('mammography', images));
    await chunksArrive();
    const first = [...FakePane.made];
    press('v');
    await settled();
    expectHung(images.slice(0, 1));
    expect(first.every((pane) => pane.hanging.aborted)).toBe(true);
    first.forEach((pane) => pane.draw());
    await settled();
    expectHung(images.slice(0, 1));
  });

  test('the image chosen last in the strip is shown, and the strip says so', async () => {
    const images = ['A', 'B', 'C'].map((name) => caseImage(name));
    await openStage(caseOf('single', images));
    for (const place of [1, 2, 1]) document.querySelectorAll<HTMLElement>('#strip button')[place]?.click();
    await chunksArrive();
    expectHung(images.slice(1, 2));
    const pressed = [...document.querySelectorAll('#strip button')].map((button) =>
      button.getAttribute('aria-pressed'),
    );
    expect(pressed).toEqual(['false', 'true', 'false']);
  });

  test('an image that is about to hang is not hung anew', async () => {
    const images = ['A', 'B'].map((name) => caseImage(name));
    await openStage(caseOf('single', images));
    document.querySelectorAll<HTMLElement>('#strip button')[0]?.click();
    document.querySelectorAll<HTMLElement>('#strip button')[0]?.click();
    await chunksArrive();
    expectHung(images.slice(0, 1));
    expect(FakePane.made).toHaveLength(1);
  });

  test('the next and the next image leave the third', async () => {
    const images = ['A', 'B', 'C'].map((name) => caseImage(name));
    await openStage(caseOf('single', images));
    press('.');
    press('.');
    await chunksArrive();
    expectHung(images.slice(2));
  });

  test('a slide and a picture: the one asked for last hangs alone', async () => {
    const images = [caseImage('overview', { kind: 'slide' }), caseImage('photograph', { kind: 'image' })];
    await openStage(caseOf('single', images));
    press('.');
    await chunksArrive();
    expectHung(images.slice(1));
    press('.');
    await settled();
    expectHung(images.slice(0, 1));
  });

  test('the words for the view are those of the active pane, and none before its image has come', async () => {
    const images = [caseImage('photograph', { kind: 'image' }), caseImage('overview', { kind: 'slide' })];
    vi.doMock('./slide_pane', () => new Promise(() => undefined));
    await openStage(caseOf('single', images));
    await chunksArrive();
    livePanes().forEach((pane) => pane.draw());
    await settled();
    const words = document.getElementById('view-state');
    expect(words?.textContent).toBe('state of photograph');
    press('.');
    await settled();
    expect(words?.textContent).toBe('');
  });
});

describe('a finding that is chosen', () => {
  const images = fourViews();
  const [rightCc, leftCc, rightMlo] = images as [CaseImage, CaseImage, CaseImage];
  const findings = [findingIn(rightCc, 'in-right-cc'), findingIn(rightMlo, 'in-right-mlo')];

  beforeEach(() => openCasePage(findings));

  test('while the four views load is revealed in its view, and the four stay', async () => {
    await openStage(caseOf('mammography', images));
    dispatchCaseEvent('cad:finding-selected', { id: 'in-right-mlo', from: 'panel' });
    await chunksArrive();
    expectHung(images);
    paneOf(rightMlo).draw();
    await settled();
    expect(paneOf(rightMlo).revealed).toBe(1);
    expect(paneOf(rightMlo).element.classList).toContain('pane--active');
    expect(document.querySelectorAll('.mark--selected')).not.toHaveLength(0);
  });

  test('is left alone when another was chosen while its view loaded', async () => {
    await openStage(caseOf('mammography', images));
    await chunksArrive();
    dispatchCaseEvent('cad:finding-selected', { id: 'in-right-mlo', from: 'panel' });
    dispatchCaseEvent('cad:finding-selected', { id: 'in-right-cc', from: 'panel' });
    paneOf(rightCc).draw();
    await settled();
    paneOf(rightMlo).draw();
    await settled();
    expect(paneOf(rightMlo).revealed).toBe(0);
    expect(paneOf(rightCc).element.classList).toContain('pane--active');
  });

  test('does not come back to the image that was left for another', async () => {
    const stack = [rightCc, leftCc, rightMlo].map((image) => ({ ...image, laterality: '' }));
    await openStage(caseOf('mammography', stack));
    dispatchCaseEvent('cad:finding-selected', { id: 'in-right-mlo', from: 'panel' });
    document.querySelectorAll<HTMLElement>('#strip button')[1]?.click();
    await chunksArrive();
    expectHung([stack[1] as CaseImage]);
    expect(livePanes()[0]?.revealed).toBe(0);
  });

  test('is marked at once in what hangs, and the mark before it is not', async () => {
    await openStage(caseOf('mammography', images));
    await chunksArrive();
    livePanes().forEach((pane) => pane.draw());
    dispatchCaseEvent('cad:finding-selected', { id: 'in-right-mlo', from: 'panel' });
    dispatchCaseEvent('cad:finding-selected', { id: 'in-right-cc', from: 'panel' });
    const chosen = [...document.querySelectorAll('[data-finding].mark--selected')].map((mark) =>
      mark.getAttribute('data-finding'),
    );
    expect(chosen).toEqual(['in-right-cc']);
  });
});

describe('findings of a clip', () => {
  const clip = caseImage('A', { frames: 8 });
  const findings = [
    { ...findingIn(clip, 'on-5'), frame: 5 },
    { ...findingIn(clip, 'of-an-older-result'), frame: null },
    { ...findingIn(clip, 'of-the-reader'), frame: null, by_reader: true },
  ];
  const seen = (): (string | null)[] =>
    [...document.querySelectorAll('[data-finding]')].map((mark) => mark.getAttribute('data-finding'));

  beforeEach(async () => {
    openCasePage(findings);
    await openStage(caseOf('single', [clip]));
    await chunksArrive();
    livePanes()[0]?.draw();
  });

  test('are drawn on their frame only', () => {
    expect(seen()).toEqual(['of-an-older-result', 'of-the-reader']);
    livePanes()[0]?.showFrame(5);
    expect(seen()).toEqual(['on-5', 'of-the-reader']);
    livePanes()[0]?.showFrame(6);
    expect(seen()).toEqual(['of-the-reader']);
  });

  test('say which frames were read, as soon as the result comes', () => {
    document.body.insertAdjacentHTML(
      'beforeend',
      `<script id="frames-read-json" type="application/json">{"${clip.id}": "AI read all 8 frames"}</script>`,
    );
    dispatchCaseEvent('cad:findings-updated', {});
    expect(livePanes()[0]?.framesRead).toBe('AI read all 8 frames');
  });

  test('bring their frame to the screen when they are chosen', async () => {
    dispatchCaseEvent('cad:finding-selected', { id: 'on-5', from: 'panel' });
    await settled();
    expect(livePanes()[0]?.shownFrame).toBe(5);
    expect(seen()).toContain('on-5');
  });
});

test('a box that is being edited hangs again where it was left', async () => {
  const images = fourViews();
  const [image] = images as [CaseImage];
  openCasePage([findingIn(image, 'edited')]);
  await openStage(caseOf('mammography', images));
  dispatchCaseEvent('cad:edit-started', { id: 'edited' });
  await chunksArrive();
  expect(paneOf(image).overlay.editedBox).toEqual([0, 0, 1, 1]);
  dispatchCaseEvent('cad:box-changed', { image: image.id, frame: null, box: [1, 1, 2, 3], from: 'panel' });
  press('v');
  await settled();
  expect(paneOf(image).overlay.editedBox).toEqual([1, 1, 2, 3]);
});

describe('views that hang together', () => {
  test('stand with their chest walls in the middle', async () => {
    await openStage(caseOf('mammography', fourViews()));
    await chunksArrive();
    expect(livePanes().map((pane) => pane.border)).toEqual(['right', 'left', 'right', 'left']);
  });

  test("have one physical scale as each is drawn, and a view that is drawn already keeps the reader's zoom", async () => {
    const images = fourViews();
    Object.assign(images[1] as CaseImage, { spacing_um: [50, 50] });
    await openStage(caseOf('mammography', images));
    await chunksArrive();
    const [first, second] = livePanes() as [FakePane, FakePane];
    first.draw();
    expect(first.scale).toBe(2);
    first.scale = 7;
    second.draw();
    expect(second.scale).toBe(1);
    expect(first.scale).toBe(7);
  });

  test('one of which has no spacing is as large as its pane allows, and the others share their scale', async () => {
    const images = fourViews();
    Object.assign(images[1] as CaseImage, { spacing_um: null, pixel_spacing_um: null });
    await openStage(caseOf('mammography', images));
    await chunksArrive();
    (livePanes()[1] as FakePane).fittingScale = 0.5;
    for (const pane of livePanes()) pane.draw();
    expect(livePanes().map((pane) => pane.scale)).toEqual([2, 0.5, 2, 2]);
  });

  test('none of which has a spacing are each as large as its pane allows', async () => {
    const images = fourViews().map((image) => ({ ...image, spacing_um: null, pixel_spacing_um: null }));
    await openStage(caseOf('mammography', images));
    await chunksArrive();
    for (const pane of livePanes()) pane.draw();
    expect(livePanes().map((pane) => pane.scale)).toEqual([2, 2, 2, 2]);
  });

  test('are not scaled to nothing while the stage has no size', async () => {
    await openStage(caseOf('mammography', fourViews()));
    await chunksArrive();
    for (const pane of livePanes()) {
      pane.fittingScale = 0;
      pane.draw();
    }
    expect(livePanes().map((pane) => pane.scale)).toEqual([null, null, null, null]);
  });

  test('reset before any pane is there does nothing', async () => {
    const images = fourViews();
    await openStage(caseOf('mammography', images));
    press('0');
    await chunksArrive();
    press('0');
    expectHung(images);
  });

  test('a resize reaches the panes that hang, not those put away', async () => {
    const observed: ResizeObserverCallback[] = [];
    vi.stubGlobal(
      'ResizeObserver',
      class {
        constructor(callback: ResizeObserverCallback) {
          observed.push(callback);
        }
        observe(): void {}
      },
    );
    await openStage(caseOf('mammography', fourViews()));
    const resize = (): void => observed.forEach((callback) => callback([], {} as ResizeObserver));
    resize();
    await chunksArrive();
    const before = livePanes();
    press('v');
    resize();
    await settled();
    resize();
    expect(before.map((pane) => pane.resized)).toEqual([0, 0, 0, 0]);
    expect(livePanes().map((pane) => pane.resized)).toEqual([1]);
    vi.unstubAllGlobals();
  });
});

describe('a heat map', () => {
  const images = [caseImage('A', { heatmap: { url: '/heat/old', frame: 0 } }), caseImage('B')];
  let answers: Map<string, (canvas: HTMLCanvasElement) => void>;
  let asked: [string, boolean][];

  beforeEach(() => {
    answers = new Map();
    asked = [];
    vi.doMock('./heatmap', () => ({
      drawLegend: () => undefined,
      loadHeatmap: (address: string, isColour: boolean) => {
        asked.push([address, isColour]);
        return new Promise<HTMLCanvasElement>((resolve) => answers.set(address, resolve));
      },
    }));
  });

  const shown = (): string[] =>
    [...document.querySelectorAll<HTMLElement>('.overlay__heat')].map((canvas) => canvas.id);
  const answer = async (address: string): Promise<void> => {
    answers.get(address)?.(Object.assign(document.createElement('canvas'), { id: address }));
    await settled();
  };

  async function openWithHeat(): Promise<void> {
    await openStage(
      caseOf(
        'single',
        images.map((image) => ({ ...image })),
      ),
    );
    await chunksArrive();
    livePanes()[0]?.draw();
    press('o');
  }

  test('that comes for a pane put away is shown nowhere', async () => {
    await openWithHeat();
    press('.');
    await answer('/heat/old');
    expect(shown()).toEqual([]);
    expect(FakePane.made.flatMap((pane) => [...pane.element.querySelectorAll('.overlay__heat')])).toEqual([]);
  });

  test('that a newer result replaced does not cover the newer one', async () => {
    await openWithHeat();
    document.body.insertAdjacentHTML(
      'beforeend',
      '<script id="heatmaps-json" type="application/json">{"a": {"url": "/heat/new", "frame": 0}}</script>',
    );
    dispatchCaseEvent('cad:findings-updated', {});
    await answer('/heat/new');
    await answer('/heat/old');
    expect(shown()).toEqual(['/heat/new']);
  });

  test('of a clip lies over the frame that it is of, and over no other', async () => {
    const clip = caseImage('A', { frames: 8, heatmap: { url: '/heat/old', frame: 5 } });
    await openStage(caseOf('single', [clip]));
    await chunksArrive();
    const [pane] = livePanes() as [FakePane];
    pane.draw();
    press('o');
    expect(asked).toEqual([]);
    const showing = async (frame: number): Promise<string[]> => {
      pane.showFrame(frame);
      await answer('/heat/old');
      return shown();
    };
    expect(await showing(5)).toEqual(['/heat/old']);
    expect(await showing(6)).toEqual([]);
  });

  test('takes its colours from the image, not from a pane that does not know it yet', async () => {
    await openStage(
      caseOf(
        'single',
        images.map((image) => ({ ...image })),
      ),
    );
    await chunksArrive();
    press('o');
    expect(asked).toEqual([]);
    const [pane] = livePanes() as [FakePane];
    pane.draw();
    expect(asked).toEqual([['/heat/old', false]]);
  });
});

test('marks below the operating point of the site are counted, and drawn when they are asked for', async () => {
  const images = fourViews();
  const [image] = images as [CaseImage];
  openCasePage([findingIn(image, 'strong'), { ...findingIn(image, 'faint'), shown: false }]);
  await openStage(caseOf('mammography', images));
  await chunksArrive();
  livePanes().forEach((pane) => pane.draw());
  const seen = (): (string | null)[] =>
    [...document.querySelectorAll('[data-finding]')].map((mark) => mark.getAttribute('data-finding'));
  const toggle = document.querySelector<HTMLElement>('[data-command=faint]');
  expect(seen()).toEqual(['strong']);
  expect(toggle?.textContent).toBe('1 fainter');
  toggle?.click();
  expect(seen()).toEqual(['strong', 'faint']);
  expect(toggle?.getAttribute('aria-pressed')).toBe('true');
  press('B', { shiftKey: true });
  expect(seen()).toEqual(['strong']);
});
