// Bounded pages: ranges are merged in order, steps are bounded, and a short page leads on to the next.
import { describe, expect, test } from 'vitest';
import { boundedPage, EXAMINED_PER_STEP, type ReadStep, stepOf } from '../../src/stores/shared/bounded-pages.ts';
import { afterPrefix, ownerTerms } from '../../src/stores/shared/narrow-scopes.ts';

type Row = { id: string };
const idOf = (n: number) => `row_${String(n).padStart(7, '0')}`;
const numberOf = (id: string) => Number(id.slice('row_'.length));

/** A range of these numbers, of which the ones that match are wanted. Counts what is examined. */
function range(numbers: number[], matches: (n: number) => boolean, direction: 1 | -1 = 1) {
  const ordered = numbers.toSorted((a, b) => direction * (a - b));
  const steps: number[] = [];
  const read: ReadStep<Row> = async (after, examine, wanted) => {
    const last = after === undefined ? undefined : numberOf(after);
    const begin = ordered.findIndex((n) => last === undefined || (direction === 1 ? n > last : n < last));
    const examined = begin === -1 ? [] : ordered.slice(begin, begin + examine);
    steps.push(examined.length);
    const rows = examined
      .filter(matches)
      .slice(0, wanted)
      .map((n) => ({ id: idOf(n) }));
    return stepOf(rows, wanted, () => (examined.length === examine ? idOf(examined.at(-1)!) : undefined));
  };
  return { read, steps };
}
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

/** All pages to the end. */
async function allPages(limit: number, direction: 1 | -1, reads: ReadStep<Row>[]) {
  const pages: Row[][] = [];
  for (let after: string | undefined; ; ) {
    const { data, next } = await boundedPage({ limit, after }, direction, reads);
    pages.push(data);
    if (next === null) return pages;
    after = next;
  }
}

describe('bounded page', () => {
  test.each([1, -1] as const)('of one range, in direction %i: all matches once, in order', async (direction) => {
    const { read } = range(upTo(5_000), (n) => n % 7 === 0, direction);
    const ids = (await allPages(100, direction, [read])).flat().map(({ id }) => id);
    const expected = upTo(5_000)
      .filter((n) => n % 7 === 0)
      .map(idOf);
    expect(ids).toEqual(direction === 1 ? expected : expected.reverse());
  });

  test('of several ranges of different density: all matches once, in order', async () => {
    const dense = range(
      upTo(6_000).filter((n) => n % 3 !== 0),
      (n) => n % 2 === 0,
    );
    const sparse = range(
      upTo(6_000).filter((n) => n % 3 === 0),
      (n) => n > 5_900,
    );
    const empty = range([], () => true);
    const pages = await allPages(50, 1, [dense.read, sparse.read, empty.read]);
    const expected = upTo(6_000).filter((n) => (n % 3 === 0 ? n > 5_900 : n % 2 === 0));
    expect(pages.flat().map(({ id }) => id)).toEqual(expected.map(idOf));
    expect(pages.slice(0, -1).every((page) => page.length === 50)).toBe(true);
  });

  test('without matches in very many rows: bounded steps, an empty page, and a cursor that leads on', async () => {
    const { read, steps } = range(upTo(120_000), (n) => n === 119_999);
    const first = await boundedPage({ limit: 100, after: undefined }, 1, [read]);
    expect(first.data).toEqual([]);
    expect(first.next).not.toBeNull();
    expect(Math.max(...steps)).toBeLessThanOrEqual(EXAMINED_PER_STEP);
    expect((await allPages(100, 1, [read])).flat()).toEqual([{ id: idOf(119_999) }]);
  });
});

describe('ranges of owners', () => {
  test.each([
    ['user:', 'user;'],
    ['a\u{10ffff}', 'b'],
    ['\ud7ff', '\ue000'],
    ['é', 'ê'],
    ['😀', '😁'],
    ['\u{10ffff}', undefined],
  ])('the first text after those with the prefix %j is %j', (prefix, expected) => {
    expect(afterPrefix(prefix)).toBe(expected);
  });

  test('scopes with the same integrations are found together, and a scope of everything is not narrow', () => {
    const scopes = upTo(300).map((n) => ({ integrations: ['slack'], owners: [`user:${n}`] }));
    expect(ownerTerms({ within: scopes }, ['slack', 'github'])).toHaveLength(2);
    const everything = { integrations: ['*'], owners: ['*'] };
    expect(ownerTerms({ within: [...scopes, everything] }, ['slack'])).toBeUndefined();
    expect(ownerTerms({ within: [{ integrations: ['none-*'], owners: ['*'] }] }, ['slack'])).toEqual([]);
  });
});
