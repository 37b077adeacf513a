/** What the reader measures and points at: every step goes to the server as it is made, can be undone and redone, and
 * is joined with what the server has. Undo is of making, moving, noting and deleting; how an image is shown is not. */
import type { CaseAnnotation, CaseDescription } from '../api_types';
import { send } from '../journal/outgoing';
import { newKey } from '../server/request_key';
import { embeddedJson } from '../page/embedded';
import { Refusal } from '../server/client';
import type { DrawnKind, Ends } from './annotation_layer';

/** What a step changes. */
type State = Pick<CaseAnnotation, 'points' | 'note' | 'removed'>;

interface Step {
  id: string;
  before: State;
  after: State;
}

/** Steps of one kind on one annotation that follow within this time are one: the keys that move it, a note's letters. */
const SETTLE_MS = 500;
/** A list that was asked for before a step was answered may come after it. */
const STALE_MS = 10_000;

export const annotationsOnPage = (): CaseAnnotation[] => embeddedJson<CaseAnnotation[]>('annotations-json') ?? [];

export class Annotations {
  /** The one that keys act on. */
  selected: string | null = null;
  /** In the order of their making, with those that were taken away. */
  private readonly all = new Map<string, CaseAnnotation>();
  private done: Step[] = [];
  private undone: Step[] = [];
  /** By id, the newest revision that the server has not answered. */
  private readonly onTheirWay = new Map<string, number>();
  private readonly answeredAt = new Map<string, number>();
  /** By id, what a series of small steps began with. */
  private readonly unsettled = new Map<string, { timer: number; before: State }>();

  constructor(
    private readonly description: CaseDescription,
    /** Something is shown otherwise now. */
    private readonly changed: () => void,
    /** The server has something new; `inReport` where the report's lines follow from it. */
    private readonly kept: (inReport: boolean) => void,
  ) {
    for (const each of annotationsOnPage()) this.all.set(each.id, each);
    window.addEventListener('pagehide', () => this.settleAll());
    document.addEventListener('visibilitychange', () => this.settleAll());
  }

  /** Those to be shown on a frame of an image. */
  on(image: string, frame: number): CaseAnnotation[] {
    return [...this.all.values()].filter(
      (each) => !each.removed && each.image === image && (each.frame === null || each.frame === frame),
    );
  }

  get(id: string | null): CaseAnnotation | null {
    const found = this.all.get(id ?? '');
    return found && !found.removed ? found : null;
  }

  select(id: string | null): void {
    if (this.selected === id) return;
    this.selected = id;
    this.changed();
  }

  /** Go to the next one of the study. */
  selectNext(): CaseAnnotation | null {
    const shown = [...this.all.values()].filter(({ removed }) => !removed);
    const next = shown[(shown.findIndex(({ id }) => id === this.selected) + 1) % Math.max(shown.length, 1)] ?? null;
    this.select(next?.id ?? null);
    return next;
  }

  /** Keep a new one; it is the one that keys act on. */
  draw(image: string, frame: number | null, kind: DrawnKind, points: Ends): CaseAnnotation {
    const made: CaseAnnotation = {
      id: newKey(),
      image,
      frame,
      kind,
      points: rounded(points),
      note: '',
      words: '',
      author: '',
      in_report: false,
      revision: 0,
      removed: false,
    };
    this.all.set(made.id, made);
    this.selected = made.id;
    this.step(made.id, { ...stateOf(made), removed: true }, stateOf(made));
    return made;
  }

  move(id: string, points: Ends): void {
    this.change(id, { points: rounded(points) });
  }

  /** Move by so many stored pixels: all of it, or its second end. */
  nudge(dx: number, dy: number, isEnd: boolean, inImage: (point: Ends[0]) => Ends[0]): void {
    const found = this.own(this.selected);
    if (!found) return;
    const [from, to] = found.points;
    const by = ([x, y]: Ends[0]): Ends[0] => inImage([x + dx, y + dy]);
    this.changeSoon(found.id, { points: rounded([isEnd ? from : by(from), by(to)]) });
  }

  /** Keep a note as it is typed. */
  note(id: string, note: string): void {
    this.changeSoon(id, { note });
  }

  remove(id: string | null): boolean {
    const found = this.own(id);
    if (!found) return false;
    this.change(found.id, { removed: true });
    if (this.selected === found.id) this.select(null);
    return true;
  }

  undo(): boolean {
    this.settleAll();
    const step = this.done.pop();
    if (!step) return false;
    this.undone.push(step);
    this.apply(step.id, step.before);
    return true;
  }

  redo(): boolean {
    this.settleAll();
    const step = this.undone.pop();
    if (!step) return false;
    this.done.push(step);
    this.apply(step.id, step.after);
    return true;
  }

  /** Put it into the report or take it out. */
  async report(id: string, inReport: boolean): Promise<void> {
    const found = this.get(id);
    if (!found) return;
    this.settleAll();
    try {
      await this.sent(found, 'report', { in_report: inReport ? '1' : '0' });
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem;
    }
    this.kept(true);
  }

  /** Join what the server has now with what is on its way there. */
  adopt(list: readonly CaseAnnotation[]): void {
    const now = Date.now();
    const listed = new Set(list.map(({ id }) => id));
    for (const each of list) {
      const known = this.all.get(each.id);
      if (known && this.isAhead(known)) known.in_report = each.in_report;
      else if (!known || each.revision >= known.revision) this.all.set(each.id, each);
    }
    for (const known of this.all.values()) {
      if (listed.has(known.id) || known.removed || this.isAhead(known)) continue;
      if (now - (this.answeredAt.get(known.id) ?? -Infinity) < STALE_MS) continue;
      // What cannot be kept stays as long as the page.
      if (known.revision > 0 || known.author) this.all.delete(known.id);
    }
    if (!this.get(this.selected)) this.selected = null;
    this.changed();
  }

  // --- steps --------------------------------------------------------------------------------------------

  private own(id: string | null): CaseAnnotation | null {
    const found = this.get(id);
    return found?.author === '' ? found : null;
  }

  private isAhead({ id }: CaseAnnotation): boolean {
    return this.onTheirWay.has(id) || this.unsettled.has(id);
  }

  private change(id: string, change: Partial<State>): void {
    this.settleAll();
    const found = this.own(id);
    if (!found) return;
    this.step(id, stateOf(found), { ...stateOf(found), ...change });
  }

  /** The same, as one step with those that follow at once. */
  private changeSoon(id: string, change: Partial<State>): void {
    const found = this.own(id);
    if (!found) return;
    const begun = this.unsettled.get(id);
    const before = begun?.before ?? stateOf(found);
    window.clearTimeout(begun?.timer);
    this.unsettled.set(id, { before, timer: window.setTimeout(() => this.settle(id), SETTLE_MS) });
    this.show(id, change);
  }

  private settle(id: string): void {
    const begun = this.unsettled.get(id);
    const found = this.all.get(id);
    if (!begun || !found) return;
    window.clearTimeout(begun.timer);
    this.unsettled.delete(id);
    this.step(id, begun.before, stateOf(found));
  }

  private settleAll(): void {
    for (const id of [...this.unsettled.keys()]) this.settle(id);
  }

  private step(id: string, before: State, after: State): void {
    this.done.push({ id, before, after });
    this.undone = [];
    this.apply(id, after);
  }

  private show(id: string, state: Partial<State>): void {
    const found = this.all.get(id);
    if (!found) return;
    // How long it is now, the server will say.
    this.all.set(id, { ...found, ...state, words: state.points ? '' : found.words });
    this.changed();
  }

  private apply(id: string, state: State): void {
    this.show(id, state);
    const found = this.all.get(id);
    if (!found || !this.description.may_annotate) return;
    const next = { ...found, revision: found.revision + 1 };
    this.all.set(id, next);
    void this.save(next);
  }

  private async save(state: CaseAnnotation): Promise<void> {
    const { id, image, frame, kind, points, note, revision, removed } = state;
    this.onTheirWay.set(id, revision);
    try {
      await this.sent(state, 'state', {
        state: JSON.stringify({ image, frame, kind, points, note, revision, removed }),
      });
      this.kept(state.in_report);
    } catch (problem) {
      // Its person is told by the journal, where it waits to be tried again or given up.
      if (!(problem instanceof Refusal)) throw problem;
    } finally {
      if (this.onTheirWay.get(id) === revision) this.onTheirWay.delete(id);
    }
  }

  private async sent(
    { id, image }: CaseAnnotation,
    what: 'state' | 'report',
    fields: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { study, addresses, words, images } = this.description;
    const name = images.find((each) => each.id === image)?.name ?? '';
    const address = what === 'state' ? addresses.annotation : addresses.annotation_report;
    const says = what === 'state' ? words.kept_drawing : words.kept_report;
    const answer = await send<CaseAnnotation>({
      key: newKey(),
      study,
      address: address.replace('{id}', id),
      fields,
      words: says.replace('{image}', name),
    });
    this.answeredAt.set(id, Date.now());
    const known = this.all.get(id);
    // An answer to an older step says nothing of the newest.
    // Nor does it undo what is being typed or moved since.
    const going = known && this.unsettled.has(id) ? { ...stateOf(known), words: known.words } : {};
    if (known && answer.revision >= known.revision) this.all.set(id, { ...answer, ...going });
    else if (known) known.in_report = answer.in_report;
    this.changed();
  }
}

const stateOf = ({ points, note, removed }: CaseAnnotation): State => ({ points, note, removed });

const round = (value: number): number => Math.round(value * 100) / 100;
const rounded = ([[x0, y0], [x1, y1]]: Ends): CaseAnnotation['points'] => [
  [round(x0), round(y0)],
  [round(x1), round(y1)],
];
