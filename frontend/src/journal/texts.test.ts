import { describe, expect, it } from 'vitest';
import { fieldsOf } from './texts';

describe('what the journal reads of a form', () => {
  it('has no passwords and no token, whatever they are called', () => {
    document.body.innerHTML = `<form>
      <input name="csrfmiddlewaretoken" value="token">
      <input type="password" name="password" value="secret one">
      <input type="password" name="code" value="secret two">
      <textarea name="reason">Agreed with the surgeon.</textarea>
    </form>`;
    const form = document.querySelector('form') as HTMLFormElement;
    expect(fieldsOf(form)).toEqual({ reason: ['Agreed with the surgeon.'] });
  });
});
