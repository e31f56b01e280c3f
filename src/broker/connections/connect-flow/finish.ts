// The last step of the connect flow: the token response becomes a new connection, or renews one.
import { setTimeout as pause } from 'node:timers/promises';
import { type Connection, type EncryptedCredentials, lifetime } from '../../../domain/connection.ts';
import { withDpopKey } from '../../../domain/imported-credentials.ts';
import type { ConnectSession, Flow } from '../../../domain/integration.ts';
import { RENEWAL_POLL_MS, RENEWAL_WAIT_MS } from '../../../domain/time-limits.ts';
import type { TokenResponse } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { encryptCredentials, newId } from '../../secrets/index.ts';
import { newConnection, type ReceivedCredentials, warnIfNotRenewable } from '../received-grant/new-connection.ts';
import {
  compareAccounts,
  keepsRefreshToken,
  type RenewalVerdict,
  renewedCredentials,
} from '../received-grant/renewal.ts';
import { revokeObtained } from '../upstream-revocation/obtained-grant.ts';
import { revokeReplaced } from '../upstream-revocation/replaced-grant.ts';
import {
  type BrowserError,
  type BrowserRequest,
  type ConnectStep,
  existingFor,
  type FlowParts,
  fail,
  origin,
  refused,
  withQuery,
} from './steps.ts';

/** Other requests may create or revoke a connection with the same integration, owner and label meanwhile. */
const ATTEMPTS = 3;
const REFRESH_POLLS = RENEWAL_WAIT_MS / RENEWAL_POLL_MS;

export function createFinish(parts: FlowParts) {
  const { store, vault, targets, tokenCache, access, telemetry, clock, log } = parts;

  /** Best effort: the connection is made. */
  async function revokeEarlier(
    resolved: ResolvedIntegration,
    connection: Connection,
    replaced: EncryptedCredentials,
    received: ReceivedCredentials,
  ): Promise<void> {
    try {
      const target = targets.targetOf(resolved, connection);
      await revokeReplaced(parts, target, connection, replaced, received.credentials);
    } catch (error) {
      log.warn({ err: error, connection: connection.id }, 'connect: the replaced tokens cannot be revoked');
    }
  }

  return async (
    session: ConnectSession,
    flow: Flow,
    resolved: ResolvedIntegration,
    answer: TokenResponse,
    request: BrowserRequest,
  ): Promise<ConnectStep> => {
    const { auth, provider } = resolved;
    const { name } = provider;
    const now = clock.now();
    const { integration, owner, label } = session;
    const received = receivedFrom(answer, session, flow, now);
    const target = targets.targetOf(resolved, { params: flow.params, captured: received.captured });
    let refreshing = 0;
    for (let n = 0; n < ATTEMPTS; n++) {
      const existing = await existingFor(store, session);
      if (session.connectionId !== null && existing?.status !== 'active' && existing?.status !== 'needs_reauth') break;
      const verdict = existing ? compareAccounts(existing, auth, target.values, received) : 'same';
      if (verdict === 'other')
        await revokeObtained(parts, target, { integration, owner, label, params: flow.params }, received);
      if (verdict !== 'same') return fail(parts, session, request, name, WHY_REFUSED[verdict]);
      const id = existing?.id ?? newId('con', now);
      const metadata = session.metadata ?? existing?.metadata ?? {};
      const place = { integration, owner, label, params: flow.params, metadata };
      const stored = existing && (await store.storedCredentials(id));
      const keeps = keepsRefreshToken(received, stored);
      const connection = newConnection(id, place, auth, received, now, existing, keeps);
      const encrypted = encryptCredentials(vault, connection, received.credentials);
      const action = existing ? 'connection.renewed' : 'connection.created';
      const by = access.recordBrowser(origin(request), action, { integration, owner, connectionId: id });
      const done = existing
        ? await store.renewConnection(connection, renewedCredentials(received, encrypted, stored), session.id, by)
        : await store.addConnection(connection, encrypted, session.id, by);
      if (done === 'session_over') return refused('invitation_used', name);
      if (done === 'refreshing') {
        // The refresh token that is kept is being spent, and its successor is the one to keep: without it the grant is lost.
        if (++refreshing > REFRESH_POLLS) return fail(parts, session, request, name, 'provider_unavailable');
        n--;
        await pause(RENEWAL_POLL_MS);
        continue;
      }
      if (done === 'gone' || (typeof done === 'object' && 'exists' in done)) continue;

      tokenCache.invalidate(connection, done === 'added' ? connection.generation : done.generation);
      if (stored) await revokeEarlier(resolved, connection, stored, received);
      telemetry.connect(integration, 'ok');
      log.info(
        { connection: id, integration, action, lifetime_ms: lifetime(connection), kept_refresh_token: keeps },
        'connect: connection stored',
      );
      if (!keeps) warnIfNotRenewable(log, connection, auth, received.credentials);
      if (session.returnUrl === null) return { kind: 'connected', provider: name, label };
      const url = withQuery(session.returnUrl, { status: 'success', connection_id: id });
      return { kind: 'redirect', provider: name, url };
    }
    return fail(parts, session, request, name, 'connection_gone');
  };
}

const WHY_REFUSED = {
  other: 'identity_mismatch',
  unavailable: 'provider_unavailable',
  untold: 'account_unknown',
} as const satisfies Record<Exclude<RenewalVerdict, 'same'>, BrowserError>;

function receivedFrom(answer: TokenResponse, session: ConnectSession, flow: Flow, now: number): ReceivedCredentials {
  return {
    credentials: {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken ?? null,
      idToken: answer.idToken ?? null,
      credentials: withDpopKey(null, answer.dpopKey),
    },
    tokenType: answer.tokenType,
    scopes: answer.scopes ?? flow.scopes,
    expiresAt: answer.expiresIn === undefined ? null : now + answer.expiresIn * 1_000,
    idleIn: answer.idleIn,
    endsIn: answer.endsIn,
    refreshExpiresIn: answer.refreshExpiresIn,
    captured: answer.captured,
    identity: answer.identity ?? null,
    account: answer.account ?? null,
    replacesScopes: session.replaceScopes === true,
  };
}
