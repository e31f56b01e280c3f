// Looking up names: one whose servers are silent keeps no one else from it.
import type { LookupAddress } from 'node:dns';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createNameLookups, type Resolver } from '../../../src/adapters/outbound/name-lookups.ts';
import { NAME_LOOKUP_WAIT_MS } from '../../../src/domain/time-limits.ts';

const OPTIONS = { all: true } as const;
const AT = (last: number): LookupAddress[] => [{ address: `192.0.2.${last}`, family: 4 }];

/** Lookups over a system whose answers the test gives, and name servers that know some names. */
function lookups(known: Record<string, LookupAddress[]> = {}) {
  const clock = { now: 0 };
  const asked: { name: string; answer: Parameters<Resolver>[2] }[] = [];
  const servers: string[] = [];
  const lookup = createNameLookups({
    system: (name, _, answer) => void asked.push({ name, answer }),
    servers: async (name) => {
      servers.push(name);
      const found = known[name];
      if (!found) throw new Error('the name servers do not know it');
      return found;
    },
    slowMs: 1,
    now: () => clock.now,
  });
  const find = (name: string) =>
    new Promise<LookupAddress[] | string>((resolve) =>
      lookup(name, OPTIONS, (error, addresses) => resolve(error ? (error.code ?? error.message) : addresses)),
    );
  /** Answers what the system was asked first of all that is open. */
  const answer = async (addresses: LookupAddress[]) => {
    asked.shift()!.answer(null, addresses);
    await turn();
  };
  /** The names that the system is asked for now. */
  const open = () => asked.map(({ name }) => name);
  return { clock, asked, servers, find, answer, open };
}

/** What is quick from now on. */
async function known({ find, answer }: ReturnType<typeof lookups>, name: string): Promise<void> {
  const found = find(name);
  await answer(AT(1));
  await found;
}

test('a name that was quick before is looked up beside names that hang', async () => {
  const one = lookups();
  await known(one, 'provider.example');
  for (const name of ['a.evil.example', 'b.evil.example', 'c.evil.example']) void one.find(name);
  const found = one.find('provider.example');
  expect(one.open()).toEqual(['a.evil.example', 'provider.example']);
  one.asked[1]!.answer(null, AT(2));
  expect(await found).toEqual(AT(2));
});

test('a name that is new is asked of the name servers while others hang', async () => {
  const { find, open, servers } = lookups({ 'new.example': AT(3) });
  void find('a.evil.example');
  expect(await find('new.example')).toEqual(AT(3));
  expect(open()).toEqual(['a.evil.example']);
  expect(servers).toContain('new.example');
});

test('a name that hangs takes one thread, however often it is asked for', async () => {
  const { find, open, answer } = lookups();
  const both = Promise.all([find('a.evil.example'), find('a.evil.example')]);
  expect(open()).toEqual(['a.evil.example']);
  await answer(AT(4));
  expect(await both).toEqual([AT(4), AT(4)]);
});

test('a name that was slow is not quick any more', async () => {
  const one = lookups();
  await known(one, 'a.evil.example');
  void one.find('b.evil.example');
  const slow = one.find('a.evil.example');
  one.clock.now = 1_000;
  one.asked.pop()!.answer(null, AT(5));
  await slow;
  void one.find('a.evil.example');
  expect(one.open()).toEqual(['b.evil.example']);
});

test('a name that only the system knows waits for it', async () => {
  const { find, servers, asked } = lookups();
  const found = find('internal');
  while (servers.length === 0) await turn();
  asked[0]!.answer(null, AT(6));
  expect(await found).toEqual(AT(6));
});

test('without an answer, the error is that of the system', async () => {
  const { find, asked } = lookups();
  const found = find('missing.example');
  asked[0]!.answer(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
  expect(await found).toBe('ENOTFOUND');
});

test('what has waited for longer than a request does is not looked up', async () => {
  const { find, answer, open, clock } = lookups();
  void find('a.evil.example');
  const late = find('late.example');
  clock.now = NAME_LOOKUP_WAIT_MS + 1;
  const soon = find('soon.example');
  await answer([]);
  expect(await late).toBe('the name servers do not know it');
  expect(open()).toEqual(['soon.example']);
  await answer(AT(7));
  expect(await soon).toEqual(AT(7));
});

test('a name for which too many wait already is asked of the name servers', async () => {
  const { find } = lookups({ 'new.example': AT(8) });
  for (let n = 0; n < 1_001; n++) void find(`${n}.evil.example`);
  expect(await find('new.example')).toEqual(AT(8));
});
