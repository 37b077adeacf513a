/** One lasting banner on every page: that the server does not answer, what is kept here and not yet there, and what the
 * server refused of it. It goes when all is through, and says so. */
import type { JournalWords, PageSettings } from '../api_types';
import { embeddedJson, fillPlaceholders, joinNames } from '../page/embedded';
import { isAway, onConnectionChange } from '../server/connection';
import { giveUp, type Kept, keptSendings, onKeptChange, tryAgain } from './outgoing';

const GOOD_NEWS_MS = 6000;

class Banner {
  private readonly box = document.createElement('aside');
  private readonly state = document.createElement('div');
  private readonly refusals = document.createElement('ul');
  private wasBad = false;
  private hadKept = false;
  private timer = 0;

  constructor(
    private readonly words: JournalWords,
    private readonly noAnswer: string,
  ) {
    this.box.className = 'connection';
    this.box.id = 'connection';
    this.box.setAttribute('aria-label', words.connection);
    this.box.hidden = true;
    this.state.setAttribute('role', 'status');
    this.refusals.className = 'connection__refusals';
    this.box.append(this.state, this.refusals);
    document.querySelector('.shell-header')?.after(this.box);
    onConnectionChange(() => this.show());
    onKeptChange(() => this.show());
  }

  private show(): void {
    const kept = keptSendings();
    const refused = kept.filter((each) => each.refused !== undefined);
    const waiting = kept.filter((each) => each.refused === undefined);
    const isBad = isAway() || waiting.some(({ failed }) => failed);
    this.showRefusals(refused);
    if (isBad) this.say(this.troubles(waiting), false);
    else if (this.wasBad && waiting.length === 0) this.say(this.goodNews(), true);
    else if (this.wasBad) return; // what waited is being sent just now
    this.wasBad = isBad || (this.wasBad && waiting.length > 0);
    this.hadKept = (this.hadKept || waiting.length > 0) && this.wasBad;
    this.box.hidden = this.state.childElementCount === 0 && refused.length === 0;
  }

  private troubles(waiting: readonly Kept[]): string[] {
    const what = joinNames([...new Set(waiting.map(({ words }) => words))]);
    const kept = what ? [fillPlaceholders(this.words.kept_here, { what })] : [];
    return isAway() ? [this.noAnswer, ...kept] : kept;
  }

  private goodNews(): string[] {
    return [this.words.answers_again, ...(this.hadKept ? [this.words.all_there] : [])];
  }

  private say(sentences: string[], isGood: boolean): void {
    window.clearTimeout(this.timer);
    this.box.classList.toggle('connection--good', isGood);
    const text = sentences.join('\n');
    if (this.state.dataset['text'] !== text) {
      this.state.dataset['text'] = text;
      this.state.replaceChildren(...sentences.map(paragraph));
    }
    if (isGood) this.timer = window.setTimeout(() => this.clear(), GOOD_NEWS_MS);
  }

  private clear(): void {
    delete this.state.dataset['text'];
    this.state.replaceChildren();
    this.show();
  }

  private showRefusals(refused: readonly Kept[]): void {
    const shown = refused.map(({ key }) => key).join();
    if (this.refusals.dataset['shown'] === shown) return;
    this.refusals.dataset['shown'] = shown;
    this.refusals.replaceChildren(...refused.map((kept) => this.refusal(kept)));
    if (refused.length > 0) this.box.hidden = false;
  }

  private refusal(kept: Kept): HTMLElement {
    const item = document.createElement('li');
    item.setAttribute('role', 'alert');
    const said = fillPlaceholders(this.words.not_taken, { what: kept.words, why: kept.refused ?? '' });
    item.append(
      paragraph(said),
      button(this.words.try_again, () => tryAgain(kept.key)),
      button(this.words.give_up, () => giveUp(kept.key)),
    );
    return item;
  }
}

function paragraph(text: string): HTMLElement {
  return Object.assign(document.createElement('p'), { textContent: text });
}

function button(text: string, onClick: () => void): HTMLElement {
  const made = Object.assign(document.createElement('button'), { type: 'button', textContent: text });
  made.className = 'button button--small';
  made.addEventListener('click', onClick);
  return made;
}

/** Show the banner on this page whenever there is something to say. */
export function startBanner(): void {
  const settings = embeddedJson<PageSettings>('page-settings');
  if (settings) new Banner(settings.journal.words, settings.words.no_answer);
}
