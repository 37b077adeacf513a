/** A draft's text in the browser's journal: kept as it is typed, sent until the server has it, and put in again after a
 * crash. */
import type { DraftSaved, ReportWords } from '../api_types';
import { onKeptChange, keptSendings, send } from '../journal/outgoing';
import { newKey } from '../server/request_key';
import { fieldsOf, fillFields, forgetText, keepText, keptTexts, type Text } from '../journal/texts';
import { fillPlaceholders, formatClockTime } from '../page/embedded';

/** A draft's text with what it was written upon. */
interface DraftText extends Text {
  revision: number;
  /** The keys of saves that may have been kept, or not. */
  follows: string[];
}

const PLACE = 'draft ';

/** The text of one draft, from the moment that its form is shown. */
export class KeptDraft {
  private follows: string[] = [];
  private readonly of: { study: string; place: string };

  /** @param onFailed - Told when a save was tried in vain; it is tried again by itself. */
  constructor(
    private readonly form: HTMLFormElement,
    private readonly words: ReportWords,
    onFailed: () => void,
  ) {
    this.of = { study: form.dataset['study'] ?? '', place: PLACE + (form.dataset['draft'] ?? '') };
    onKeptChange(() => {
      const failed = keptSendings().some(({ replaces, failed }) => replaces === this.of.place && failed);
      if (failed && form.isConnected) onFailed();
    });
  }

  /** Keep what stands in the form now. */
  keep(): void {
    const text: DraftText = {
      ...this.of,
      words: this.words.text_of_report,
      at: Date.now(),
      fields: fieldsOf(this.form),
      revision: Number(this.revision.value),
      follows: this.follows,
    };
    keepText(text);
  }

  /** There is nothing that the server has not, or its writer does not want it. */
  forget(): void {
    forgetText(this.of);
  }

  /** Send what stands in the form, looked at at that moment, until the server has answered. */
  async send(keepBoth: boolean, lookedAt: string): Promise<DraftSaved> {
    const key = newKey();
    const fields: Record<string, readonly string[]> = {
      ...fieldsOf(this.form),
      follows: this.follows,
      looked_at: [lookedAt],
    };
    if (keepBoth) fields['keep_both'] = ['1'];
    this.follows = [...this.follows, key];
    this.keep();
    const { study, place } = this.of;
    const address = this.form.dataset['save'] ?? '';
    const saved = await send<DraftSaved>({
      key,
      study,
      replaces: place,
      address,
      fields,
      words: this.words.text_of_report,
    });
    this.follows = this.follows.slice(this.follows.indexOf(key) + 1);
    return saved;
  }

  /** Whether a revision was made by a save of this form whose answer has not come. */
  isOwn(savedKey: string | null): boolean {
    return savedKey !== null && this.follows.includes(savedKey);
  }

  /**
   * Put in what an earlier page kept and the server has not; where the draft moved on meanwhile, its writer is asked.
   *
   * @param onPutIn - The text is in the form; with `keepBoth`, to be joined with what was saved since.
   */
  async recover(onPutIn: (keepBoth: boolean) => void): Promise<void> {
    const texts = await keptTexts<DraftText>(this.of.study);
    const text = texts.find(({ place }) => place === this.of.place);
    if (!text) return;
    const now = fieldsOf(this.form);
    const differences = differing(text.fields, now);
    if (differences.length === 0) return this.forget();
    const time = formatClockTime(new Date(text.at).toISOString());
    const putIn = (keepBoth: boolean): void => {
      this.follows = text.follows;
      this.revision.value = String(text.revision);
      this.addLines(text.fields);
      fillFields(this.form, { ...text.fields, revision: [this.revision.value] });
      onPutIn(keepBoth);
    };
    const throwAway: Choice = [this.words.throw_away, () => this.forget()];
    const movedOn = text.revision !== Number(this.revision.value) && !text.follows.includes(this.savedKey);
    if (!movedOn) {
      putIn(false);
      const undo: Choice = [
        this.words.throw_away,
        () => {
          fillFields(this.form, { ...now, revision: [this.revision.value] });
          onPutIn(false);
        },
      ];
      this.say(fillPlaceholders(this.words.text_put_in, { time }), [undo]);
    } else
      this.say(
        fillPlaceholders(this.words.text_found, { time }),
        [[this.words.put_in, () => putIn(true)], throwAway],
        [...differences.map((name) => `${this.labelOf(name)}: ${(text.fields[name] ?? []).join(' / ')}`)],
      );
  }

  private get revision(): HTMLInputElement {
    return this.form.elements.namedItem('revision') as HTMLInputElement;
  }

  private get savedKey(): string {
    return this.form.dataset['savedKey'] ?? '';
  }

  /** As many lines of the writer's own as were kept. */
  private addLines(fields: Text['fields']): void {
    const template = this.form.querySelector<HTMLTemplateElement>('template[data-blank-line]');
    const missing = (fields['line_text']?.length ?? 0) - this.form.querySelectorAll('[data-line]').length;
    for (let line = 0; line < missing; line += 1)
      template?.before(template.content.firstElementChild?.cloneNode(true) as HTMLElement);
  }

  private labelOf(name: string): string {
    return this.form.querySelector(`label[for="report-${name}"]`)?.textContent ?? this.words.text_of_report;
  }

  private say(sentence: string, choices: Choice[], details: string[] = []): void {
    const place = this.form.querySelector<HTMLElement>('[data-recovered]');
    if (place) ask(place, sentence, choices, details);
  }
}

type Choice = [label: string, act: () => void];

/** The names of fields that say something else; what only tells of the page itself aside. */
function differing(one: Text['fields'], other: Text['fields']): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter(
    (name) => name !== 'revision' && (one[name] ?? []).join('\0') !== (other[name] ?? []).join('\0'),
  );
}

/** Show a notice in its place, with buttons that end it. */
function ask(place: HTMLElement, sentence: string, choices: Choice[], details: string[]): void {
  const lines = [sentence, ...details].map((text) =>
    Object.assign(document.createElement('p'), { textContent: text, className: 'signed__text' }),
  );
  const buttons = choices.map(([label, act]) => {
    const made = Object.assign(document.createElement('button'), { type: 'button', textContent: label });
    made.className = 'button button--small';
    made.addEventListener('click', () => {
      place.hidden = true;
      act();
    });
    return made;
  });
  place.replaceChildren(...lines, ...buttons);
  place.hidden = false;
}

/** A draft's text, and the reasons to sign it nonetheless (`kept_reasons`). */
const STRAYING = [PLACE, 'sign '];
/** Fields that hold no words of a writer. */
const NOT_WRITTEN = ['revision', 'kind', 'line_finding'];

/** Show what was kept of drafts of a study that are signed or discarded by now: its writer may copy it from there. */
export async function showStrayTexts(section: HTMLElement, words: ReportWords): Promise<void> {
  const study = section.dataset['study'] ?? '';
  const current = section.querySelector<HTMLElement>('form[data-draft]')?.dataset['draft'] ?? '';
  const strays = (await keptTexts<DraftText>(study)).filter(({ place }) =>
    STRAYING.some((each) => place.startsWith(each) && place !== each + current),
  );
  for (const text of strays) {
    if (section.querySelector(`[data-stray="${text.place}"]`)) continue;
    const place = document.createElement('div');
    place.dataset['stray'] = text.place;
    place.className = 'notice notice--warn stack stack--tight';
    place.setAttribute('role', 'status');
    const written = Object.entries(text.fields).filter(([name]) => !NOT_WRITTEN.includes(name));
    const time = formatClockTime(new Date(text.at).toISOString());
    ask(
      place,
      fillPlaceholders(words.text_found, { time }),
      [[words.throw_away, () => forgetText(text)]],
      written.flatMap(([, values]) => values.filter((value) => value.trim() !== '')),
    );
    section.querySelector('[data-problem]')?.after(place);
  }
}
