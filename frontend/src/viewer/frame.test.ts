import { expect, test } from 'vitest';
import { caseImage, caseWords } from '../testing/case_page';
import { PaneFrame } from './frame';

test('a failure says why and asks again', () => {
  const frame = new PaneFrame(caseImage('R CC'), caseWords);
  let again = 0;
  frame.failed('The decoders are busy.', () => (again += 1));
  expect(frame.element.textContent).toContain('Failed: The decoders are busy.');
  frame.element.querySelector('button')?.click();
  expect([again, frame.element.dataset['ready']]).toEqual([1, 'failed']);
});
