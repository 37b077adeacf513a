/** Which findings belong on what a pane shows. */
import type { CaseFinding } from '../api_types';
import type { Pane } from './pane';

/** Whether a finding is seen on the frame that a pane shows. A model's mark without a frame is of the first, the only
 * one that models read before they named theirs; a reader's without one is of the whole clip. */
export function isOnFrame(finding: CaseFinding, pane: Pick<Pane, 'image' | 'shownFrame'>): boolean {
  if (finding.image !== pane.image.id) return false;
  if (pane.image.frames <= 1) return true;
  if (finding.frame === null && finding.by_reader) return true;
  return (finding.frame ?? 0) === pane.shownFrame;
}
