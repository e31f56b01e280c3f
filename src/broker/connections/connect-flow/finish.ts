// The last step of the connect flow: the token response becomes a new connection, or renews one.
import { type Connection, type EncryptedCredentials, lifetime } from '../../../domain/connection.ts';
import { withDpopKey } from '../../../domain/imported-credentials.ts';
import type { ConnectSession, Flow } from '../../../domain/integration.ts';
import type { TokenResponse } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { encryptCredentials, newId } from '../../secrets/index.ts';
import { isDifferentIdentity, newConnection, type ReceivedCredentials, warnIfNotRenewable } from '../new-connection.ts';
import { revokeReplaced } from '../upstream-revocation/replaced-grant.ts';
import { type BrowserRequest, type ConnectStep, type FlowParts, fail, origin, refused, withQuery } from './steps.ts';

/** Other requests may create or revoke a connection with the same integration, owner and label meanwhile. */
const ATTEMPTS = 3;

export function createFinish(parts: FlowParts) {
  const { store, vault, targets, tokenCache, access, telemetry, clock, log } = parts;

  /** The live connection that the session renews: the one it names, or the one with its integration, owner and label. */
  async function existingFor(session: ConnectSession): Promise<Connection | undefined> {
    if (session.connectionId !== null) return store.connection(session.connectionId);
    const rows = await store.servedRowsByOwner(session.integration, session.owner, session.label);
    return rows.map((row) => row.connection).find((c) => c.status !== 'revoked');
  }

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
    const received = receivedFrom(answer, flow, now);
    for (let n = 0; n < ATTEMPTS; n++) {
      const existing = await existingFor(session);
      if (session.connectionId !== null && existing?.status !== 'active' && existing?.status !== 'needs_reauth') break;
      if (isDifferentIdentity(existing?.identity, received.identity)) {
        return fail(parts, session, request, name, 'identity_mismatch');
      }
      const id = existing?.id ?? newId('con', now);
      const metadata = session.metadata ?? existing?.metadata ?? {};
      const place = { integration, owner, label, params: flow.params, metadata };
      const connection = newConnection(id, place, auth, received, now, existing);
      const encrypted = encryptCredentials(vault, id, received.credentials);
      const action = existing ? 'connection.renewed' : 'connection.created';
      const by = access.recordBrowser(origin(request), action, { integration, owner, connectionId: id });
      const replaced = existing && (await store.storedCredentials(id));
      const done = existing
        ? await store.renewConnection(connection, encrypted, session.id, by)
        : await store.addConnection(connection, encrypted, session.id, by);
      if (done === 'session_over') return refused('invitation_used', name);
      if (done === 'gone' || (typeof done === 'object' && 'exists' in done)) continue;

      tokenCache.invalidate(connection, done === 'added' ? connection.generation : done.generation);
      if (replaced) await revokeEarlier(resolved, connection, replaced, received);
      telemetry.connect(integration, 'ok');
      log.info(
        { connection: id, integration, action, lifetime_ms: lifetime(connection) },
        'connect: connection stored',
      );
      warnIfNotRenewable(log, connection, auth, received.credentials);
      if (session.returnUrl === null) return { kind: 'connected', provider: name, label };
      const url = withQuery(session.returnUrl, { status: 'success', connection_id: id });
      return { kind: 'redirect', provider: name, url };
    }
    return fail(parts, session, request, name, 'connection_gone');
  };
}

function receivedFrom(answer: TokenResponse, flow: Flow, now: number): ReceivedCredentials {
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
  };
}
