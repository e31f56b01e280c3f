// Bodies that are kept: what they take in memory.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { keepBody } from '../../../src/broker/proxy/sending/kept-body.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');
setFlagsFromString('--no-expose-gc');

/** Chunks of a byte each, and at the end how many of them are in memory still. */
function bytesOneByOne(count: number) {
  const sent: WeakRef<Uint8Array>[] = [];
  const body = { length: undefined, chunks: chunks(), kept: 0 };
  async function* chunks() {
    for (let i = 0; i < count; i++) {
      const chunk = Uint8Array.of(i % 251);
      sent.push(new WeakRef(chunk));
      yield chunk;
    }
    await nextTurn();
    collectGarbage();
    body.kept = sent.filter((one) => one.deref() !== undefined).length;
  }
  return body;
}
const BYTES = Buffer.from(Array.from({ length: 5_000 }, (_, i) => i % 251));

test('kept bodies: one to be signed, that comes in many small chunks, does not keep them', async () => {
  const body = bytesOneByOne(5_000);
  const take = async () => ({ shrink: () => undefined, release: () => undefined });
  const whole = await (await keepBody(body)).whole({ maxBytes: 1_000_000, take, isLate: () => false });
  expect(Buffer.from(whole as Uint8Array).equals(BYTES)).toBe(true);
  expect(body.kept).toBeLessThan(600);
});

test('kept bodies: one to be sent again, that comes in many small chunks, does not keep them', async () => {
  const body = bytesOneByOne(5_000);
  const kept = await keepBody(body);
  for await (const _ of kept.next() as AsyncIterable<Uint8Array>);
  expect(kept.canRepeat()).toBe(true);
  expect(Buffer.from(kept.next() as Uint8Array).equals(BYTES)).toBe(true);
  expect(body.kept).toBeLessThan(600);
});
