// Limits of the vendors, in their own manner, as the catalogue's entries have them read.
import { readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { readLimit } from '../../src/domain/limit-reading.ts';
import { providersOf } from '../support/entries.ts';
import { LIMITED_AT, type Reply, type Vendor } from './emulator/vendor.ts';

const providers = providersOf(loadCatalogue([]));
const folder = new URL('./vendors/', import.meta.url);
const files = (await readdir(folder)).filter((file) => file.endsWith('.ts'));
const vendors = await Promise.all(
  files.map(async (file) => ((await import(new URL(file, folder).href)) as { default: Vendor }).default),
);

const HOUR = 3_600;

function readingOf(id: string, { status, headers, body }: Pick<Reply, 'status' | 'headers' | 'body'>) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const fields = Object.entries({ 'Content-Type': 'application/json', ...headers }).flat();
  return readLimit(providers.get(id)!.rate_limits, { status, headers: fields, body: text, now: LIMITED_AT });
}

describe('limit of', () => {
  test.each(vendors.flatMap(({ provider, calls }) => calls.limits.map((limit, i) => ({ provider, i, limit }))))(
    '$provider ($i): is read with its wait',
    ({ provider, limit }) => {
      const reading = readingOf(provider, limit.answer);
      expect(reading.isLimited).toBe(true);
      expect(reading.waitMs / 1_000).toBeCloseTo(Math.min(Math.max(limit.wait, 1), HOUR), 0);
      expect(reading.scope).toBe(limit.scope);
    },
  );
});

test.each(vendors.map(({ provider, calls }) => ({ provider, checks: calls.checks })))(
  'no limit of $provider: what is answered to a check, to a token that is not accepted, and to one without a right',
  ({ provider, checks }) => {
    const refused = { status: 403, headers: {}, body: { error: 'forbidden', message: 'You may not do this.' } };
    const others = checks.flatMap(({ answer, unauthorized }) => [
      { status: 200, headers: {}, body: answer },
      unauthorized ?? { status: 401, headers: {}, body: { error: 'unauthorized' } },
    ]);
    for (const answer of [refused, ...others]) expect(readingOf(provider, answer).isLimited).toBe(false);
  },
);
