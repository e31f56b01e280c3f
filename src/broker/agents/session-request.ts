// What a caller asks of a new agent session, and whether it has all of that itself: a session is narrower than what makes it, and
// never wider.
import { type Agent, MAX_SESSION_DEPTH, type SessionAction, type SessionLimits } from '../../domain/agent-session.ts';
import { ADMIN_ID, type MissingPermission, type Permission, type Principal } from '../../domain/caller.ts';
import type { InputIssue } from '../../domain/errors.ts';
import {
  coversMethod,
  coversWanted,
  includesPattern,
  intersection,
  permissionOfSession,
  type Wanted,
} from '../../domain/narrowed-permissions.ts';
import { AGENT_SESSION_TTL_MAX_S, AGENT_SESSION_TTL_S, SIGNED_JWT_MAX_TTL_MS } from '../../domain/time-limits.ts';

export interface AgentSessionRequest {
  owner: string;
  integrations: string[];
  actions: SessionAction[];
  /** Undefined, here and below: as far as the caller may. */
  scopes?: string[] | undefined;
  methods?: string[] | undefined;
  paths?: string[] | undefined;
  tools?: string[] | undefined;
  /** Seconds. */
  ttl?: number | undefined;
  purpose: string;
  agent?: Agent | undefined;
  maxUses?: number | undefined;
  /** Its token is a JWT for this audience. Undefined: it is opaque. */
  audience?: string | undefined;
}

/** The first of what is asked for that no permission covers; undefined: all is covered. */
export function missingFor(
  permissions: readonly Permission[],
  request: AgentSessionRequest,
): MissingPermission | undefined {
  const { owner, integrations, actions, scopes } = request;
  for (const integration of new Set(integrations))
    for (const action of new Set<SessionAction>(['sessions', ...actions])) {
      const plain: Wanted = { action, integration, owner };
      if (!coversWanted(permissions, plain)) return { action, integration, owner };
      if (action === 'sessions' || action === 'connections:read') continue;
      const uncovered = scopes?.filter((scope) => !coversWanted(permissions, { ...plain, scopes: [scope] })) ?? [];
      if (uncovered.length > 0) return { action, integration, owner, scopes: uncovered };
      const missing = action === 'proxy' ? missingCall(permissions, { ...plain, scopes }, request) : undefined;
      if (missing) return missing;
      // Each is covered, and not by one permission together.
      if (!coversWanted(permissions, { ...plain, scopes })) return { action, integration, owner, scopes: scopes ?? [] };
    }
  return undefined;
}

/**
 * Each method at each path with each tool has to be covered by one permission. There are 50,000 of these at each integration: a
 * permission is compared with each value once, and then only those differ that other permissions cover.
 */
function missingCall(
  permissions: readonly Permission[],
  wanted: Wanted,
  { methods, paths, tools }: AgentSessionRequest,
): MissingPermission | undefined {
  const { action, integration, owner } = wanted;
  const able = permissions.filter((one) => coversWanted([one], wanted));
  const byMethod = byCoverage(able, methods, (one, method) => coversMethod(one.methods, method));
  const byPath = byCoverage(able, paths, (one, path) => includesPattern(one.paths, path));
  const byTool = byCoverage(able, tools, (one, tool) => includesPattern(one.tools, tool));
  for (const [atMethod, method] of byMethod)
    for (const [atPath, path] of byPath)
      for (const [atTool, tool] of byTool)
        if ((atMethod & atPath & atTool) === 0n)
          return {
            ...{ action, integration, owner },
            ...(method !== undefined && { method }),
            ...(path !== undefined && { path }),
            ...(tool !== undefined && { tool }),
          };
  return undefined;
}

/** Which permissions cover a value, one bit each, and the first of the values that just these cover. What is not named, all cover. */
function byCoverage(
  permissions: readonly Permission[],
  values: readonly string[] | undefined,
  covers: (permission: Permission, value: string) => boolean,
): Map<bigint, string | undefined> {
  const found = new Map<bigint, string | undefined>();
  for (const value of values ?? [undefined]) {
    let bits = 0n;
    permissions.forEach((one, i) => {
      if (value === undefined || covers(one, value)) bits |= 1n << BigInt(i);
    });
    if (!found.has(bits)) found.set(bits, value);
  }
  return found;
}

/** How long it lasts, in seconds, or what is wrong with that. */
export function ttlOf(
  { caller }: Principal,
  { ttl: wanted, audience }: Pick<AgentSessionRequest, 'ttl' | 'audience'>,
): number | InputIssue {
  const longest = audience === undefined ? AGENT_SESSION_TTL_MAX_S : SIGNED_JWT_MAX_TTL_MS / 1_000;
  const own = caller.maxSessionTtl ?? longest;
  const most = Math.min(own, longest);
  const ttl = wanted ?? Math.min(AGENT_SESSION_TTL_S, most);
  if (ttl <= most) return ttl;
  const what = audience === undefined ? 'session' : 'JWT';
  const whose = own < longest ? 'the max_session_ttl of the caller' : `the longest that a ${what} lasts`;
  return { path: 'ttl', message: `is more than ${most} seconds, ${whose}` };
}

/** What is wrong with it, whatever the caller may do. */
export function requestIssues(
  { actions, methods, paths, tools, maxUses, audience }: AgentSessionRequest,
  { session }: Principal,
  publicUrl: string,
): InputIssue[] {
  const issues: InputIssue[] = [];
  if (maxUses !== undefined && audience !== undefined && audience !== publicUrl)
    issues.push({ path: 'max_uses', message: `only for ${publicUrl}: the broker does not see the uses elsewhere` });
  if (!actions.includes('proxy'))
    for (const [path, value] of Object.entries({ methods, paths, tools }))
      if (value !== undefined) issues.push({ path, message: 'only for sessions with the action proxy' });
  if (tools !== undefined && actions.includes('token'))
    issues.push({ path: 'tools', message: 'not with the action token: who has the token may call every tool' });
  if (session && session.ancestors.length + 1 >= MAX_SESSION_DEPTH)
    issues.push({ path: 'actions', message: `sessions are made ${MAX_SESSION_DEPTH} levels below a caller at most` });
  return issues;
}

/** Within those of the session that makes it, if one does. */
export function limitsOf(request: AgentSessionRequest, { session }: Principal): SessionLimits {
  const { owner, integrations, actions, scopes, methods, paths, tools } = request;
  const wanted: SessionLimits = {
    owner,
    integrations: [...new Set(integrations)],
    actions: [...new Set(actions)],
    scopes: scopes ?? null,
    methods: methods ?? null,
    paths: paths ?? null,
    tools: tools ?? null,
  };
  if (!session) return wanted;
  const both = intersection(permissionOfSession(session), permissionOfSession(wanted));
  return {
    ...wanted,
    scopes: both.scopes ?? null,
    methods: both.methods ?? null,
    paths: both.paths ?? null,
    tools: both.tools ?? null,
  };
}

/**
 * The audience that the sessions of this caller may have no tokens for; undefined: they may. The admin key names any. A session
 * makes tokens for the broker alone: it is nothing elsewhere, and makes nothing that is.
 */
export function missingAudience(
  { caller, session }: Principal,
  { audience }: AgentSessionRequest,
  publicUrl: string,
): string | undefined {
  if (audience === undefined) return undefined;
  const isAllowed = caller.id === ADMIN_ID || caller.audiences?.includes(audience) === true;
  return isAllowed && (session === undefined || audience === publicUrl) ? undefined : audience;
}
