/** The pointer on a picture: what its buttons and its wheel do. */
import type { Point } from './geometry';
import { type Pane, type PaneEvents, type Tool, drawnBy } from './pane';

const WHEEL_NOTCH = 40;

/** What the pointer acts on. */
export interface Pointed extends Pane {
  readonly tool: Tool;
  /** Whether its image is there. */
  readonly isDrawn: boolean;
  /** Change window and level by so many CSS pixels. */
  changeWindow(dx: number, dy: number): void;
  /** Go on or back by a frame. */
  scrollFrames(by: number): void;
}

/** React to the pointer on a pane whose image is drawn into `view`. */
export function bindPointer(pane: Pointed, view: HTMLElement, events: PaneEvents): void {
  const { element } = pane;
  element.addEventListener('pointerdown', (event) => {
    events.activated(pane);
    if (event.target instanceof Element && event.target.closest('button, input, a')) return;
    const tool: Tool = event.button === 1 ? 'pan' : event.button === 2 ? 'zoom' : pane.tool;
    if (pane.isDrawn && !drawnBy(tool)) drag(pane, view, events, event, tool);
  });
  element.addEventListener('focus', () => events.activated(pane));
  element.addEventListener('contextmenu', (event) => event.preventDefault());
  bindWheel(pane, view, events);
}

/** The wheel goes through the frames of a clip, and with Ctrl it zooms; where there is one frame, it zooms. */
function bindWheel(pane: Pointed, view: HTMLElement, events: PaneEvents): void {
  let scrolled = 0;
  pane.element.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      if (pane.image.frames > 1 && !event.ctrlKey) {
        // A notch is a frame; the small steps of a touch pad add up to one.
        scrolled = Math.sign(event.deltaY) === Math.sign(scrolled) ? scrolled + event.deltaY : event.deltaY;
        if (Math.abs(scrolled) < WHEEL_NOTCH) return;
        pane.scrollFrames(Math.sign(scrolled));
        scrolled = 0;
        return;
      }
      const factor = Math.exp(-event.deltaY * 0.0015);
      pane.zoomBy(factor, pointIn(view, event));
      events.zoomed(pane, factor);
    },
    { passive: false },
  );
}

function pointIn(view: HTMLElement, event: MouseEvent): Point {
  const bounds = view.getBoundingClientRect();
  return [event.clientX - bounds.left, event.clientY - bounds.top];
}

function drag(pane: Pointed, view: HTMLElement, events: PaneEvents, start: PointerEvent, tool: Tool): void {
  const { element } = pane;
  start.preventDefault();
  element.focus({ preventScroll: true });
  element.setPointerCapture(start.pointerId);
  const anchor = pointIn(view, start);
  let { clientX: x, clientY: y } = start;
  const onMove = (event: PointerEvent): void => {
    const dx = event.clientX - x;
    const dy = event.clientY - y;
    ({ clientX: x, clientY: y } = event);
    if (tool === 'pan') {
      pane.panBy(dx, dy);
      events.panned(pane, dx, dy);
    } else if (tool === 'zoom') {
      const factor = Math.exp(-dy * 0.006);
      pane.zoomBy(factor, anchor);
      events.zoomed(pane, factor);
    } else pane.changeWindow(dx, dy);
  };
  const onEnd = (): void => {
    element.removeEventListener('pointermove', onMove);
    element.removeEventListener('pointerup', onEnd);
    element.removeEventListener('pointercancel', onEnd);
  };
  element.addEventListener('pointermove', onMove);
  element.addEventListener('pointerup', onEnd);
  element.addEventListener('pointercancel', onEnd);
}
