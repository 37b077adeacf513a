/** Marks below the operating point that the site chose: folded away in the list, and not drawn, until asked for. */
import type { CaseFinding } from '../api_types';
import { caseFindings, dispatchCaseEvent } from './case_events';

const ID = 'faint-marks';
let wanted = false;

/** The findings to draw and to walk through: without the faint ones unless they were asked for. */
export const visibleFindings = (): CaseFinding[] => caseFindings().filter((finding) => wanted || finding.shown);

/** How many faint marks there are, drawn or not. */
export const faintCount = (): number => caseFindings().filter((finding) => !finding.shown).length;

/** Whether the reader asked for them. */
export const areFaintMarksShown = (): boolean => wanted;

/** Show the faint marks, in the list and in the images, or fold them away. */
export function showFaintMarks(shown: boolean): void {
  if (wanted === shown) return;
  wanted = shown;
  restoreFaintMarks();
  dispatchCaseEvent('cad:findings-updated', {});
}

/** After the list was replaced: folded or not, as the reader left it. */
export function restoreFaintMarks(): void {
  const details = document.getElementById(ID);
  if (details instanceof HTMLDetailsElement) details.open = wanted;
}

/** Follow the fold in the list, which comes anew with every answer of the server. */
export function followFaintMarks(list: HTMLElement): void {
  // A fold's own event does not bubble.
  list.addEventListener(
    'toggle',
    (event) => {
      if (event.target instanceof HTMLDetailsElement && event.target.id === ID) showFaintMarks(event.target.open);
    },
    true,
  );
}
