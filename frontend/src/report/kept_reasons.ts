/** The reasons that a signer gives for contradictions, in the browser's journal: kept as they are typed, put in again
 * after a crash. The password is never kept. */
import { forgetText, keepText, keptTexts, type Text } from '../journal/texts';

const PLACE = 'sign ';

/** Of which contradiction: a reason given for it holds for no other. */
interface Contradicted {
  key: string;
  rule: string;
}

/** The reasons for one draft. */
export class KeptReasons {
  /** By the name that they are kept under. */
  private readonly reasons = new Map<string, string>();
  private readonly of: { study: string; place: string };
  /** What an earlier page had kept is there. */
  readonly loaded: Promise<void>;
  /** When an earlier page kept what is there, in milliseconds; 0 where none did. */
  keptAt = 0;

  constructor(
    draft: HTMLElement,
    private readonly words: string,
  ) {
    this.of = { study: draft.dataset['study'] ?? '', place: PLACE + (draft.dataset['draft'] ?? '') };
    this.loaded = this.load();
  }

  /** What was typed for a contradiction. */
  get(found: Contradicted): string {
    return this.reasons.get(nameOf(found)) ?? '';
  }

  /** What was typed for others of its rule, which the report has no more: its writer may copy it. */
  earlier(found: Contradicted, standing: readonly Contradicted[]): string[] {
    const names = new Set(standing.map(nameOf));
    const ofRule = [...this.reasons].filter(([name]) => name.startsWith(`${found.rule} `) && !names.has(name));
    return ofRule.map(([, text]) => text);
  }

  /** Keep what is typed. */
  set(found: Contradicted, text: string): void {
    if (text.trim()) this.reasons.set(nameOf(found), text);
    else this.reasons.delete(nameOf(found));
    if (this.reasons.size === 0) return this.forget();
    const fields = Object.fromEntries([...this.reasons].map(([name, reason]) => [name, [reason]]));
    keepText({ ...this.of, words: this.words, at: Date.now(), fields });
  }

  /** It is signed, or its writer does not want it. */
  forget(): void {
    this.reasons.clear();
    forgetText(this.of);
  }

  private async load(): Promise<void> {
    const text = (await keptTexts<Text>(this.of.study)).find(({ place }) => place === this.of.place);
    if (!text) return;
    this.keptAt = text.at;
    for (const [name, [reason = '']] of Object.entries(text.fields))
      if (!this.reasons.has(name)) this.reasons.set(name, reason);
  }
}

const nameOf = ({ key, rule }: Contradicted): string => `${rule} ${key}`;
