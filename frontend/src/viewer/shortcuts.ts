/** What the keys of the image ask for. The keys themselves are data (`accounts.commands`). */
import { registerCommand } from '../page/keyboard';
import type { Tool } from './pane';

const TOOLS: readonly Tool[] = ['window', 'pan', 'zoom', 'length', 'arrow'];

/** Those of the toolbar's buttons that have a key. */
const COMMANDS = [
  'fit',
  'actual',
  'reset',
  'flip',
  'invert',
  'layout',
  'link',
  'marks',
  'faint',
  'heatmap',
  'heat-fainter',
  'heat-stronger',
  'zoom-in',
  'zoom-out',
  'play',
] as const;

/** By arrow key, the direction on the screen. */
const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** What answers the keys. */
interface Asked {
  tool(tool: Tool): void;
  command(name: (typeof COMMANDS)[number]): void;
  /** By so many steps to the right and down; `isResize` with Shift. */
  arrow(step: readonly [number, number], isResize: boolean): void;
  /** The length or arrow that is chosen, or its second end, by so many steps. */
  drawnArrow(step: readonly [number, number], isEnd: boolean): void;
  nextDrawn(): void;
  /** The answers are false where there was nothing to do. */
  removeDrawn(): boolean;
  undoDrawing(): boolean;
  redoDrawing(): boolean;
  /** The next or previous image or frame. */
  neighbour(by: 1 | -1): void;
  /** The next or previous image of the view. */
  other(by: 1 | -1): void;
}

export function registerImageCommands(asked: Asked): void {
  for (const tool of TOOLS) registerCommand(tool, () => asked.tool(tool));
  for (const name of COMMANDS) registerCommand(name, () => asked.command(name));
  registerCommand('move', ({ key }) => asked.arrow(ARROWS[key] ?? [0, 0], false));
  registerCommand('resize', ({ key }) => asked.arrow(ARROWS[key] ?? [0, 0], true));
  registerCommand('move-drawn', ({ key }) => asked.drawnArrow(ARROWS[key] ?? [0, 0], false));
  registerCommand('resize-drawn', ({ key }) => asked.drawnArrow(ARROWS[key] ?? [0, 0], true));
  registerCommand('next-drawn', () => asked.nextDrawn());
  registerCommand('remove-drawn', () => asked.removeDrawn());
  // Fields undo what is typed in them.
  registerCommand('undo-drawing', ({ target }) => !isField(target) && asked.undoDrawing());
  registerCommand('redo-drawing', ({ target }) => !isField(target) && asked.redoDrawing());
  registerCommand('previous-image', () => asked.neighbour(-1));
  registerCommand('next-image', () => asked.neighbour(1));
  registerCommand('previous-of-view', () => asked.other(-1));
  registerCommand('next-of-view', () => asked.other(1));
}

const isField = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'));
