// The last step of the connect flow: the token response becomes a connection, or a candidate that waits for its finish.

import { isOtherAccount, toldAccount } from '../../../domain/account.ts';
import { parseStoredCredentials, withDpopKey, withSource } from '../../../domain/imported-credentials.ts';
import type { ConnectSession, Flow } from '../../../domain/integration.ts';
import { targetAt } from '../../../domain/target.ts';
import { FINISH_TTL_MS } from '../../../domain/time-limits.ts';
import type { TokenResponse } from '../../../ports/index.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { digest, newSecret } from '../../secrets/index.ts';
import { encryptCandidate } from '../received-grant/candidate.ts';
import type { ReceivedCredentials } from '../received-grant/new-connection.ts';
import { compareAccounts, type RenewalVerdict } from '../received-grant/renewal.ts';
import { createGrantStorage, existingFor, isGone, type ReceivedGrant } from '../received-grant/store-grant.ts';
import { revokeObtained } from '../upstream-revocation/obtained-grant.ts';
import {
  type BrowserError,
  type BrowserRequest,
  type ConnectStep,
  type FlowParts,
  fail,
  origin,
  refused,
  returnTo,
} from './steps.ts';

/** What a grant came to, of the code flow or of credentials that were entered. */
export type Concluded =
  | ConnectStep
  /** It is of another account than the connection, or that is not known: nothing was stored. */
  | { kind: 'not_stored'; why: Exclude<RenewalVerdict, 'same'> | 'refreshing' };

export interface Complete {
  ofCode(
    session: ConnectSession,
    flow: Flow,
    resolved: ResolvedIntegration,
    answer: TokenResponse,
    request: BrowserRequest,
  ): Promise<ConnectStep>;
  /** Leaves the session open where nothing was stored. */
  conclude(
    session: ConnectSession,
    resolved: ResolvedIntegration,
    grant: ReceivedGrant,
    request: BrowserRequest,
  ): Promise<Concluded>;
}

export function createComplete(parts: FlowParts): Complete {
  const { store, vault, targets, access, clock, log } = parts;
  const storeGrant = createGrantStorage(parts);

  return {
    async ofCode(session, flow, resolved, answer, request) {
      const { name } = resolved.provider;
      const now = clock.now();
      const grant = { received: receivedFrom(answer, session, flow, now), params: flow.params, receivedAt: now };
      if (answer.unconfirmed?.outcome === 'fail') {
        await revoke(session, resolved, grant);
        return fail(parts, session, request, name, 'invalid_answer');
      }
      const done = await conclude(session, resolved, grant, request);
      if (done.kind !== 'not_stored') return done;
      if (done.why !== 'other') return fail(parts, session, request, name, WHY_REFUSED[done.why]);
      await revoke(session, resolved, grant);
      return fail(parts, session, request, name, 'identity_mismatch');
    },
    conclude,
  };

  async function conclude(
    session: ConnectSession,
    resolved: ResolvedIntegration,
    grant: ReceivedGrant,
    request: BrowserRequest,
  ): Promise<Concluded> {
    const { name } = resolved.provider;
    const done = session.finish
      ? await awaitFinish(session, resolved, grant, request)
      : await storeGrant(session, resolved, grant, (action, connectionId) => {
          const { integration, owner } = session;
          return access.recordBrowser(origin(request), action, { integration, owner, connectionId });
        });
    switch (done.kind) {
      case 'stored':
        if (session.returnUrl === null)
          return { kind: 'connected', provider: name, label: session.label, session: session.id };
        return returnTo(session, name, { status: 'success', connection_id: done.connection.id });
      case 'awaiting':
        return returnTo(session, name, { status: 'confirm', finish_code: done.finishCode });
      case 'session_over':
        return sessionOver(session, resolved, grant);
      case 'gone':
        return fail(parts, session, request, name, 'connection_gone');
      default:
        return { kind: 'not_stored', why: done.kind };
    }
  }

  async function sessionOver(
    session: ConnectSession,
    resolved: ResolvedIntegration,
    grant: ReceivedGrant,
  ): Promise<ConnectStep> {
    const now = await store.session(session.id);
    // Another window of this browser was faster: what is revoked of one of the two could end the other one.
    const isKept = now?.status === 'awaiting_finish' || now?.status === 'completed';
    if (!isKept || isOtherAccount(now.account, toldAccount(grant.received))) await revoke(session, resolved, grant);
    // callback.ts shows how the session has ended.
    return refused('invitation_used', resolved.provider.name);
  }

  /** The grant is not served before the caller has said who is signed in: who clicks need not be who made the link. */
  async function awaitFinish(
    session: ConnectSession,
    resolved: ResolvedIntegration,
    grant: ReceivedGrant,
    request: BrowserRequest,
  ): Promise<
    | { kind: 'awaiting'; finishCode: string }
    | { kind: Exclude<RenewalVerdict, 'same'> }
    | { kind: 'gone' | 'session_over' }
  > {
    const { id, integration, owner, connectionId } = session;
    const { received, params, receivedAt } = grant;
    const existing = await existingFor(store, session);
    if (isGone(session, existing)) return { kind: 'gone' };
    const { values } = targets.targetOf(resolved, { params, captured: received.captured });
    const verdict = existing ? compareAccounts(existing, resolved.auth, values, received) : 'same';
    if (verdict !== 'same') return { kind: verdict };
    const finishCode = newSecret();
    const candidate = encryptCandidate(vault, session, { ...grant, finishCode });
    const until = {
      finishDigest: digest(finishCode),
      expiresAt: receivedAt + FINISH_TTL_MS,
      account: toldAccount(received),
    };
    const subject = { integration, owner, connectionId, detail: id };
    const by = access.recordBrowser(origin(request), 'connect_session.awaiting_finish', subject);
    if ((await store.awaitFinish(candidate, until, by, resolved.integration)) === 'session_over')
      return { kind: 'session_over' };
    log.info({ session: id, integration, request_id: request.requestId }, 'connect: waiting for the finish');
    return { kind: 'awaiting', finishCode };
  }

  /** Best effort: nothing of it is kept. */
  async function revoke(
    { integration, owner, label }: ConnectSession,
    resolved: ResolvedIntegration,
    { received, params }: ReceivedGrant,
  ): Promise<void> {
    const target = targetAt(
      targets.targetOf(resolved, { params, captured: received.captured }),
      parseStoredCredentials(received.credentials.credentials).source,
    );
    await revokeObtained(parts, resolved, target, { integration, owner, label, params }, received);
  }
}

const WHY_REFUSED = {
  unavailable: 'provider_unavailable',
  untold: 'account_unknown',
  refreshing: 'provider_unavailable',
} as const satisfies Record<string, BrowserError>;

function receivedFrom(answer: TokenResponse, session: ConnectSession, flow: Flow, now: number): ReceivedCredentials {
  return {
    credentials: {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken ?? null,
      idToken: answer.idToken ?? null,
      credentials: withSource(withDpopKey(null, answer.dpopKey), answer.source),
    },
    tokenType: answer.tokenType,
    scopes: answer.scopes ?? flow.scopes,
    expiresAt: answer.expiresIn === undefined ? null : Math.floor(now + answer.expiresIn * 1_000),
    idleIn: answer.idleIn,
    endsIn: answer.endsIn,
    refreshExpiresIn: answer.refreshExpiresIn,
    captured: answer.captured,
    identity: answer.identity ?? null,
    account: answer.account ?? null,
    replacesScopes: session.replaceScopes === true,
  };
}
