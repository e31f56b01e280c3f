// Presents callers, their keys and their agent sessions, without what authenticates them.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { CallerWithKeys } from '../../broker/callers/index.ts';
import { type AgentSession, statusOfSession } from '../../domain/agent-session.ts';
import type { CallerKey, Permission, Principal } from '../../domain/caller.ts';
import { time, timeOrNull } from './times.ts';

export const presentKey = (k: CallerKey) => ({
  id: k.id,
  prefix: k.prefix,
  created_at: time(k.createdAt),
  expires_at: timeOrNull(k.expiresAt),
  last_used_at: timeOrNull(k.lastUsedAt),
});

export const presentCaller = ({ caller, keys, warnings }: CallerWithKeys): z.infer<typeof api.CallerView> => ({
  id: caller.id,
  name: caller.name,
  grants: caller.permissions,
  workloads: caller.workloads.map(({ maxAge, ...same }) => ({
    ...same,
    ...(maxAge !== undefined && { max_age: maxAge }),
  })),
  rate_limit: caller.rateLimit,
  max_session_ttl: caller.maxSessionTtl ?? null,
  audiences: caller.audiences ?? null,
  keys: keys.map(presentKey),
  warnings,
  created_at: time(caller.createdAt),
});

const presentAgent = ({ agent }: Pick<AgentSession, 'agent'>) =>
  agent && { id: agent.id, name: agent.name, issuer: agent.issuer ?? null };

export const presentAgentSession = (s: AgentSession, now: number): z.infer<typeof api.AgentSessionView> => ({
  id: s.id,
  status: statusOfSession(s, now),
  owner: s.owner,
  integrations: s.integrations,
  actions: s.actions,
  scopes: s.scopes,
  methods: s.methods,
  paths: s.paths,
  tools: s.tools,
  purpose: s.purpose,
  actor: presentAgent(s),
  format: s.audience === null ? 'opaque' : 'jwt',
  audience: s.audience,
  max_uses: s.maxUses,
  uses: s.maxUses === null ? null : s.uses,
  caller_id: s.callerId,
  parent_id: s.parentId,
  created_at: time(s.createdAt),
  expires_at: time(s.expiresAt),
  last_used_at: timeOrNull(s.lastUsedAt),
  ended_at: timeOrNull(s.endedAt),
  end_reason: s.endReason,
});

/** Without those that nothing is left of. */
const grantsOf = (permissions: readonly Permission[]) =>
  permissions.filter(({ actions }) => actions.length > 0).map(({ tools: _, ...grant }) => grant);

export const presentWhoami = ({
  principal: { caller, credential: c, session, rateLimit },
  key,
}: {
  principal: Principal;
  key: CallerKey | null;
}): z.infer<typeof api.Whoami> => ({
  id: caller.id,
  name: caller.name,
  grants: grantsOf(caller.permissions),
  authenticated_by: session
    ? presentSessionOf(session, c.expiresAt ?? session.expiresAt)
    : c.kind === 'workload'
      ? { kind: 'workload', id: c.id, issuer: c.issuer, subject: c.subject, expires_at: time(c.expiresAt) }
      : { kind: 'key', id: c.id, prefix: key?.prefix ?? null, expires_at: timeOrNull(c.expiresAt) },
  rate_limit: rateLimit,
});

const presentSessionOf = ({ id, owner, purpose, agent, tools }: AgentSession, expiresAt: number) => ({
  kind: 'session' as const,
  ...{ id, owner, purpose, tools },
  actor: presentAgent({ agent }),
  expires_at: time(expiresAt),
});
