/** What is drawn is sent step by step, undone and redone, and joined with what the server has, whoever comes first. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { CaseAnnotation, CaseDescription } from '../api_types';
import type { send } from '../journal/outgoing';
import { Refusal } from '../server/client';
import { annotationIn, caseOf, fourViews } from '../testing/case_page';
import { settled } from '../testing/settled';
import type { Annotations as Store } from './annotations';

type Sending = Parameters<typeof send>[0];

interface Sent {
  sending: Sending;
  answer(more?: Partial<CaseAnnotation>): void;
  refuse(): void;
}

let sent: Sent[] = [];
vi.mock('../journal/outgoing', async (original) => ({
  ...(await original<object>()),
  send: (sending: Sending): Promise<CaseAnnotation> =>
    new Promise((resolve, reject) => {
      const state = JSON.parse((sending.fields['state'] as string | undefined) ?? '{}') as CaseAnnotation;
      const id = sending.address.split('/')[2] ?? '';
      sent.push({
        sending,
        answer: (more = {}) => resolve({ ...annotationIn(image, id, { words: '5.0 mm' }), ...state, id, ...more }),
        refuse: () => reject(new Refusal({ detail: 'no' })),
      });
    }),
}));

const images = fourViews();
const image = images[0] as (typeof images)[number];
const line = [
  [1, 1],
  [2, 2],
] as const;
const changed = vi.fn();
const kept = vi.fn();
let store: Store;

async function open(list: CaseAnnotation[] = [], more: Partial<CaseDescription> = {}): Promise<void> {
  document.body.innerHTML = `<script type="application/json" id="annotations-json">${JSON.stringify(list)}</script>`;
  const { Annotations } = await import('./annotations');
  store = new Annotations({ ...caseOf('mammography', images), may_annotate: true, ...more }, changed, kept);
}

const stateOf = ({ sending }: Sent): CaseAnnotation => JSON.parse(sending.fields['state'] as string) as CaseAnnotation;
const last = (): Sent => sent.at(-1) as Sent;
const shown = (): string[] => store.on(image.id, 0).map(({ id }) => id);

beforeEach(() => {
  sent = [];
  vi.clearAllMocks();
  vi.useRealTimers();
});

describe('a length', () => {
  test('is sent when it is drawn, with a key and an id of its own, and is the chosen one', async () => {
    await open();
    const { id } = store.draw(image.id, null, 'length', line);
    expect(store.selected).toBe(id);
    expect(last().sending).toMatchObject({ study: 'study', address: `/annotations/${id}` });
    expect(last().sending.replaces).toBeUndefined();
    expect(stateOf(last())).toMatchObject({ image: image.id, kind: 'length', revision: 1, removed: false });
    last().answer();
    await settled();
    expect(store.get(id)?.words).toBe('5.0 mm');
    expect(kept).toHaveBeenCalledExactlyOnceWith(false);
  });

  test('keeps the note that is typed while the server answers its drawing', async () => {
    await open();
    const { id } = store.draw(image.id, null, 'arrow', line);
    store.note(id, 'posterior shadow');
    last().answer();
    await settled();
    expect(store.get(id)?.note).toBe('posterior shadow');
    store.undo();
    store.redo();
    expect(stateOf(last()).note).toBe('posterior shadow');
  });

  test('is shown on its frame only', async () => {
    await open();
    const { id } = store.draw(image.id, 2, 'length', line);
    expect(shown()).toEqual([]);
    expect(store.on(image.id, 2).map((each) => each.id)).toEqual([id]);
  });

  test('is not sent where none are kept, and stays as long as the page', async () => {
    await open([], { may_annotate: false });
    const { id } = store.draw(image.id, null, 'length', line);
    store.adopt([]);
    expect(shown()).toEqual([id]);
    expect(sent).toEqual([]);
  });

  test('of another reader is neither moved nor taken away', async () => {
    await open([annotationIn(image, 'theirs', { author: 'Dr B', in_report: true })]);
    store.select('theirs');
    expect(store.remove('theirs')).toBe(false);
    store.move('theirs', line);
    store.nudge(1, 1, false, (point) => point);
    expect(sent).toEqual([]);
  });
});

describe('undo and redo', () => {
  test('go through making, moving and deleting, one by one', async () => {
    await open();
    const { id } = store.draw(image.id, null, 'length', line);
    store.move(id, [
      [5, 5],
      [9, 9],
    ]);
    store.remove(id);
    expect(shown()).toEqual([]);
    expect(store.undo()).toBe(true);
    expect(store.get(id)?.points[0]).toEqual([5, 5]);
    store.undo();
    expect(store.get(id)?.points).toEqual(line);
    store.undo();
    expect(shown()).toEqual([]);
    expect(store.undo()).toBe(false);
    store.redo();
    store.redo();
    expect(store.get(id)?.points[0]).toEqual([5, 5]);
    store.redo();
    expect(shown()).toEqual([]);
    expect(store.redo()).toBe(false);
    // Each is a step of its own for the server, the newest with the highest revision.
    expect(sent.map((each) => stateOf(each).revision)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(stateOf(last()).removed).toBe(true);
  });

  test('begin anew where something else is done after an undo', async () => {
    await open();
    store.draw(image.id, null, 'length', line);
    store.undo();
    const other = store.draw(image.id, null, 'arrow', line);
    expect(store.redo()).toBe(false);
    expect(shown()).toEqual([other.id]);
  });

  test('bring one back that another page made', async () => {
    await open([annotationIn(image, 'mine', { revision: 7 })]);
    store.remove('mine');
    store.undo();
    expect(shown()).toEqual(['mine']);
    expect(sent.map((each) => [stateOf(each).revision, stateOf(each).removed])).toEqual([
      [8, true],
      [9, false],
    ]);
  });
});

describe('small steps', () => {
  test('that follow at once are one: keys that move it, letters of a note', async () => {
    await open([annotationIn(image, 'mine')]);
    vi.useFakeTimers();
    store.select('mine');
    for (let step = 0; step < 20; step += 1) store.nudge(1, 0, false, (point) => point);
    for (const note of ['s', 'sk', 'skin']) store.note('mine', note);
    expect(sent).toHaveLength(0);
    vi.advanceTimersByTime(600);
    expect(sent).toHaveLength(1);
    expect(stateOf(last())).toMatchObject({
      note: 'skin',
      points: [
        [30, 10],
        [80, 10],
      ],
      revision: 2,
    });
    store.undo();
    expect(store.get('mine')).toMatchObject({
      note: '',
      points: [
        [10, 10],
        [60, 10],
      ],
    });
  });

  test('are sent before the page goes', async () => {
    await open([annotationIn(image, 'mine')]);
    store.note('mine', 'skin');
    window.dispatchEvent(new Event('pagehide'));
    expect(stateOf(last()).note).toBe('skin');
  });

  test('of a note are not cut by what the server says meanwhile', async () => {
    await open([annotationIn(image, 'mine')]);
    store.note('mine', 'sk');
    store.adopt([annotationIn(image, 'mine')]);
    expect(store.get('mine')?.note).toBe('sk');
  });
});

describe('the list of the server', () => {
  test('does not take back what is on its way, nor bring back what was taken away', async () => {
    await open([annotationIn(image, 'old')]);
    const { id } = store.draw(image.id, null, 'length', line);
    store.remove('old');
    store.adopt([annotationIn(image, 'old')]);
    expect(shown()).toEqual([id]);
    for (const each of sent) each.answer();
    await settled();
    // It was written before the answers, and comes after them.
    store.adopt([annotationIn(image, 'old')]);
    expect(shown()).toEqual([id]);
  });

  test('brings what was put into the report, and takes away what is no more', async () => {
    await open([annotationIn(image, 'mine')]);
    store.select('mine');
    store.adopt([annotationIn(image, 'theirs', { author: 'Dr B', in_report: true })]);
    expect(shown()).toEqual(['theirs']);
    expect(store.selected).toBeNull();
  });

  test('counts again once a refusal has come', async () => {
    await open([annotationIn(image, 'mine')]);
    store.remove('mine');
    last().refuse();
    await settled();
    store.adopt([annotationIn(image, 'mine', { revision: 2, in_report: true })]);
    expect(shown()).toEqual(['mine']);
  });

  test('answers to an older step change nothing of the newest', async () => {
    await open();
    const { id } = store.draw(image.id, null, 'length', line);
    store.move(id, [
      [5, 5],
      [9, 9],
    ]);
    (sent[0] as Sent).answer({ words: '1.4 mm' });
    await settled();
    expect(store.get(id)?.points[0]).toEqual([5, 5]);
    expect(store.get(id)?.words).toBe('');
  });
});

test('one is put into the report, and the report is told', async () => {
  await open([annotationIn(image, 'mine')]);
  void store.report('mine', true);
  expect(last().sending).toMatchObject({ address: '/annotations/mine/report', fields: { in_report: '1' } });
  last().answer({ in_report: true });
  await settled();
  expect(store.get('mine')?.in_report).toBe(true);
  expect(kept).toHaveBeenCalledExactlyOnceWith(true);
});
