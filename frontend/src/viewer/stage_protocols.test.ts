/** What hangs on the stage where a protocol hangs nothing, or not all images. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { CaseImage } from '../api_types';
import { dispatchCaseEvent } from '../page/case_events';
import { caseImage, caseOf, findingIn, fourViews, openCasePage } from '../testing/case_page';
import { settled } from '../testing/settled';
import { chunksArrive, expectHung, hungImageIds, livePanes, openStage, press, testStages } from '../testing/stage_page';

testStages();

describe('what a protocol leaves out', () => {
  const strip = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>('#strip button')];
  const stripShown = (): boolean => !(document.getElementById('strip') as HTMLElement).hidden;

  test.each(['single', '', 'of a later platform'])(
    'with the protocol "%s" one image is shown, all stand in the strip, and there is nothing to switch to',
    async (protocol) => {
      const images = fourViews();
      await openStage(caseOf(protocol, images));
      await chunksArrive();
      expectHung(images.slice(0, 1));
      expect(stripShown()).toBe(true);
      expect(strip().map((button) => button.textContent)).toEqual(images.map((image) => image.name));
      expect(document.querySelector<HTMLElement>('[data-for=hanging]')?.hidden).toBe(true);
      press('v');
      await settled();
      expectHung(images.slice(0, 1));
    },
  );

  test('the place of a view that an exam lacks is empty, and is no pane', async () => {
    const [, leftCc, rightMlo] = fourViews() as [CaseImage, CaseImage, CaseImage];
    await openStage(caseOf('mammography', [leftCc, rightMlo]));
    await chunksArrive();
    expect(hungImageIds()).toEqual(['', leftCc.id, rightMlo.id, '']);
    const panes = document.getElementById('panes') as HTMLElement;
    expect([...panes.children].map((place) => place.classList.contains('pane--empty'))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect(['--rows', '--columns'].map((name) => panes.style.getPropertyValue(name))).toEqual(['2', '2']);
    expect(livePanes().map((pane) => pane.wallSide)).toEqual(['left', 'right']);
  });

  describe('an image that repeats a view', () => {
    const repeated = caseImage('R CC', { id: 'again' });
    const images = [...fourViews(), repeated];

    beforeEach(async () => {
      openCasePage([findingIn(repeated, 'in-repeated')]);
      await openStage(caseOf('mammography', images));
      await chunksArrive();
      expectHung(images.slice(0, 4));
    });

    test('follows the last view that hangs, and stands in the strip from then on', async () => {
      expect(stripShown()).toBe(false);
      for (let time = 0; time < 4; time += 1) press('.');
      await settled();
      expectHung([repeated]);
      expect(stripShown()).toBe(true);
      expect(strip()).toHaveLength(5);
      press('v');
      await settled();
      expectHung(images.slice(0, 4));
    });

    test('is one step back from the first view', async () => {
      press(',');
      await settled();
      expectHung([repeated]);
    });

    test('is shown when it is chosen in the strip of single images', async () => {
      press('v');
      await settled();
      strip()[4]?.click();
      await settled();
      expectHung([repeated]);
    });

    test('is shown when a finding in it is chosen', async () => {
      dispatchCaseEvent('cad:finding-selected', { id: 'in-repeated', from: 'panel' });
      await settled();
      expectHung([repeated]);
      livePanes()[0]?.draw();
      await settled();
      expect(livePanes()[0]?.revealed).toBe(1);
    });
  });
});
