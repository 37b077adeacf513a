/** Boxes and lengths are in stored pixels, whatever the zoom, the pan and the side that the image is turned to. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { caseImage, findingIn } from '../testing/case_page';
import type { Affine } from './geometry';
import { Overlay } from './overlay';

/** Twice as large as stored and moved; and the same turned left to right. */
const plain: Affine = { a: 2, b: 0, c: 0, d: 2, e: 10, f: 20 };
const mirrored: Affine = { a: -2, b: 0, c: 0, d: 2, e: 210, f: 20 };
const events = { selected: vi.fn(), boxChanged: vi.fn(), noSpacing: 'px' };
let overlay: Overlay;

function open(transform: Affine, spacing: number | null = 100): SVGSVGElement {
  overlay = new Overlay(100, 50, spacing, events);
  document.body.replaceChildren(overlay.element);
  const svg = overlay.element.querySelector('svg') as SVGSVGElement;
  svg.setPointerCapture = (): void => undefined;
  overlay.update(transform);
  return svg;
}

beforeEach(() => vi.clearAllMocks());

function drag(svg: SVGSVGElement, target: Element, from: [number, number], to: [number, number]): void {
  const send = (on: Element, type: string, [clientX, clientY]: [number, number]): boolean =>
    on.dispatchEvent(new PointerEvent(type, { clientX, clientY, bubbles: true }));
  send(target, 'pointerdown', from);
  send(svg, 'pointermove', to);
  send(svg, 'pointerup', to);
}

describe('a new box', () => {
  test('is where it was drawn, its corners in order whichever was first', () => {
    const svg = open(plain);
    overlay.setMode('draw');
    drag(svg, svg, [110, 80], [30, 40]);
    expect(overlay.editedBox).toEqual([10, 10, 50, 30]);
    expect(events.boxChanged).toHaveBeenLastCalledWith([10, 10, 50, 30]);
  });

  test('ends at the border of the image', () => {
    const svg = open(plain);
    overlay.setMode('draw');
    drag(svg, svg, [190, 100], [900, 900]);
    expect(overlay.editedBox).toEqual([90, 40, 100, 50]);
  });

  test('is drawn on a mirrored image where the image is', () => {
    const svg = open(mirrored);
    overlay.setMode('draw');
    drag(svg, svg, [190, 40], [110, 80]);
    expect(overlay.editedBox).toEqual([10, 10, 50, 30]);
  });

  test('is none without the tool', () => {
    const svg = open(plain);
    drag(svg, svg, [30, 40], [110, 80]);
    expect(overlay.editedBox).toBeNull();
  });
});

describe('a box that is edited', () => {
  const grip = (name: string): Element => overlay.element.querySelector(`[data-grip="${name}"]`) as Element;

  test.each([
    ['move', [15, 12, 35, 32]],
    ['nw', [15, 12, 30, 30]],
    ['e', [10, 10, 35, 30]],
    ['s', [10, 10, 30, 32]],
  ])('follows its grip %s', (name, box) => {
    const svg = open(plain);
    overlay.editBox([10, 10, 30, 30]);
    drag(svg, grip(name), [50, 50], [60, 54]);
    expect(overlay.editedBox).toEqual(box);
  });

  test('has on a mirrored image its right border at the handle that looks left', () => {
    const svg = open(mirrored);
    overlay.editBox([10, 10, 30, 30]);
    drag(svg, grip('w'), [150, 50], [140, 50]);
    expect(overlay.editedBox).toEqual([10, 10, 35, 30]);
  });

  test('follows the arrow keys, which move or widen it, and stays in the image', () => {
    open(plain);
    overlay.editBox([90, 10, 98, 30]);
    overlay.nudge(1, -1, false);
    expect(overlay.editedBox).toEqual([91, 9, 99, 29]);
    overlay.nudge(5, 5, true);
    expect(overlay.editedBox).toEqual([91, 9, 100, 34]);
  });

  test('that is none follows nothing', () => {
    open(plain);
    overlay.nudge(1, 1, false);
    expect(events.boxChanged).not.toHaveBeenCalled();
  });
});

describe('a length', () => {
  const words = (): string[] => [...overlay.element.querySelectorAll('.length__text')].map((text) => text.textContent);

  function measure(spacing: number | null, from: [number, number], to: [number, number]): void {
    const svg = open(plain, spacing);
    overlay.setMode('length');
    drag(svg, svg, from, to);
  }

  test('is said in millimetres by the pixel spacing', () => {
    measure(100, [10, 20], [90, 80]);
    expect(words()).toEqual(['5.0 mm']);
  });

  test('is said in pixels where the spacing is not known', () => {
    measure(null, [10, 20], [90, 80]);
    expect(words()).toEqual(['50 px']);
  });

  test('of a click is none, and all go together', () => {
    measure(100, [10, 20], [12, 20]);
    expect(words()).toEqual([]);
    measure(100, [10, 20], [90, 80]);
    overlay.clearLengths();
    expect(words()).toEqual([]);
  });
});

describe('a mark', () => {
  test('says number and score, and is chosen by a press unless something is drawn', () => {
    open(plain);
    const finding = { ...findingIn(caseImage('R CC'), 'mass'), number: 3 };
    overlay.showFindings([finding], 'mass');
    const hit = overlay.element.querySelector('.mark__hit') as Element;
    expect(overlay.element.querySelector('.mark--selected text')?.textContent).toBe('3 · 80');
    overlay.setMode('draw');
    hit.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
    expect(events.selected).not.toHaveBeenCalled();
    overlay.setMode('none');
    hit.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
    expect(events.selected).toHaveBeenCalledExactlyOnceWith('mass');
  });
});
