// What a caller may pass on to others: nothing that it does not have itself (separation of duties).
import { isDeepStrictEqual } from 'node:util';
import { hasAction, type MissingPermission, matches, type Permission } from '../../../domain/caller.ts';

/**
 * The first action, integration and owner of `wanted` that no single permission of `own` covers, with scopes and limits;
 * undefined: all are covered. Those of `known` may stay as they are.
 */
export function undelegable(
  own: readonly Permission[],
  wanted: readonly Permission[],
  known: readonly Permission[] = [],
): MissingPermission | undefined {
  for (const permission of wanted) {
    if (known.some((one) => isDeepStrictEqual(plain(one), plain(permission)))) continue;
    for (const action of permission.actions)
      for (const integration of permission.integrations)
        for (const owner of permission.owners)
          if (!own.some((mine) => includes(mine, { ...permission, action, integration, owner })))
            return { action, integration, owner };
  }
  return undefined;
}

type One = Pick<Permission, 'scopes' | 'max_min_ttl' | 'max_refreshes' | 'methods' | 'paths'> &
  Pick<MissingPermission, 'action' | 'integration' | 'owner'>;

const includes = (mine: Permission, { action, integration, owner, ...limits }: One): boolean =>
  hasAction(mine, action) &&
  mine.integrations.some((pattern) => matches(pattern, integration)) &&
  mine.owners.some((pattern) => matches(pattern, owner)) &&
  hasAll(mine.scopes, limits.scopes) &&
  isWithin(mine.max_min_ttl, limits.max_min_ttl) &&
  isWithin(rateOf(mine), rateOf(limits)) &&
  isWithin(mine.max_refreshes?.requests, limits.max_refreshes?.requests) &&
  hasAll(mine.methods, limits.methods) &&
  hasAll(mine.paths, limits.paths);

/** Undefined: any. A prefix matches a longer one, since a pattern is compared as a text. */
const hasAll = (mine: string[] | undefined, wanted: string[] | undefined): boolean =>
  mine === undefined ||
  mine.includes('*') ||
  (wanted?.every((one) => mine.some((pattern) => matches(pattern, one))) ?? false);

/** Undefined: no limit. */
const isWithin = (mine: number | undefined, wanted: number | undefined): boolean =>
  mine === undefined || (wanted !== undefined && wanted <= mine);

const rateOf = ({ max_refreshes: limit }: Pick<Permission, 'max_refreshes'>): number | undefined =>
  limit && limit.requests / limit.window;

/** Without members that are undefined. */
const plain = (permission: Permission): unknown => JSON.parse(JSON.stringify(permission));
