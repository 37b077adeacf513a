/** Boxes and lengths are in stored pixels, whatever the zoom, the pan and the side that the image is turned to. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { annotationIn, caseImage, caseWords, findingIn } from '../testing/case_page';
import type { CaseAnnotation, CaseImage } from '../api_types';
import type { Affine } from './geometry';
import { Overlay } from './overlay';
import { textWidth } from './svg';

/** Twice as large as stored and moved; and the same turned left to right. */
const plain: Affine = { a: 2, b: 0, c: 0, d: 2, e: 10, f: 20 };
const mirrored: Affine = { a: -2, b: 0, c: 0, d: 2, e: 210, f: 20 };
const events = {
  selected: vi.fn(),
  boxChanged: vi.fn(),
  annotationDrawn: vi.fn(),
  annotationSelected: vi.fn(),
  annotationMoved: vi.fn(),
};
let overlay: Overlay;

function open(transform: Affine, more: Partial<CaseImage> = {}): SVGSVGElement {
  overlay = new Overlay(caseImage('R CC', { columns: 100, rows: 50, ...more }), caseWords, events);
  document.body.replaceChildren(overlay.element);
  const svg = overlay.element.querySelector('svg') as SVGSVGElement;
  svg.setPointerCapture = (): void => undefined;
  overlay.update(transform, [400, 300]);
  return svg;
}

/** What was drawn, as the stage keeps it. */
let drawn: CaseAnnotation[] = [];

beforeEach(() => {
  vi.clearAllMocks();
  drawn = [];
  events.annotationDrawn.mockImplementation((kind: CaseAnnotation['kind'], points: CaseAnnotation['points']) => {
    drawn.push(annotationIn(caseImage('R CC'), `drawn-${drawn.length}`, { kind, points }));
    overlay.showAnnotations(drawn, null);
  });
});

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

  function measure(more: Partial<CaseImage>, from: [number, number], to: [number, number]): void {
    drawn = [];
    const svg = open(plain, more);
    overlay.setMode('length');
    drag(svg, svg, from, to);
  }
  const unknown = { spacing_um: null, pixel_spacing_um: null };
  const halves: Partial<CaseImage> = {
    ...unknown,
    regions: [
      { box: [0, 0, 50, 50], spacing_um: [100, 100] },
      { box: [50, 0, 100, 50], spacing_um: [200, 200] },
    ],
  };

  test('is said in millimetres by the pixel spacing', () => {
    measure({}, [10, 20], [90, 80]);
    expect(words()).toEqual(['5.0 mm']);
  });

  test('goes by the spacing of rows and of columns', () => {
    measure({ spacing_um: [80, 40], pixel_spacing_um: null }, [10, 20], [110, 20]);
    expect(words()).toEqual(['4.0 mm']);
    measure({ spacing_um: [80, 40], pixel_spacing_um: null }, [10, 20], [10, 120]);
    expect(words()).toEqual(['2.0 mm']);
  });

  test('is said in pixels where the spacing is not known', () => {
    measure(unknown, [10, 20], [90, 80]);
    expect(words()).toEqual(['50 px']);
  });

  test('goes by the region that it lies in', () => {
    measure(halves, [30, 40], [90, 40]);
    expect(words()).toEqual(['3.0 mm']);
    measure(halves, [130, 40], [190, 40]);
    expect(words()).toEqual(['6.0 mm']);
  });

  test('has no millimetres across two regions, outside all, or where a region says that they mean nothing', () => {
    measure(halves, [90, 40], [130, 40]);
    expect(words()).toEqual(['20 px (not calibrated here)']);
    measure({ ...halves, regions: halves.regions?.slice(0, 1) ?? [] }, [130, 40], [190, 40]);
    expect(words()).toEqual(['30 px (not calibrated here)']);
    measure({ ...unknown, regions: [{ box: [0, 0, 100, 50], spacing_um: null }] }, [130, 40], [190, 40]);
    expect(words()).toEqual(['30 px']);
  });

  test('does not lay its words over those of another, nor over the label of a mark', () => {
    const svg = open(plain);
    overlay.showFindings([{ ...findingIn(caseImage('R CC'), 'mass'), box: [40, 8, 46, 14] }], null);
    overlay.setMode('length');
    drag(svg, svg, [20, 40], [100, 40]);
    drag(svg, svg, [100, 100], [100, 40]);
    drag(svg, svg, [40, 60], [100, 44]);
    const boxes = [...overlay.element.querySelectorAll('.length__text')].map((text) => {
      const [x, y] = [Number(text.getAttribute('x')), Number(text.getAttribute('y'))];
      return [x, y - 12, x + textWidth(text.textContent), y] as const;
    });
    const label = /translate\(([\d.]+),([\d.]+)\)/.exec(
      overlay.element.querySelector('[data-state]')?.getAttribute('transform') ?? '',
    );
    const [x, y] = [Number(label?.[1]), Number(label?.[2])];
    const all = [...boxes, [x, y, x + 40, y + 16] as const];
    for (const [index, one] of all.entries())
      for (const other of all.slice(index + 1))
        expect(one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]).toBe(false);
  });

  test('stays inside the pane with its words', () => {
    measure({}, [10, 20], [399, 299]);
    const text = overlay.element.querySelector('.length__text');
    expect(Number(text?.getAttribute('x'))).toBeLessThan(350);
    expect(Number(text?.getAttribute('y'))).toBeLessThan(300);
  });

  test('ends at the border of the image', () => {
    measure({}, [10, 20], [399, 20]);
    expect(events.annotationDrawn).toHaveBeenCalledExactlyOnceWith('length', [
      [0, 0],
      [100, 0],
    ]);
  });

  test('of a click is none', () => {
    measure({}, [10, 20], [12, 20]);
    expect(words()).toEqual([]);
    expect(events.annotationDrawn).not.toHaveBeenCalled();
  });

  test('that is drawn is shown by the scale while the pointer is down, and by the words of the server after', () => {
    const svg = open(plain);
    const kept = annotationIn(caseImage('R CC'), 'kept', { words: '4.9 mm', note: 'long axis' });
    overlay.showAnnotations([kept], 'kept');
    expect(words()).toEqual(['4.9 mm · long axis']);
    expect(overlay.element.querySelector('.drawn--selected')).not.toBeNull();
    overlay.setMode('length');
    svg.dispatchEvent(new PointerEvent('pointerdown', { clientX: 10, clientY: 100, bubbles: true }));
    svg.dispatchEvent(new PointerEvent('pointermove', { clientX: 30, clientY: 100, bubbles: true }));
    expect(words()).toEqual(['4.9 mm · long axis', '1.0 mm']);
    svg.dispatchEvent(new PointerEvent('pointerup', { bubbles: true }));
  });
});

describe('a length or an arrow that is there', () => {
  const points: CaseAnnotation['points'] = [
    [10, 10],
    [40, 10],
  ];

  function show(transform: Affine, more: Partial<CaseAnnotation> = {}): SVGSVGElement {
    const svg = open(transform);
    overlay.showAnnotations([annotationIn(caseImage('R CC'), 'mine', { points, ...more })], null);
    return svg;
  }
  const find = (selector: string): Element => overlay.element.querySelector(selector) as Element;

  test('is chosen by a press, whichever tool there is, and not moved by one that shakes', () => {
    for (const mode of ['none', 'length', 'arrow'] as const) {
      const svg = show(plain);
      overlay.setMode(mode);
      drag(svg, find('.drawn__hit'), [60, 40], [61, 41]);
      expect(events.annotationSelected).toHaveBeenLastCalledWith('mine');
    }
    expect(events.annotationMoved).not.toHaveBeenCalled();
    expect(events.annotationDrawn).not.toHaveBeenCalled();
  });

  test.each([
    [
      'a first end',
      '[data-end="0"]',
      plain,
      [
        [20, 15],
        [40, 10],
      ],
    ],
    [
      'a second end',
      '[data-end="1"]',
      plain,
      [
        [10, 10],
        [50, 15],
      ],
    ],
    [
      'all of it',
      '.drawn__hit',
      plain,
      [
        [20, 15],
        [50, 15],
      ],
    ],
    [
      'all of a mirrored one',
      '.drawn__hit',
      mirrored,
      [
        [0, 15],
        [30, 15],
      ],
    ],
  ] as const)('is moved by %s', (_name, selector, transform, moved) => {
    const svg = show(transform);
    drag(svg, find(selector), [100, 100], [120, 110]);
    expect(events.annotationMoved).toHaveBeenCalledExactlyOnceWith('mine', moved);
  });

  test('stays whole at the border', () => {
    const svg = show(plain);
    drag(svg, find('.drawn__hit'), [100, 100], [900, 100]);
    expect(events.annotationMoved).toHaveBeenCalledExactlyOnceWith('mine', [
      [70, 10],
      [100, 10],
    ]);
  });

  test('of another reader says whose it is and stays where it is', () => {
    const svg = show(plain, { author: 'Dr B' });
    expect(find('.length__text').textContent).toContain('Dr B');
    drag(svg, find('[data-end="1"]'), [100, 100], [150, 110]);
    expect(events.annotationSelected).toHaveBeenCalledOnce();
    expect(events.annotationMoved).not.toHaveBeenCalled();
  });

  test('is an arrow with its note', () => {
    show(plain, { kind: 'arrow', note: 'skin retraction' });
    expect(find('.drawn--arrow .drawn__head')).not.toBeNull();
    expect(find('.length__text').textContent).toBe('skin retraction');
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

  test('says what was decided by a sign, not by colour alone', () => {
    open(plain);
    const finding = findingIn(caseImage('R CC'), 'mass');
    const signs = (['undecided', 'accepted', 'edited', 'rejected'] as const).map((verdict) => {
      overlay.showFindings([{ ...finding, verdict }], null);
      return overlay.element.querySelector('.mark__sign')?.getAttribute('d') ?? '';
    });
    expect(signs[0]).toBe('');
    expect(new Set(signs).size).toBe(4);
  });

  test('of the reader’s own is the reader’s as long as it stands, also when it was edited', () => {
    open(plain);
    const finding = { ...findingIn(caseImage('R CC'), 'mass'), by_reader: true };
    const states = (['undecided', 'edited', 'rejected'] as const).map((verdict) => {
      overlay.showFindings([{ ...finding, verdict }], null);
      return overlay.element.querySelector('[data-state]')?.getAttribute('data-state');
    });
    expect(states).toEqual(['reader', 'reader', 'rejected']);
  });

  test('without room for its label is counted, and reached by the count', () => {
    const svg = open(plain);
    const findings = Array.from({ length: 30 }, (_, index) => ({
      ...findingIn(caseImage('R CC'), `mass-${index}`),
      number: index + 1,
    }));
    overlay.update(plain, [80, 60]);
    overlay.showFindings(findings, null);
    const badge = svg.querySelector<SVGGElement>('.mark__more');
    const shown = [...svg.querySelectorAll<SVGGElement>('[data-state]')].filter(
      ({ style }) => style.display !== 'none',
    );
    expect(badge?.textContent).toBe(`+${30 - shown.length}`);
    badge?.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }));
    const [chosen] = events.selected.mock.calls[0] as [string];
    overlay.showFindings(findings, chosen);
    const label = svg.querySelector<SVGGElement>('.mark--selected[data-state]');
    expect(label?.style.display).toBe('');
  });

  test('at the border of the pane has its whole label inside, joined by a line where it stands apart', () => {
    open({ a: 2, b: 0, c: 0, d: 2, e: 200, f: 0 });
    const finding = findingIn(caseImage('R CC'), 'mass');
    overlay.showFindings([{ ...finding, number: 2, percent: 77, box: [98, 0, 100, 3] }], null);
    const place = /translate\(([\d.]+),([\d.]+)\)/.exec(
      overlay.element.querySelector('[data-state]')?.getAttribute('transform') ?? '',
    );
    const width = Number(overlay.element.querySelector('.mark__tag')?.getAttribute('width'));
    expect(Number(place?.[1]) + width).toBeLessThanOrEqual(400);
    expect(Number(place?.[2])).toBeGreaterThanOrEqual(0);
  });
});

describe('a box on an image that is turned by a quarter', () => {
  /** The stored row leads down the screen, the stored column to the left. */
  const turned: Affine = { a: 0, b: 2, c: -2, d: 0, e: 200, f: 0 };

  test('follows the handle that the reader holds', () => {
    const svg = open(turned);
    overlay.editBox([10, 10, 30, 30]);
    // On the screen from (140, 20) to (180, 60): its right border is the stored upper one.
    drag(svg, overlay.element.querySelector('[data-grip="e"]') as Element, [180, 40], [190, 40]);
    expect(overlay.editedBox).toEqual([10, 5, 30, 30]);
  });

  test('moves where the arrow points', () => {
    open(turned);
    overlay.editBox([10, 10, 30, 30]);
    overlay.nudge(1, 0, false);
    expect(overlay.editedBox).toEqual([10, 9, 30, 29]);
  });
});
