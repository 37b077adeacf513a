/** What the reader moved lies the same in a pane of another size, and a picture that nobody moved at its opening place. */
import { expect, test, vi } from 'vitest';
import type { StackViewport } from '@cornerstonejs/core';
import { caseImage } from '../testing/case_page';
import { RasterPlace } from './raster_place';

vi.mock('@cornerstonejs/core', () => import('../testing/fake_cornerstone'));

/** A picture of 200 by 100 pixels in a pane, drawn by a camera that zooms and pans and nothing else. */
function laid(width: number, height: number): { place: RasterPlace; resize: (width: number, height: number) => void } {
  const view = document.createElement('div');
  const camera = { zoom: 1, pan: [0, 0] as [number, number] };
  const resize = (wide: number, high: number): void => {
    Object.defineProperties(view, {
      clientWidth: { value: wide, configurable: true },
      clientHeight: { value: high, configurable: true },
    });
  };
  resize(width, height);
  const image = caseImage('wide', { columns: 200, rows: 100, spacing_um: [100, 100], pixel_spacing_um: 100 });
  const place = new RasterPlace(image, view, () => undefined);
  place.viewport = {
    worldToCanvas: ([x, y]: [number, number]) => [
      (x + 0.5) * camera.zoom + camera.pan[0],
      (y + 0.5) * camera.zoom + camera.pan[1],
    ],
    getZoom: () => camera.zoom,
    setZoom: (zoom: number) => (camera.zoom = zoom),
    getPan: () => camera.pan,
    setPan: (pan: [number, number]) => (camera.pan = pan),
    setCamera: () => undefined,
    resetCamera: () => Object.assign(camera, { zoom: place.fitScale(), pan: [0, 0] }),
    render: () => undefined,
  } as unknown as StackViewport;
  return { place, resize };
}

/** The image's point in the middle of the pane, and how much of its fitting size it has. */
const seen = (place: RasterPlace): object => ({ ...place.place });

test('zoomed and moved, a picture shows the same in a pane of another size', () => {
  const { place, resize } = laid(400, 200);
  place.fit();
  place.zoomBy(3, [400, 200]);
  expect(seen(place)).toEqual({ zoom: 3, centre: [166.7, 83.3] });
  resize(200, 300);
  place.again();
  expect(seen(place)).toEqual({ zoom: 3, centre: [166.7, 83.3] });
  expect(place.transform()?.a).toBeCloseTo(3 * place.fitScale(), 3);
  place.panBy(0, 0);
  expect(seen(place)).toEqual({ zoom: 3, centre: [166.7, 83.3] });
});

test('restored it lies as it was left, and fitted nobody has moved it', () => {
  const { place } = laid(400, 200);
  place.restore(true, { zoom: 2, centre: [20, 10] });
  expect(place.isFlipped).toBe(true);
  place.panBy(0, 0);
  expect(seen(place)).toEqual({ zoom: 2, centre: [20, 10] });
  place.fit();
  expect(place.place).toBeNull();
  expect(place.isFlipped).toBe(true);
  place.reset();
  expect(place.isFlipped).toBe(false);
});

test('at its border a picture stays, until it is flipped to the other', () => {
  const { place } = laid(400, 400);
  place.fit();
  place.hangAt('right');
  place.setScale(1);
  expect(place.transform()).toMatchObject({ a: 1, e: 200, f: 150 });
  place.reveal([0, 0, 10, 10]);
  expect(place.place).toBeNull();
  place.zoomBy(4);
  // The chest wall stays where it is.
  expect(place.transform()).toMatchObject({ a: 4, e: 400 - 4 * 200 });
  place.reveal([0, 0, 10, 10]);
  expect(place.transform()?.e).toBe(200 - 4 * 5);
});
