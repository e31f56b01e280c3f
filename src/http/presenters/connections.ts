// Presents connections, the sessions that make them, and what is found out about them.
import type { z } from '@hono/zod-openapi';
import type * as api from '../../api/index.ts';
import type { CheckedConnection, DescribedApi } from '../../broker/proxy/index.ts';
import type { Connection } from '../../domain/connection.ts';
import type { Explanation } from '../../domain/explanation.ts';
import type { ConnectSession } from '../../domain/integration.ts';
import { missingScopes } from '../../domain/missing-scopes.ts';
import { time, timeOrNull } from './times.ts';

const labelOrNull = (label: string): string | null => (label === '' ? null : label);

export function presentConnection(c: Connection, requested: readonly string[]): z.infer<typeof api.ConnectionView> {
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

export function presentConnectSession(s: ConnectSession): z.infer<typeof api.SessionView> {
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

export const presentExplanation = ({
  summary,
  since,
  fixableBy,
  how,
  until,
}: Explanation): z.infer<typeof api.ExplanationView> => ({
  summary,
  since: timeOrNull(since),
  fixable_by: fixableBy,
  how,
  until: timeOrNull(until),
});

export const presentCheck = (check: CheckedConnection): z.infer<typeof api.CheckView> => ({
  ok: check.ok,
  status: check.connection.status,
  reason: check.reason,
  account: check.account,
  upstream_status: check.upstreamStatus,
  retry_after: check.retryAfter,
  checked_at: time(check.checkedAt),
});

export const presentDescribedApi = (described: DescribedApi): z.infer<typeof api.ApiDescriptionView> => ({
  connection_id: described.connectionId,
  integration: described.integration,
  provider: described.provider,
  base_url: described.baseUrl,
  other_hosts: described.otherHosts,
  pagination: described.pagination ?? null,
  idempotency: described.idempotency ?? null,
});
