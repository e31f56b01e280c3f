// The few connections of narrow permissions: found by ranges of their owners, where a list in the order of ids would examine
// all others as well.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { matches, type Scope } from '../../domain/caller.ts';
import type { ConnectionFilter } from '../../ports/index.ts';

/**
 * With more, they are not few: then the list is read in its order, in which at least every two-hundredth of a million is one.
 * Their ids are read from an index within milliseconds.
 */
export const FEW = 5_000;
/** Exact owners of one statement. */
const OWNERS_PER_TERM = 200;
/** With more integrations, an owner is looked for in all. */
const MANY_INTEGRATIONS = 3;
/** Rows of one statement that reads whole connections. */
export const ROWS_AT_ONCE = 100;

/**
 * What an index finds, all that is within a scope, and perhaps more: `integrations` (undefined: any), with these owners, or
 * those from `from` to before `to`.
 */
export type OwnerTerm = { integrations: string[] | undefined } & (
  | { owners: string[] }
  | { from: string; to: string | undefined }
  | { anyOwner: true }
);

/** Undefined: some scope is not narrow. `known`: all integrations that have connections. */
export function ownerTerms(
  { within = [], integration }: ConnectionFilter,
  known: readonly string[],
): OwnerTerm[] | undefined {
  const terms: OwnerTerm[] = [];
  for (const scope of merged(within)) {
    const isAny = scope.integrations.includes('*') && integration === undefined;
    const integrations = isAny ? undefined : integrationsOf(scope, integration, known);
    if (integrations?.length === 0 || scope.owners.length === 0) continue;
    if (scope.owners.includes('*')) {
      if (integrations === undefined) return undefined;
      terms.push({ integrations, anyOwner: true });
      continue;
    }
    const exact = scope.owners.filter((pattern) => !pattern.endsWith('*'));
    // Each owner is looked for in each of them.
    const few = integrations && integrations.length <= MANY_INTEGRATIONS ? integrations : undefined;
    for (let i = 0; i < exact.length; i += OWNERS_PER_TERM)
      terms.push({ integrations: few, owners: exact.slice(i, i + OWNERS_PER_TERM) });
    for (const pattern of scope.owners) {
      if (!pattern.endsWith('*')) continue;
      const from = pattern.slice(0, -1);
      terms.push({ integrations: few, from, to: afterPrefix(from) });
    }
  }
  return terms;
}

const integrationsOf = ({ integrations }: Scope, wanted: string | undefined, known: readonly string[]): string[] =>
  (wanted === undefined ? known : [wanted]).filter((id) => integrations.some((pattern) => matches(pattern, id)));

/** The ids beyond `after`, ascending, of what the terms have found; undefined: they are not few. */
export async function fewIds<Term>(
  terms: readonly Term[],
  after: string | undefined,
  find: (term: Term, limit: number) => Promise<{ id: string }[]>,
): Promise<string[] | undefined> {
  const ids = new Set<string>();
  let found = 0;
  for (const term of terms) {
    if (found > 0) await nextTurn();
    const rows = await find(term, FEW + 1 - found);
    found += rows.length;
    if (found > FEW) return undefined;
    for (const { id } of rows) if (after === undefined || id > after) ids.add(id);
  }
  return [...ids].sort();
}

/** Those with the same integrations are one scope: callers may have a permission for each of many owners. */
export function merged(scopes: readonly Scope[]): Scope[] {
  const byIntegrations = new Map<string, Scope>();
  for (const { integrations, owners } of scopes) {
    const key = JSON.stringify(integrations);
    const known = byIntegrations.get(key);
    if (known) known.owners.push(...owners);
    else byIntegrations.set(key, { integrations, owners: [...owners] });
  }
  return [...byIntegrations.values()];
}

/** The first text, in the order of code points, that is greater than all with this prefix; undefined: there is none. */
export function afterPrefix(prefix: string): string | undefined {
  const points = [...prefix];
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const next = last.codePointAt(0)! + 1;
    if (next > 0x10ffff) continue;
    // No text has surrogates alone.
    return points.join('') + String.fromCodePoint(next >= 0xd800 && next <= 0xdfff ? 0xe000 : next);
  }
  return undefined;
}

/** All integrations that have connections: a loose index scan, of two index steps for each. */
export const KNOWN_INTEGRATIONS = `
  with recursive known(id) as (
    select min(integration) from connections
    union all
    select (select min(integration) from connections where integration > known.id) from known where known.id is not null
  )
  select id from known where id is not null`;
