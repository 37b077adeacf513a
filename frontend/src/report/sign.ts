/** The dialog that asks for the password once more. */
import type { ReportSigned, ReportWords } from '../api_types';
import { postJson, Refusal } from '../server/client';

/** One signing of a draft: shows the warnings, sends the password, and says why it failed. */
export class SignDialog {
  private readonly form: HTMLFormElement;
  private readonly password: HTMLInputElement;
  private readonly error: HTMLElement;

  constructor(
    private readonly dialog: HTMLDialogElement,
    private readonly url: string,
    private readonly words: ReportWords,
    private readonly formData: () => FormData,
    private readonly onSigned: () => Promise<void>,
  ) {
    this.form = dialog.querySelector('form[data-sign-form]') as HTMLFormElement;
    this.password = this.form.elements.namedItem('password') as HTMLInputElement;
    this.error = this.form.querySelector('[data-sign-error]') as HTMLElement;
    this.form.onsubmit = (event) => {
      event.preventDefault();
      void this.submit();
    };
    dialog.addEventListener('close', () => (this.password.value = ''), { once: true });
  }

  /** Show what the signer should know, and ask. */
  open(warnings: string[]): void {
    const list = this.form.querySelector<HTMLElement>('[data-warnings]');
    if (list) {
      list.hidden = warnings.length === 0;
      list.replaceChildren(
        ...warnings.map((warning) => {
          const item = document.createElement('li');
          item.textContent = warning;
          return item;
        }),
      );
    }
    this.showError('');
    this.password.value = '';
    this.dialog.showModal();
    this.password.focus();
  }

  private showError(text: string): void {
    this.error.textContent = text;
    if (text) this.password.setAttribute('aria-invalid', 'true');
    else this.password.removeAttribute('aria-invalid');
  }

  private async submit(): Promise<void> {
    const button = this.form.querySelector<HTMLButtonElement>('.button--primary');
    const label = button?.textContent ?? '';
    const body = this.formData();
    body.set('password', this.password.value);
    if (button) {
      button.disabled = true;
      button.textContent = this.words.signing;
    }
    this.showError('');
    try {
      await postJson<ReportSigned>(this.url, body);
      this.dialog.close();
      await this.onSigned();
    } catch (problem) {
      this.showError(problem instanceof Refusal ? problem.message : this.words.failed);
      this.password.value = '';
      this.password.focus();
    } finally {
      if (button) {
        button.disabled = false;
        button.textContent = label;
      }
    }
  }
}
