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
    expect(livePanes().map((pane) => pane.border)).toEqual(['left', 'right']);
  });

  test('the place of a missing view says so', async () => {
    await openStage(caseOf('mammography', fourViews().slice(0, 3)));
    await chunksArrive();
    expect(document.querySelector('.pane--empty')?.textContent).toBe('no L MLO');
  });

  describe('images that repeat a view', () => {
    const repeated = caseImage('R CC', { id: 'again' });
    const raw = caseImage('R CC', { id: 'raw', roles: ['kept_aside'], kept_aside_reason: 'FOR PROCESSING.' });
    const images = [...fourViews(), repeated, raw];
    const withFirst = (image: CaseImage): CaseImage[] => [image, ...images.slice(1, 4)];
    const position = (): string | undefined => document.querySelector('.place output')?.textContent;
    const more = (): string | undefined => document.querySelector('.strip__more')?.textContent;

    beforeEach(async () => {
      openCasePage([findingIn(repeated, 'in-repeated')]);
      await openStage(caseOf('mammography', images));
      await chunksArrive();
      expectHung(images.slice(0, 4));
    });

    test('stand in the strip from the first, which counts those that are not seen', async () => {
      expect(stripShown()).toBe(true);
      expect(strip()).toHaveLength(6);
      expect(more()).toBe('+2');
      press('v');
      await settled();
      expect(more()).toBe('+5');
      expect(strip().filter((button) => button.classList.contains('strip__image--aside'))).toHaveLength(1);
      expect(strip()[5]?.title).toBe('FOR PROCESSING.');
    });

    test('are gone through in their place, and the other views stay as the reader has them', async () => {
      const others = livePanes().slice(1);
      expect(position()).toBe('1 / 3');
      const next = (): void => document.querySelector<HTMLElement>('.place__step:last-child')?.click();
      next();
      await settled();
      expectHung(withFirst(repeated));
      expect(position()).toBe('2 / 3');
      expect(others.every((pane) => !pane.hanging.aborted)).toBe(true);
      next();
      await settled();
      expectHung(withFirst(raw));
      next();
      await settled();
      expectHung(images.slice(0, 4));
      expect(document.querySelectorAll('.place')).toHaveLength(1);
    });

    test('are gone through with Page Down and Page Up, in all layouts', async () => {
      press('PageDown');
      press('PageDown');
      await settled();
      expectHung(withFirst(raw));
      press('PageUp');
      await settled();
      expectHung(withFirst(repeated));
      press('v');
      await settled();
      expectHung([repeated]);
      expect(position()).toBe('2 / 3');
      press('PageDown');
      await settled();
      expectHung([raw]);
      press('v');
      await settled();
      expectHung(withFirst(raw));
    });

    test('are one step back from the first view', async () => {
      press(',');
      await settled();
      expectHung(withFirst(raw));
    });

    test('are shown when they are chosen in the strip', async () => {
      strip()[4]?.click();
      await settled();
      expectHung(withFirst(repeated));
      press('v');
      await settled();
      strip()[5]?.click();
      await settled();
      expectHung([raw]);
    });

    test('are shown when a finding in them is chosen', async () => {
      dispatchCaseEvent('cad:finding-selected', { id: 'in-repeated', from: 'panel' });
      await settled();
      expectHung(withFirst(repeated));
      const pane = livePanes().find((each) => each.image === repeated);
      pane?.draw();
      await settled();
      expect(pane?.revealed).toBe(1);
      expect(pane?.element.classList).toContain('pane--active');
    });

    test('of which the last asked for is shown, however quickly they were asked for', async () => {
      for (const place of [4, 5, 0, 4]) strip()[place]?.click();
      await settled();
      expectHung(withFirst(repeated));
    });
  });

  test('a view of which there is only what was kept aside is missing, and can be looked at', async () => {
    const raw = caseImage('L MLO', { roles: ['kept_aside'], kept_aside_reason: 'FOR PROCESSING.' });
    const images = [...fourViews().slice(0, 3), raw];
    await openStage(caseOf('mammography', images));
    await chunksArrive();
    expect(hungImageIds()).toEqual(['r-cc', 'l-cc', 'r-mlo', '']);
    const place = document.querySelector('.pane--empty');
    expect(place?.textContent).toContain('no L MLO');
    expect(place?.querySelector('output')?.textContent).toBe('0 / 1');
    place?.querySelector<HTMLElement>('.place__step:last-child')?.click();
    await settled();
    expectHung(images);
  });

  test('an image of another view hangs alone', async () => {
    const other = caseImage('L AT');
    await openStage(caseOf('mammography', [...fourViews(), other]));
    await chunksArrive();
    strip()[4]?.click();
    await settled();
    expectHung([other]);
  });
});

describe('photographs', () => {
  const hidden = (): (string | undefined)[] =>
    [...document.querySelectorAll<HTMLElement>('[data-for=radiology]')]
      .filter((tool) => tool.hidden)
      .map((tool) => tool.dataset['tool'] ?? tool.dataset['command']);

  test('have no window, no inversion and no left and right', async () => {
    const images = [caseImage('A', { kind: 'image', is_photograph: true }), caseImage('B')];
    await openStage(caseOf('single', images));
    await chunksArrive();
    expect(hidden()).toEqual(['window', 'flip', 'invert']);
    press('x');
    press('i');
    expect(livePanes()[0]).toMatchObject({ isFlipped: false, isInverted: false });
    expect(document.querySelector('.toolbar [data-tool=pan]')?.getAttribute('aria-pressed')).toBe('true');
    press('.');
    await settled();
    expect(hidden()).toEqual([]);
    press('x');
    expect(document.querySelector('[data-command=flip]')?.getAttribute('aria-pressed')).toBe('true');
  });
});
