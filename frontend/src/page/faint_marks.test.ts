import { afterEach, describe, expect, it, vi } from 'vitest';
import { caseImage, findingIn, openCasePage } from '../testing/case_page';
import { onCaseEvent } from './case_events';
import {
  areFaintMarksShown,
  faintCount,
  followFaintMarks,
  restoreFaintMarks,
  showFaintMarks,
  visibleFindings,
} from './faint_marks';

const image = caseImage('L CC');
const names = (): string[] => visibleFindings().map((finding) => finding.id);

function open(): HTMLElement {
  openCasePage([findingIn(image, 'strong'), { ...findingIn(image, 'faint'), shown: false }]);
  const list = document.createElement('div');
  list.innerHTML = '<details id="faint-marks"><summary>1 fainter mark</summary></details>';
  document.body.append(list);
  return list;
}

describe('marks below the operating point of the site', () => {
  afterEach(() => showFaintMarks(false));

  it('are not drawn until they are asked for', () => {
    open();
    expect(names()).toEqual(['strong']);
    expect(faintCount()).toBe(1);
    expect(areFaintMarksShown()).toBe(false);
    showFaintMarks(true);
    expect(names()).toEqual(['strong', 'faint']);
    expect(areFaintMarksShown()).toBe(true);
  });

  it('follow the fold of the list, and tell the viewers', () => {
    const list = open();
    followFaintMarks(list);
    const told = vi.fn();
    const stop = onCaseEvent('cad:findings-updated', told);
    const details = list.querySelector('details') as HTMLDetailsElement;
    details.open = true;
    details.dispatchEvent(new Event('toggle'));
    stop();
    expect(names()).toEqual(['strong', 'faint']);
    expect(told).toHaveBeenCalledOnce();
  });

  it('stay shown when the list comes anew', () => {
    open();
    showFaintMarks(true);
    document.body.innerHTML = '';
    const list = open();
    restoreFaintMarks();
    expect((list.querySelector('details') as HTMLDetailsElement).open).toBe(true);
  });
});
