/** The scale bar is of a round length, and of the region that it says. */
import { expect, test } from 'vitest';
import type { CaseImage } from '../api_types';
import { caseImage, caseWords } from '../testing/case_page';
import { ScaleBar } from './scale_bar';

const SIZE = [200, 100] as const;
const filling = { a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 };

function barOf(image: CaseImage): { bar: HTMLElement; scale: ScaleBar; pane: HTMLElement } {
  const pane = document.createElement('div');
  const scale = new ScaleBar(image, caseWords, pane);
  scale.update(filling, SIZE);
  return { bar: scale.element, scale, pane };
}

const point = (pane: HTMLElement, clientX: number): unknown =>
  pane.dispatchEvent(new PointerEvent('pointermove', { clientX, clientY: 50, bubbles: true }));

const twoDepths = (): CaseImage =>
  caseImage('US', {
    spacing_um: null,
    pixel_spacing_um: null,
    regions: [
      { box: [0, 0, 120, 100], spacing_um: [100, 100] },
      { box: [120, 0, 180, 100], spacing_um: [200, 200] },
    ],
  });

test.each([
  [100, '10 mm', '100px'],
  [0.5, '50 µm', '100px'],
  [40, '2 mm', '50px'],
])('of an image with %d micrometres a pixel it has a round length', (micrometres, words, width) => {
  const { bar } = barOf(caseImage('R CC', { spacing_um: [micrometres, micrometres] }));
  expect([bar.hidden, bar.textContent, bar.style.width]).toEqual([false, words, width]);
});

test('without a spacing there is none', () => {
  expect(barOf(caseImage('R CC', { spacing_um: null, pixel_spacing_um: null })).bar.hidden).toBe(true);
});

test('where regions differ it is of the one in the middle of what is shown, and says so', () => {
  const { bar, scale } = barOf(twoDepths());
  expect([bar.textContent, bar.style.width]).toEqual(['10 mm · in the middle', '100px']);
  // Panned: the other region is in the middle now.
  scale.update({ ...filling, e: -50 }, SIZE);
  expect([bar.textContent, bar.style.width]).toEqual(['20 mm · in the middle', '100px']);
});

test('or of the one under the pointer, as long as it is there', () => {
  const { bar, pane } = barOf(twoDepths());
  point(pane, 150);
  expect(bar.textContent).toBe('20 mm · at the pointer');
  pane.dispatchEvent(new PointerEvent('pointerleave'));
  expect(bar.textContent).toBe('10 mm · in the middle');
});

test('there is none where nothing is calibrated', () => {
  const { bar, pane } = barOf(twoDepths());
  point(pane, 190);
  expect(bar.hidden).toBe(true);
  point(pane, 10);
  expect(bar.hidden).toBe(false);
});

test('a trace on top measures no lengths', () => {
  const image = twoDepths();
  image.regions.unshift({ box: [80, 0, 110, 100], spacing_um: null });
  expect(barOf(image).bar.hidden).toBe(true);
});

test('one depth in all regions is one scale, wherever the pointer is', () => {
  const image = twoDepths();
  image.regions.forEach((region) => (region.spacing_um = [100, 100]));
  const { bar, pane } = barOf(image);
  point(pane, 190);
  expect([bar.hidden, bar.textContent]).toEqual([false, '10 mm']);
});
