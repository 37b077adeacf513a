/** The page that a model version is uploaded on: the file goes in pieces, and goes on where it ended when the way broke
 * off, the page was left or the server was away. Without this script the browser sends the whole. */
import type { UploadPage, UploadStep } from '../api_types';
import { NoAnswer, postJson, Refusal, SILENCE_TIMEOUT_MS } from '../server/client';
import { embeddedJson, fillPlaceholders } from './embedded';

/** Before a server that did not answer is asked again. */
const PAUSE_MS = 2000;
/** Unpacking is slow by nature. */
const IMPORT_TIMEOUT_MS = 300_000;

/** A form's fields. */
function fields(values: Record<string, string | Blob>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) form.append(name, value);
  return form;
}

async function sha256(file: File): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

class Upload {
  private percent = 0;

  constructor(
    private readonly file: File,
    private readonly page: UploadPage,
    private readonly pause: number,
    private readonly show: (percent: number, said: string) => void,
  ) {}

  /**
   * Send the file to its end, however often the server is away.
   *
   * @throws Refusal
   */
  async run(): Promise<UploadStep> {
    const { words } = this.page;
    this.show(0, words.reading);
    const digest = await sha256(this.file);
    for (;;) {
      try {
        return await this.send(digest);
      } catch (error) {
        const isBehind = error instanceof Refusal && error.code === 'other_offset';
        if (!isBehind && !(error instanceof NoAnswer)) throw error;
        this.show(this.percent, fillPlaceholders(words.interrupted, { percent: this.percent }));
        await new Promise((resolve) => window.setTimeout(resolve, this.pause));
      }
    }
  }

  private async send(digest: string): Promise<UploadStep> {
    const { file, page } = this;
    let step = await postJson<UploadStep>(
      page.begin,
      fields({ file_name: file.name, size: String(file.size), sha256: digest }),
    );
    while (step.received < file.size) {
      const offset = step.received;
      const piece = file.slice(offset, offset + page.piece_bytes);
      step = await postJson<UploadStep>(step.piece, fields({ offset: String(offset), piece }), {
        timeout: SILENCE_TIMEOUT_MS,
      });
      this.percent = Math.floor((100 * step.received) / file.size);
      this.show(this.percent, fillPlaceholders(page.words.sending, { percent: this.percent }));
    }
    this.show(100, page.words.importing);
    return postJson<UploadStep>(step.finish, new FormData(), { timeout: IMPORT_TIMEOUT_MS });
  }
}

/** On the page that a version is uploaded on. */
export function startModelUpload(
  follow = (address: string): void => window.location.assign(address),
  pause = PAUSE_MS,
): void {
  const page = embeddedJson<UploadPage>('upload-json');
  const form = document.querySelector<HTMLFormElement>('#upload-form');
  // Digests are made on secure pages alone; elsewhere the browser sends the file.
  if (!page || !form || !('subtle' in crypto)) return;
  const frame = document.querySelector<HTMLElement>('#upload-progress');
  const bar = frame?.querySelector('progress');
  const said = document.getElementById('upload-said');
  const button = form.querySelector<HTMLButtonElement>('button[type=submit]');
  form.addEventListener('submit', (event) => {
    const file = form.querySelector<HTMLInputElement>('input[type=file]')?.files?.[0];
    if (!file) return;
    event.preventDefault();
    const show = (percent: number, text: string): void => {
      if (frame) frame.hidden = false;
      if (bar) bar.value = percent;
      if (said) said.textContent = text;
    };
    if (button) button.disabled = true;
    void new Upload(file, page, pause, show)
      .run()
      .then(({ location, said: refused }) => {
        if (location) follow(location);
        else show(0, refused);
      })
      .catch((error: unknown) => show(0, error instanceof Error ? error.message : ''))
      .finally(() => {
        if (button) button.disabled = false;
      });
  });
}
