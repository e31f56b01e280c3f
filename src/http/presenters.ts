// Presenters: from domain objects to the JSON of the API, with public names and RFC 3339 times, without secrets.
import type { z } from '@hono/zod-openapi';
import type * as api from '../api/index.ts';
import type { ServedToken } from '../broker/cache/index.ts';
import type { CallerWithKeys } from '../broker/callers/index.ts';
import type { CheckedConnection, DescribedApi } from '../broker/proxy/index.ts';
import type { RedirectUriToRegister } from '../broker/resources/index.ts';
import type { Proof } from '../broker/tokens/index.ts';
import type { SignalView } from '../broker/webhooks/index.ts';
import { type AgentSession, statusOfSession } from '../domain/agent-session.ts';
import type { StoredAuditEntry } from '../domain/audit.ts';
import type { CallerKey, Permission, Principal } from '../domain/caller.ts';
import type { Connection } from '../domain/connection.ts';
import { type Explanation, explainEndpoint } from '../domain/explanation.ts';
import type { ConnectSession, Integration } from '../domain/integration.ts';
import type { Job, JobInput } from '../domain/job.ts';
import { missingScopes } from '../domain/missing-scopes.ts';
import { CLOCK_SKEW_MAX_MS } from '../domain/time-limits.ts';
import { LAST_TIME_MS } from '../domain/time-range.ts';
import type { Delivery, WebhookEndpoint } from '../domain/webhook-endpoint.ts';
import type { Clock, ResourceChallenge } from '../ports/index.ts';

type View<T extends z.ZodType> = z.infer<T>;

/** What lies beyond RFC 3339, such as the `exp` of a workload's token, is shown as its last time. */
export const time = (ms: number): string => new Date(Math.min(ms, LAST_TIME_MS)).toISOString();
export const timeOrNull = (ms: number | null): string | null => (ms === null ? null : time(ms));
const labelOrNull = (label: string): string | null => (label === '' ? null : label);

/** Seconds until it expires, and when, in ms since the epoch; null: never. */
export interface Expiry {
  in: number | null;
  at: number | null;
}

/**
 * The two never contradict each other. Of a wall clock that was set, the earlier end counts: it is not known which of the
 * two was right.
 */
export function expiryOf({ connection: { expiresAt }, until }: ServedToken, clock: Clock): Expiry {
  if (expiresAt === null) return { in: null, at: null };
  const now = clock.now();
  const left = until - clock.monotonic();
  return {
    in: Math.max(0, Math.floor(Math.min(left, expiresAt - now) / 1_000)),
    at: expiresAt - now - left > CLOCK_SKEW_MAX_MS ? Math.round(now + left) : expiresAt,
  };
}

/** `requested`: the scopes that the integration asks for. All members but `expires_in`. They stay the same for as long as the token does, unless the wall clock is set back. */
export const tokenFacts = (
  { connection: c, accessToken }: ServedToken,
  expiresAt: number | null,
  requested: readonly string[],
) => ({
  connection_id: c.id,
  integration: c.integration,
  owner: c.owner,
  access_token: accessToken,
  token_type: c.tokenType,
  scopes: c.scopes,
  missing_scopes: missingScopes(requested, c.scopes),
  expires_at: timeOrNull(expiresAt),
});

export function presentToken(
  served: ServedToken,
  requested: readonly string[],
  clock: Clock,
): View<typeof api.TokenView> {
  const expiry = expiryOf(served, clock);
  return { ...tokenFacts(served, expiry.at, requested), expires_in: expiry.in };
}

export const presentProof = ({ proof, served }: Proof, clock: Clock): View<typeof api.ProofView> => ({
  proof,
  access_token: served.accessToken,
  token_type: served.connection.tokenType,
  expires_in: expiryOf(served, clock).in,
});

export function presentConnection(c: Connection, requested: readonly string[]): View<typeof api.ConnectionView> {
  const error = c.lastRefreshError;
  return {
    id: c.id,
    integration: c.integration,
    owner: c.owner,
    label: labelOrNull(c.label),
    status: c.status,
    reason: c.reason,
    scopes: c.scopes,
    missing_scopes: missingScopes(requested, c.scopes),
    metadata: c.metadata,
    captured: c.captured,
    account: c.account,
    expires_at: timeOrNull(c.expiresAt),
    next_refresh_at: timeOrNull(c.nextRefreshAt),
    reauth_due_at: timeOrNull(c.reauthDueAt),
    last_refreshed_at: timeOrNull(c.lastRefreshedAt),
    last_refresh_error: error && { code: error.code, detail: error.detail, at: time(error.at) },
    last_checked_at: timeOrNull(c.lastCheckedAt),
    last_check_error: c.lastCheckError,
    generation: c.generation,
    upstream_revocation: c.upstreamRevocation,
    created_at: time(c.createdAt),
    updated_at: time(c.updatedAt),
  };
}

export const presentExplanation = ({
  summary,
  since,
  fixableBy,
  how,
  until,
}: Explanation): View<typeof api.ExplanationView> => ({
  summary,
  since: timeOrNull(since),
  fixable_by: fixableBy,
  how,
  until: timeOrNull(until),
});

export function presentConnectSession(s: ConnectSession): View<typeof api.SessionView> {
  return {
    id: s.id,
    status: s.status,
    integration: s.integration === '' ? null : s.integration,
    ...(s.integrations !== null && { integrations: s.integrations }),
    owner: s.owner,
    label: labelOrNull(s.label),
    finish: s.finish === true,
    display_owner: s.displayOwner,
    ...(s.connectionId !== null && { connection_id: s.connectionId }),
    // Of a candidate it is not told: who made the link need not be whose account it is.
    account: s.status === 'completed' ? s.account : null,
    ...(s.error !== null && { error: s.error }),
    created_at: time(s.createdAt),
    expires_at: time(s.expiresAt),
  };
}

const presentSignals = (view: SignalView): View<typeof api.SignalView> => ({
  url: view.url,
  logout_url: view.logoutUrl,
  issuer: view.issuer,
  jwks_uri: view.jwksUri,
  audience: view.audience,
  poll_url: view.pollUrl,
  token_set: view.tokenSet,
});

export function presentIntegration(
  i: Integration,
  webhook: View<typeof api.WebhookView> | null,
  signals: SignalView | null,
  redirectUri: RedirectUriToRegister,
): View<typeof api.IntegrationView> {
  return {
    id: i.id,
    provider: i.provider,
    client_id: i.clientId,
    client_secret_set: i.clientSecret !== null,
    private_key_set: i.privateKey !== null,
    key_id: i.keyId,
    certificate: i.certificate,
    scopes: i.scopes,
    params: i.params,
    overrides: Object.fromEntries(
      Object.entries(i.overrides).filter((pair): pair is [string, string] => pair[1] !== undefined),
    ),
    return_origins: i.returnOrigins,
    require_finish: i.requireFinish === true,
    rate: i.rate,
    theme: i.theme,
    webhook,
    redirect_uri: redirectUri.isPattern ? null : redirectUri.uri,
    redirect_uri_pattern: redirectUri.isPattern ? redirectUri.uri : null,
    signals: signals && presentSignals(signals),
    version: i.version,
    created_at: time(i.createdAt),
    updated_at: time(i.updatedAt),
  };
}

export const presentKey = (k: CallerKey) => ({
  id: k.id,
  prefix: k.prefix,
  created_at: time(k.createdAt),
  expires_at: timeOrNull(k.expiresAt),
  last_used_at: timeOrNull(k.lastUsedAt),
});

export const presentCaller = ({ caller, keys, warnings }: CallerWithKeys): View<typeof api.CallerView> => ({
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

export const presentAgentSession = (s: AgentSession, now: number): View<typeof api.AgentSessionView> => ({
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
  actor: s.agent,
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
}): View<typeof api.Whoami> => ({
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
  ...{ id, owner, purpose, actor: agent, tools },
  expires_at: time(expiresAt),
});

export const presentCheck = (check: CheckedConnection): View<typeof api.CheckView> => ({
  ok: check.ok,
  status: check.connection.status,
  reason: check.reason,
  account: check.account,
  upstream_status: check.upstreamStatus,
  retry_after: check.retryAfter,
  checked_at: time(check.checkedAt),
});

export const presentApi = (described: DescribedApi): View<typeof api.ApiDescriptionView> => ({
  connection_id: described.connectionId,
  integration: described.integration,
  provider: described.provider,
  base_url: described.baseUrl,
  other_hosts: described.otherHosts,
  pagination: described.pagination ?? null,
  idempotency: described.idempotency ?? null,
});

export const presentAuditEntry = (e: StoredAuditEntry): View<typeof api.AuditView> => ({
  id: e.id,
  at: time(e.at),
  action: e.action,
  outcome: e.outcome,
  actor: e.actor,
  key_id: e.keyId,
  subject: e.subject,
  integration: e.integration,
  owner: e.owner,
  connection_id: e.connectionId,
  address: e.address,
  request_id: e.requestId,
  client_request_id: e.clientRequestId,
  trace_id: e.traceId,
  detail: e.detail,
  changed: e.changed?.split(' ') ?? null,
  session: e.session,
  agent: e.agentId === null ? null : { id: e.agentId, name: e.agentName },
  purpose: e.purpose,
  count: e.count,
});

const orNull = (explanation: Explanation | null) => explanation && presentExplanation(explanation);

export const presentWebhookEndpoint = (e: WebhookEndpoint): View<typeof api.EndpointView> => ({
  id: e.id,
  caller_id: e.callerId,
  url: e.url,
  types: e.types,
  integrations: e.integrations,
  owners: e.owners,
  ordered: e.ordered,
  description: e.description,
  headers_set: e.headers !== null,
  enabled: e.enabled,
  disabled_reason: e.disabledReason,
  failing_since: timeOrNull(e.failingSince),
  explanation: orNull(explainEndpoint(e)),
  previous_until: timeOrNull(e.previousUntil),
  created_at: time(e.createdAt),
  updated_at: time(e.updatedAt),
});

export const presentJob = ({ input, ...j }: Job): View<typeof api.JobView> => ({
  id: j.id,
  kind: j.kind,
  input: presentJobInput(input),
  status: j.status,
  done: j.done,
  total: j.total,
  counts: j.counts,
  attempts: j.attempts,
  last_error: j.lastError,
  next_attempt_at: j.attempts === 0 ? null : timeOrNull(j.nextAt),
  caller_id: j.callerId,
  created_at: time(j.createdAt),
  started_at: timeOrNull(j.startedAt),
  finished_at: timeOrNull(j.finishedAt),
});

function presentJobInput(input: JobInput): View<typeof api.JobView>['input'] {
  if (input.kind === 'keys.rotate') return { key: input.key };
  if (input.kind === 'connections.revoke') return { integration: input.integration, owner: input.owner };
  return { endpoint: input.endpoint, from: time(input.from), to: time(input.to), status: input.status };
}

export const presentDelivery = (d: Delivery): View<typeof api.DeliveryView> => ({
  id: d.id,
  event_id: d.eventId,
  endpoint_id: d.endpointId,
  connection_id: d.connectionId,
  status: d.status,
  attempts: d.attempts,
  next_attempt_at: timeOrNull(d.nextAt),
  last_attempt_at: timeOrNull(d.lastAttemptAt),
  last_status: d.lastStatus,
  last_error: d.lastError,
  created_at: time(d.createdAt),
  delivered_at: timeOrNull(d.deliveredAt),
});

/** A challenge, as a caller gives it. */
export const toChallenge = (given: z.infer<typeof api.Challenge> | undefined): ResourceChallenge | undefined =>
  given && { status: given.status, wwwAuthenticate: given.www_authenticate };
