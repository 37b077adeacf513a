/** The keys of the stage, as data: what each asks for. */
import type { Tool } from './pane';

export const TOOL_KEYS: Readonly<Record<string, Tool>> = { w: 'window', h: 'pan', z: 'zoom', m: 'length' };

/** By key, the toolbar's command. */
export const COMMAND_KEYS: Readonly<Record<string, string>> = {
  f: 'fit',
  '9': 'actual',
  '0': 'reset',
  x: 'flip',
  i: 'invert',
  v: 'layout',
  l: 'link',
  b: 'marks',
  B: 'faint',
  o: 'heatmap',
};

/** By key, the direction on the screen. */
export const ARROW_KEYS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
