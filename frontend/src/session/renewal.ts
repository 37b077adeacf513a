/** Renews the session of a page in place: the password is asked for over the page, and whatever waited goes through.
 * Who signs in meanwhile in another window of this browser is noticed too, whether the same person or another; and a
 * workplace where nobody moves is covered. The server says what holds (`accounts/session_states.py`). */
import type { PageSettings, SessionState } from '../api_types';
import { embeddedJson } from '../page/embedded';
import { getSessionState, post } from '../server/client';
import { Cover } from './cover';
import { Door } from './door';
import { bindFragments } from './fragments';
import { IdleWatch } from './idle';
import { bindPlainForms, takeUpToken } from './plain_forms';
import { isSignedIn, onSessionChange, reportSignedIn, reportSignedOut, type SessionTrouble } from './session';

const CHECK_MS = 3000;
/** A sign-out is on its way to the server when its window says so. */
const LEAVING_MS = 1500;

/** What a window tells the others of this browser. */
type Message = 'changed' | 'leaving' | 'seen';

/** The session of a page, which is its user's. */
class SessionRenewal {
  private readonly cover: Cover;
  private readonly door: Door;
  private readonly idle: IdleWatch | null;
  private readonly channel = new BroadcastChannel('cad-session');
  private timer = 0;
  /** Who is signed in instead of the page's person. */
  private other = '';
  /** The page is covered and the server, which was away, does not know yet that it is locked. */
  private owesLock = false;

  constructor(
    dialog: HTMLDialogElement,
    private readonly settings: PageSettings,
    private readonly user: NonNullable<PageSettings['user']>,
  ) {
    this.cover = new Cover(dialog, (wish) => {
      if (wish === 'leave') leaveFor('/');
      else void this.handOver(wish === 'somebody-else');
    });
    const form = dialog.querySelector('form[data-door]') as HTMLFormElement;
    this.door = new Door(form, user.username, (next) => this.passed(next));
    const seconds = settings.idle_seconds;
    this.idle =
      seconds === null
        ? null
        : new IdleWatch(
            seconds,
            () => this.seen(),
            () => void this.idled(),
          );
    onSessionChange((trouble) => (trouble ? this.troubled(trouble) : this.renewed()));
    this.listen();
    // The other windows learn who is signed in now.
    this.tell('changed');
  }

  private listen(): void {
    this.channel.addEventListener('message', ({ data }: MessageEvent<Message>) => {
      if (data === 'seen') this.idle?.seen(false);
      else if (data === 'changed') void this.check();
      else window.setTimeout(() => void this.check().then(() => isSignedIn() || this.cover.makeOpaque()), LEAVING_MS);
    });
    // A page that comes back from the background or from the history may be of a session that is over.
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') void this.check();
    });
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) void this.check();
    });
    document.addEventListener('submit', (event) => {
      const form = event.target as HTMLFormElement;
      if (form.matches('[data-sign-out]') && !event.defaultPrevented) this.tell('leaving');
      if (!form.matches('[data-locks]')) return;
      event.preventDefault();
      this.owesLock = true;
      reportSignedOut('session_locked');
      void this.check().then(() => this.tell('changed'));
    });
  }

  private tell(message: Message): void {
    this.channel.postMessage(message);
  }

  /** Ask the server who is signed in here, and say so. */
  async check(): Promise<void> {
    try {
      if (this.owesLock) {
        await post(this.settings.session.lock, new FormData(), { poll: true });
        this.owesLock = false;
      }
      const state = await getSessionState();
      const trouble = this.troubleIn(state);
      if (!trouble) {
        if (state.seconds_left !== null) this.idle?.waitFor(state.seconds_left * 1000);
        reportSignedIn();
        return;
      }
      const other = trouble === 'other_user' ? (state.person?.name ?? '') : '';
      const isNew = other !== this.other;
      this.other = other;
      reportSignedOut(trouble);
      if (isNew) this.cover.show(trouble, other);
    } catch {
      // The server is away: the next round asks again, and the cover's form says so.
    }
  }

  private troubleIn({ person, is_locked, password_is_due }: SessionState): SessionTrouble | null {
    if (!person) return 'signed_out';
    if (person.id !== this.user.id) return 'other_user';
    if (is_locked) return 'session_locked';
    return password_is_due ? 'password_due' : null;
  }

  private troubled(trouble: SessionTrouble): void {
    // By whom it is somebody else's is known once the server was asked.
    if (trouble === 'other_user' && !this.other) void this.check();
    this.cover.show(trouble, this.other);
    const { sign_in, unlock, own_password } = this.settings.session;
    if (trouble === 'other_user') this.door.close();
    else this.door.open({ signed_out: sign_in, session_locked: unlock, password_due: own_password }[trouble]);
    window.clearInterval(this.timer);
    this.timer = window.setInterval(() => {
      if (document.visibilityState === 'visible') void this.check();
    }, CHECK_MS);
  }

  private renewed(): void {
    window.clearInterval(this.timer);
    this.other = '';
    this.door.close();
    takeUpToken();
    this.cover.hide();
    this.idle?.seen();
    this.tell('changed');
  }

  /** A form of the door was content: either the person is signed in, or there is a further stage. */
  private async passed(next: string): Promise<void> {
    await this.check();
    if (!isSignedIn() && !this.other && next !== '/') this.door.open(next);
  }

  private seen(): void {
    if (!isSignedIn()) return;
    this.tell('seen');
    post(this.settings.session.activity, new FormData(), { poll: true }).catch(() => undefined);
  }

  /** Nobody moved here; the server knows of the other windows and of other pages. Where it is away, the page is covered
   * all the same. */
  private async idled(): Promise<void> {
    try {
      await getSessionState();
    } catch {
      this.owesLock = true;
      reportSignedOut('session_locked');
      return;
    }
    await this.check();
  }

  /** Sign out whoever is signed in, so that the page's person or somebody else can sign in. */
  private async handOver(toSomebodyElse: boolean): Promise<void> {
    await post(this.settings.session.hand_over, new FormData(), { poll: true });
    this.tell('changed');
    if (toSomebodyElse) leaveFor(this.settings.session.sign_in);
    else await this.check();
  }
}

let isLeaving = false;

/** Leave the page for good: what was written on it is kept for who wrote it, so that nothing needs to be asked. */
function leaveFor(address: string): void {
  isLeaving = true;
  window.location.assign(address);
}

/** Look after the session, on every page that is somebody's. */
export function startSession(): void {
  const settings = embeddedJson<PageSettings>('page-settings');
  const dialog = document.getElementById('session-cover');
  bindFragments();
  // Before whatever else would ask: this module starts first.
  window.addEventListener('beforeunload', (event) => isLeaving && event.stopImmediatePropagation(), { capture: true });
  if (!settings?.user || !(dialog instanceof HTMLDialogElement)) return;
  const renewal = new SessionRenewal(dialog, settings, settings.user);
  bindPlainForms(String(settings.user.id), () => renewal.check());
}
