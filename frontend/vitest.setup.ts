import { afterAll } from 'vitest';

// A page puts off what it keeps until the reader is still. The page of a test is gone when its file ends: what is put
// off then is dropped with it, as by a browser, instead of failing on a slow machine for want of a window.
const putOff = new Set<ReturnType<typeof setTimeout>>();
const plain = globalThis.setTimeout;

globalThis.setTimeout = Object.assign((...given: Parameters<typeof setTimeout>) => {
  const timer = plain(...given);
  putOff.add(timer);
  return timer;
}, plain) as typeof setTimeout;

afterAll(() => putOff.forEach((timer) => clearTimeout(timer)));
