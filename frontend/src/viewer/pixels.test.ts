import { describe, expect, test } from 'vitest';
import type { ImageMetadata } from '../api_types';
import { NoAnswer, Refusal } from '../server/client';
import { caseWords } from '../testing/case_page';
import { bytesPerFrame, errorText, pixelArray } from './pixels';

const described = (facts: Partial<ImageMetadata>): ImageMetadata =>
  ({
    rows: 2,
    columns: 3,
    samples: 1,
    bits_allocated: 16,
    signed: false,
    slope: 1,
    intercept: 0,
    ...facts,
  }) as ImageMetadata;

describe('stored values', () => {
  const bytes = Uint8Array.of(0x01, 0x80, 0xff, 0xff);

  test.each([
    ['16 bits, unsigned', {}, [0x8001, 0xffff]],
    ['16 bits, signed', { signed: true }, [-0x7fff, -1]],
    ['8 bits, unsigned', { bits_allocated: 8 }, [0x01, 0x80, 0xff, 0xff]],
  ])('are read as described: %s', (_, facts, values) => {
    expect([...pixelArray(bytes.slice(), described(facts))]).toEqual(values);
  });

  test('fill as many bytes as rows, columns, colours and bits say', () => {
    expect(bytesPerFrame(described({}))).toBe(12);
    expect(bytesPerFrame(described({ samples: 3, bits_allocated: 8 }))).toBe(18);
  });
});

test.each([
  [new Refusal({ detail: 'Not at your site.' }), 'Not at your site.'],
  [new NoAnswer('The decoders are busy.'), 'The decoders are busy.'],
  [new NoAnswer(), 'No connection.'],
  [new Error('No memory.'), 'No memory.'],
  [null, ''],
])('why an image is not shown: %s', (error, reason) => {
  expect(errorText(error, caseWords)).toBe(reason);
});
