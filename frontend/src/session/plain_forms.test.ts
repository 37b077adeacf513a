import { afterEach, describe, expect, it, type MockInstance, vi } from 'vitest';
import { bindPlainForms } from './plain_forms';

const check = vi.fn(() => Promise.resolve());
const watched = (): MockInstance => vi.spyOn(HTMLFormElement.prototype, 'requestSubmit').mockReturnValue();

function form(): HTMLFormElement {
  const made = document.createElement('form');
  made.method = 'post';
  document.body.append(made);
  return made;
}

const submit = (of: HTMLFormElement): Event => {
  const event = new Event('submit', { bubbles: true, cancelable: true });
  of.dispatchEvent(event);
  return event;
};

describe('a form that the browser sends', () => {
  bindPlainForms('7', check);
  afterEach(() => document.body.replaceChildren());

  it('waits until it is known who is signed in, and then says whose page it is of', async () => {
    const sent = watched();
    const plain = form();
    expect(submit(plain).defaultPrevented).toBe(true);
    await vi.waitFor(() => expect(sent).toHaveBeenCalledOnce());
    expect(new FormData(plain).get('page_user')).toBe('7');
    expect(submit(plain).defaultPrevented).toBe(false);
  });

  it('is one request, however often it is pressed while it is on its way', async () => {
    const sent = watched();
    sent.mockClear();
    const plain = form();
    submit(plain);
    const key = new FormData(plain).get('request_key');
    expect(submit(plain).defaultPrevented).toBe(true);
    await vi.waitFor(() => expect(sent).toHaveBeenCalledOnce());
    expect(submit(plain).defaultPrevented).toBe(false);
    expect(submit(plain).defaultPrevented).toBe(true);
    expect(sent).toHaveBeenCalledOnce();
    expect(new FormData(plain).getAll('request_key')).toEqual([key]);
    expect(key).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is another request on a page that was come back to', () => {
    const plain = form();
    submit(plain);
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    expect(new FormData(plain).get('request_key')).toBeNull();
  });

  it('is not sent again where a script has it, however late that script began to listen', async () => {
    const sent = watched();
    const own = form();
    const take = (event: Event): void => event.preventDefault();
    document.addEventListener('submit', take);
    submit(own);
    document.removeEventListener('submit', take);
    await Promise.resolve();
    expect(check).not.toHaveBeenCalled();
    expect(sent).not.toHaveBeenCalled();
  });
});
