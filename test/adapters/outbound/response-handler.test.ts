// What handles a response: once its request has ended, it refers to nothing of it, however long undici keeps it.
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { OutboundError } from '../../../src/adapters/outbound/outbound-error.ts';
import { ResponseHandler } from '../../../src/adapters/outbound/response-handler.ts';
import { collectAll } from '../../support/collections.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };
const MINUTE_MS = 60_000;

/** A handler, and what its request refers to, by references that keep nothing. */
function handled(maxBytes = 100) {
  const aborted: unknown[] = [];
  const [refresh, controller] = [{ mayStillSend: () => true }, { abort: (error: Error) => void aborted.push(error) }];
  const { promise, ...settlers } = Promise.withResolvers<unknown>();
  const outcome = promise.then(
    () => 'resolved',
    (error: OutboundError) => error.code,
  );
  const handler = new ResponseHandler({
    ...{ host: 'a.example', maxBytes, mayStillSend: () => refresh.mayStillSend(), ...settlers },
  });
  handler.startTimeout(MINUTE_MS, undefined);
  handler.onRequestStart(controller as never);
  return {
    handler,
    outcome,
    aborted,
    references: [refresh, controller, promise].map((one) => new WeakRef<object>(one)),
  };
}

test.each([
  ['answered', 'resolved', (handler: ResponseHandler) => handler.onResponseEnd()],
  [
    'too large',
    'too_large',
    (handler: ResponseHandler) => {
      handler.onResponseData(undefined as never, Buffer.alloc(101));
      handler.onResponseEnd();
    },
  ],
  ['broken off', 'network', (handler: ResponseHandler) => handler.onResponseError(undefined, new Error('reset'))],
])('a request that was %s: its handler refers to nothing of it', async (_, expected, end) => {
  const { handler, outcome, references } = handled();
  handler.onResponseStart(undefined as never, 200, JSON_HEADERS);
  handler.onResponseData(undefined as never, Buffer.from('{}'));
  end(handler);
  expect(await outcome).toBe(expected);
  await turn();
  collectAll();
  expect(references.map((one) => one.deref())).toEqual([undefined, undefined, undefined]);
  expect(handler).toBeInstanceOf(ResponseHandler);
});

test('a request that is given up: it is aborted, with the error that it is rejected with', async () => {
  const { handler, outcome, aborted } = handled();
  handler.onResponseStart(undefined as never, 302, {});
  expect(await outcome).toBe('redirect');
  expect(aborted).toEqual([expect.any(OutboundError)]);
});

test('interim responses without end: the request is given up before its deadline', async () => {
  const { handler, outcome, aborted } = handled();
  for (let n = 0; n < 100; n++) handler.onResponseStart(undefined as never, 103, {});
  expect(aborted).toEqual([]);
  handler.onResponseStart(undefined as never, 103, {});
  expect(await outcome).toBe('network');
  expect(aborted).toEqual([expect.objectContaining({ status: undefined })]);
});

test('a body in chunks of one byte: it is too large when it has more of them than anyone sends', async () => {
  const { handler, outcome, aborted } = handled(1_000_000);
  handler.onResponseStart(undefined as never, 200, JSON_HEADERS);
  const byte = Buffer.from('a');
  for (let n = 0; n < 50_000; n++) handler.onResponseData(undefined as never, byte);
  expect(aborted).toEqual([]);
  handler.onResponseData(undefined as never, byte);
  expect(await outcome).toBe('too_large');
  expect(aborted).toEqual([expect.objectContaining({ message: 'a.example answered in more than 50000 pieces' })]);
});
