/** What the case page's parts tell each other, as events on the document: the panel (page/case_panel.ts), the
 * viewers (viewer/) and the report editor know nothing else of one another. */

import type { CaseAnnotation, CaseDescription, CaseFinding, CaseHeatmap } from '../api_types';
import { embeddedJson } from './embedded';

/** In stored pixels: x0, y0, x1, y1. */
export type Box = CaseFinding['box'];

/** The two points of a length or an arrow, in stored pixels. */
type Points = readonly [readonly [number, number], readonly [number, number]];

/** Each event by name, with what its listeners are told. */
interface CaseEvents {
  /** A finding was chosen, in the list or in an image. */
  'cad:finding-selected': { id: string; from: 'panel' | 'viewer' };
  /** The panel opened the form for a finding (`id`) or for a new one (none). */
  'cad:edit-started': { id: string | null };
  'cad:edit-ended': Record<string, never>;
  /** The box was changed, by the pointer (viewer) or by numbers (panel); of a clip, on which frame. */
  'cad:box-changed': { image: string; frame: number | null; box: Box; from: 'panel' | 'viewer' };
  /** A length or an arrow was drawn over an image; of a clip, on which frame. */
  'cad:annotation-drawn': { image: string; frame: number | null; kind: CaseAnnotation['kind']; points: Points };
  'cad:annotation-moved': { id: string; points: Points };
  'cad:annotation-selected': { id: string };
  /** The list was replaced by the server's newest. */
  'cad:findings-updated': Record<string, never>;
  /** The reader asked to draw a new finding. */
  'cad:draw-asked': Record<string, never>;
  /** For the report editor: a decision was stored. */
  'cad:findings-changed': { study: string };
  /** From the report editor: show this finding. */
  'cad:show-finding': { finding: string };
  /** The reader wants to see an image (its id). */
  'cad:image-asked': { image: string };
  /** The reader wants to settle the side of an image (its id). */
  'cad:side-asked': { image: string };
  /** Time to ask the server what is new (page/polling.ts); templates name it in `hx-trigger`. */
  'cad:poll': Record<string, never>;
}

/** Tell every part of the page that listens for this event. */
export function dispatchCaseEvent<Name extends keyof CaseEvents>(name: Name, detail: CaseEvents[Name]): void {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

/** React to an event until the function that is returned is called. */
export function onCaseEvent<Name extends keyof CaseEvents>(
  name: Name,
  react: (detail: CaseEvents[Name]) => void,
): () => void {
  const listener = (event: Event): void => react((event as CustomEvent<CaseEvents[Name]>).detail);
  document.addEventListener(name, listener);
  return () => document.removeEventListener(name, listener);
}

/** The case as the page was made with it; none on pages that show no case. */
export const caseDescription = (): CaseDescription | null => embeddedJson<CaseDescription>('case-json');

/** Image id → its heat map, as the newest result brought them. */
export const caseHeatmaps = (): Record<string, CaseHeatmap> =>
  embeddedJson<Record<string, CaseHeatmap>>('heatmaps-json') ?? {};

/** Image id → which of its frames the models read, in words, as the newest result brought them. */
export const caseFramesRead = (): Record<string, string> =>
  embeddedJson<Record<string, string>>('frames-read-json') ?? {};

/** The findings as the newest list brought them. */
export const caseFindings = (): CaseFinding[] => embeddedJson<CaseFinding[]>('findings-json') ?? [];
