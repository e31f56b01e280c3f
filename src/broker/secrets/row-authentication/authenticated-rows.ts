// What is authenticated of a row: all that says who may do what, and where secrets are sent. New members of these types are
// covered unless they are listed here as what a broker changes later.
import type { AgentSession } from '../../../domain/agent-session.ts';
import type { Caller, CallerKey } from '../../../domain/caller.ts';
import type { ConsoleSession } from '../../../domain/console.ts';
import type { ConnectSession, Integration } from '../../../domain/integration.ts';
import type { Job } from '../../../domain/job.ts';
import type { AuthenticatedRow, IntegrationSettings, ReauthenticatedTable } from '../../../ports/index.ts';

/** Without its secrets, which are encrypted for this row, and without what the store counts and keeps by itself. */
export function integrationRow(integration: Integration | IntegrationSettings): AuthenticatedRow<ReauthenticatedTable> {
  const { id, clientSecret: _s, privateKey: _k, createdAt: _c, updatedAt: _u, mac: _m, ...rest } = integration;
  const { version: _v, isAuthentic: _a, ...values } = rest as Partial<Integration>;
  return { table: 'integrations', id, values };
}

export function callerRow({ id, createdAt: _c, mac: _m, ...values }: Caller): AuthenticatedRow<ReauthenticatedTable> {
  return { table: 'callers', id, values };
}

/** By its digest: a declared key keeps the id under which it was first stored. */
export const callerKeyRow = ({ callerId, digest, expiresAt }: CallerKey): AuthenticatedRow<ReauthenticatedTable> => ({
  table: 'caller_keys',
  id: digest,
  values: { callerId, expiresAt },
});

/** While it is open (`isOpen`). `connectionId` is then the connection to renew. */
export function sessionRow(session: ConnectSession): AuthenticatedRow<ReauthenticatedTable> {
  const { id, status: _s, error: _e, browserDigest: _b, expiresAt: _x, account: _a, mac: _m, ...rest } = session;
  const { finishDigest: _f, wrongAttempts: _w, pageError: _p, ...values } = rest;
  return { table: 'connect_sessions', id, values };
}

/** By its digest, so that a row cannot be given to another browser. */
export function consoleSessionRow({ digest, lastSeenAt: _l, mac: _m, ...values }: ConsoleSession): AuthenticatedRow {
  return { table: 'console_sessions', id: digest, values };
}

/** By its digest, so that a row cannot be given to another token. That it has ended is not covered: nothing makes it last again. */
export function agentSessionRow({ id, digest, ...session }: AgentSession): AuthenticatedRow {
  const { uses: _u, lastUsedAt: _l, endedAt: _e, endReason: _r, mac: _m, ...values } = session;
  return { table: 'agent_sessions', id: digest, values: { ...values, id } };
}

/** What it is to do, and for whom. While it has not ended. */
export const jobRow = ({ id, kind, input, actor, callerId }: Job): AuthenticatedRow<ReauthenticatedTable> => ({
  table: 'jobs',
  id,
  values: { kind, input, actor, callerId },
});

/** Something may still become of it. */
export const isOpen = ({ status }: Pick<ConnectSession, 'status'>): boolean =>
  status === 'pending' || status === 'awaiting_finish';
