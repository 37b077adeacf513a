/** A table to pick rows from: how many are picked is said, and one box picks all that are shown. Without this script the
 * boxes work alone, and the server says when they are too few. */
export function startPicking(): void {
  const form = document.querySelector<HTMLFormElement>('form[data-pick]');
  const all = form?.querySelector<HTMLInputElement>('[data-pick-all]');
  const said = form?.querySelector<HTMLElement>('[data-picked]');
  if (!form || !all || !said) return;
  const boxes = [...form.querySelectorAll<HTMLInputElement>('input[name=study]:not(:disabled)')];
  const tell = (): void => {
    const picked = boxes.filter((box) => box.checked).length;
    said.textContent = String(picked);
    all.checked = picked > 0 && picked === boxes.length;
    all.indeterminate = picked > 0 && picked < boxes.length;
  };
  all.addEventListener('change', () => {
    for (const box of boxes) box.checked = all.checked;
    tell();
  });
  for (const box of boxes) box.addEventListener('change', tell);
  tell();
}
