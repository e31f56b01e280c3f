// Polling of transmitters: each by itself, and nothing of an answer that does not parse in the log.
import { afterEach, expect, test } from 'vitest';
import { createSignalPolling, type PostJson } from '../../../../src/broker/webhooks/signals/polling.ts';
import type { SignalReceiver } from '../../../../src/broker/webhooks/signals/receivers.ts';

const TOKEN = 'token-0123';
const receiver = (integration: string) =>
  ({ integration, settings: { poll_url: `https://${integration}.example/poll`, token: TOKEN } }) as SignalReceiver;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** Polls these integrations all the time. `answer`: what a transmitter answers; pending ones end with the test. */
function polling(integrations: readonly string[], answer: (url: string) => Promise<string>) {
  const asked: string[] = [];
  const lines: unknown[] = [];
  const post: PostJson = async (url) => {
    asked.push(url);
    const text = await answer(url);
    return { status: 200, text: async () => text };
  };
  const log = (...line: unknown[]) => void lines.push(line);
  const { start, stop } = createSignalPolling({
    store: { takeFromBucket: async () => ({ taken: 1, inMs: 0 }) },
    receivers: { polled: async () => integrations.map(receiver) },
    receiving: { receivePolled: async () => ({ kind: 'taken', isNew: true }) },
    post,
    everyMs: 1,
    clock: { monotonic: () => performance.now() },
    log: { debug: log, info: log, warn: log, error: log } as never,
  });
  cleanups.push(stop);
  start();
  return { asked, lines };
}

test('a transmitter that hangs is asked once, and keeps no other one from being asked', async () => {
  const hanging = Promise.withResolvers<string>();
  const { asked } = polling(['silent', 'other'], (url) =>
    url.includes('silent') ? hanging.promise : Promise.resolve(''),
  );
  cleanups.push(() => hanging.resolve(''));
  await expect.poll(() => asked.filter((url) => url.includes('other')).length, { timeout: 60_000 }).toBeGreaterThan(3);
  expect(asked.filter((url) => url.includes('silent'))).toHaveLength(1);
});

test.each([`Bearer ${TOKEN}`, `"${TOKEN}"`, `["${TOKEN}"]`])('an answer of %s is not in the log', async (text) => {
  const { lines } = polling(['echoing'], async () => text);
  await expect.poll(() => lines.length, { timeout: 60_000 }).toBeGreaterThan(0);
  const said = lines.map((line) =>
    JSON.stringify(line, (_, value) => (value instanceof Error ? value.message : value)),
  );
  expect(said.join()).not.toContain(TOKEN);
  expect(said[0]).toContain('no JSON object');
});
