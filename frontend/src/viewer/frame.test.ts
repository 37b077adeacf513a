import { expect, test } from 'vitest';
import { caseImage, caseWords } from '../testing/case_page';
import { PaneFrame } from './frame';

test.each([
  [100, '10 mm', '100px'],
  [0.5, '50 µm', '100px'],
  [40, '2 mm', '50px'],
])('the scale bar of an image with %d micrometres a CSS pixel is of a round length', (micrometres, words, width) => {
  const frame = new PaneFrame(caseImage('R CC'), caseWords);
  frame.showScale(micrometres);
  const bar = frame.element.querySelector('.scale-bar') as HTMLElement;
  expect([bar.hidden, bar.textContent, bar.style.width]).toEqual([false, words, width]);
});

test('without a pixel spacing there is no scale bar', () => {
  const frame = new PaneFrame(caseImage('R CC'), caseWords);
  frame.showScale(100);
  frame.showScale(null);
  expect((frame.element.querySelector('.scale-bar') as HTMLElement).hidden).toBe(true);
});

test('a failure says why and asks again', () => {
  const frame = new PaneFrame(caseImage('R CC'), caseWords);
  let again = 0;
  frame.failed('The decoders are busy.', () => (again += 1));
  expect(frame.element.textContent).toContain('Failed: The decoders are busy.');
  frame.element.querySelector('button')?.click();
  expect([again, frame.element.dataset['ready']]).toEqual([1, 'failed']);
});
