// The intersection of permissions: what both of two lists cover, and nothing else.
import type { SessionLimits } from './agent-session.ts';
import { ACTIONS, type Action, hasAction, matches, type Permission } from './caller.ts';

/** The permission that it has where its caller has all. */
export const permissionOfSession = ({
  owner,
  integrations,
  actions,
  scopes,
  methods,
  paths,
  tools,
}: SessionLimits): Permission => ({
  actions: [...actions],
  integrations,
  owners: [owner],
  ...(scopes && { scopes }),
  ...(methods && { methods }),
  ...(paths && { paths }),
  ...(tools && { tools }),
});

/** Covers nothing. */
const NOTHING: Permission = { actions: [], integrations: [], owners: [] };

/**
 * What `permissions` cover within one limit. Each keeps its place in the list, since limits of refreshes are counted by it: where
 * nothing is left, there is one that covers nothing.
 */
export const narrowed = (permissions: readonly Permission[], limit: Permission): Permission[] =>
  permissions.map((permission) => intersection(permission, limit));

/** Covers what both cover, and nothing else. `limit` has no limits of lifetimes and refreshes: those of the first stay. */
export function intersection(permission: Permission, limit: Permission): Permission {
  const actions = actionsOfBoth(permission, limit);
  const integrations = patternsOfBoth(permission.integrations, limit.integrations);
  const owners = patternsOfBoth(permission.owners, limit.owners);
  if (actions.length === 0 || integrations.length === 0 || owners.length === 0) return NOTHING;
  const both = {
    scopes: ofBoth(permission.scopes, limit.scopes, patternsOfBoth),
    methods: ofBoth(permission.methods, limit.methods, methodsOfBoth),
    paths: ofBoth(permission.paths, limit.paths, patternsOfBoth),
    tools: ofBoth(permission.tools, limit.tools, patternsOfBoth),
  };
  const { max_min_ttl, max_refreshes } = permission;
  return {
    actions,
    integrations,
    owners,
    ...(both.scopes && { scopes: both.scopes }),
    ...(max_min_ttl !== undefined && { max_min_ttl }),
    ...(max_refreshes && { max_refreshes }),
    ...(both.methods && { methods: both.methods }),
    ...(both.paths && { paths: both.paths }),
    ...(both.tools && { tools: both.tools }),
  };
}

function actionsOfBoth(a: Permission, b: Permission): Permission['actions'] {
  if (a.actions.includes('*')) return b.actions;
  if (b.actions.includes('*')) return a.actions;
  return ACTIONS.filter((action: Action) => hasAction(a, action) && hasAction(b, action));
}

/** Undefined: any. */
const ofBoth = (
  a: string[] | undefined,
  b: string[] | undefined,
  both: (a: string[], b: string[]) => string[],
): string[] | undefined => (a === undefined || b === undefined ? (a ?? b) : both(a, b));

/** Of two patterns, one begins with the other, or nothing matches both. */
const patternsOfBoth = (a: readonly string[], b: readonly string[]): string[] => [
  ...new Set(a.flatMap((one) => b.flatMap((other) => patternOfBoth(one, other) ?? []))),
];

/** What matches both. Undefined: nothing does. */
function patternOfBoth(a: string, b: string): string | undefined {
  if (matches(a, withoutStar(b)) && (a.endsWith('*') || !b.endsWith('*'))) return b;
  return matches(b, withoutStar(a)) && (b.endsWith('*') || !a.endsWith('*')) ? a : undefined;
}

const withoutStar = (pattern: string): string => (pattern.endsWith('*') ? pattern.slice(0, -1) : pattern);

/** `GET` includes `HEAD`, and `*` everything. */
function methodsOfBoth(a: readonly string[], b: readonly string[]): string[] {
  if (a.includes('*')) return [...b];
  if (b.includes('*')) return [...a];
  const all = (methods: readonly string[]) => new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods);
  const other = all(b);
  return [...all(a)].filter((method) => other.has(method));
}

/** Whether one pattern matches all that the other one does. A prefix matches a longer one, since a pattern is compared as a text. */
export const includesPattern = (outer: readonly string[] | undefined, inner: string): boolean =>
  outer === undefined || outer.some((pattern) => matches(pattern, inner));

/** What is asked for, of which a permission has to cover everything that is named. */
export interface Wanted {
  action: Action;
  integration: string;
  owner: string;
  scopes?: readonly string[] | undefined;
  method?: string | undefined;
  path?: string | undefined;
  tool?: string | undefined;
}

/** Whether a single permission covers all of it. What is not named may be anything that the permission covers. */
export const coversWanted = (permissions: readonly Permission[], wanted: Wanted): boolean =>
  permissions.some(
    (one) =>
      hasAction(one, wanted.action) &&
      includesPattern(one.integrations, wanted.integration) &&
      includesPattern(one.owners, wanted.owner) &&
      (wanted.scopes ?? []).every((scope) => includesPattern(one.scopes, scope)) &&
      (wanted.method === undefined || coversMethod(one.methods, wanted.method)) &&
      (wanted.path === undefined || includesPattern(one.paths, wanted.path)) &&
      (wanted.tool === undefined || includesPattern(one.tools, wanted.tool)),
  );

export const coversMethod = (methods: readonly string[] | undefined, method: string): boolean =>
  methods === undefined ||
  methods.includes('*') ||
  methods.includes(method) ||
  (method === 'HEAD' && methods.includes('GET'));
