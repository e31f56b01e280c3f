// Finishing a two-phase connect session: the caller says who is signed in, and the candidate becomes a connection.
import { hash } from 'node:crypto';
import type { Account } from '../../../domain/connection.ts';
import { Refusal, refuse } from '../../../domain/errors.ts';
import type { ConnectSession } from '../../../domain/integration.ts';
import { LOOKUP_RETRY_AFTER_S } from '../../../domain/time-limits.ts';
import { type Store, VaultError } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import { digest, isSameSecret } from '../../secrets/index.ts';
import { decryptCandidate } from '../received-grant/candidate.ts';
import { createGrantStorage, type GrantStorageParts, type StoredGrant } from '../received-grant/store-grant.ts';
import type { EndedCandidates } from './ended-candidates.ts';
import { deniedSession, seesSession } from './permitted-sessions.ts';

export interface FinishRequest {
  finishCode: string;
  /** Who is signed in, in the words of the calling system. */
  owner: string;
  /** RFC 7636 4.5. */
  codeVerifier?: string | undefined;
}

export interface FinishedSession {
  connectionId: string;
  account: Account | null;
}

/** The third wrong code or verifier ends the session. */
const MAX_WRONG_ATTEMPTS = 3;

export interface FinishParts extends GrantStorageParts {
  store: GrantStorageParts['store'] & Pick<Store, 'session' | 'candidate' | 'countWrongAttempt' | 'endSession'>;
  access: Access;
}

export function createFinishSession(parts: FinishParts & { endedCandidates: Pick<EndedCandidates, 'destroy'> }) {
  const { store, vault, targets, access, telemetry, clock, log, endedCandidates } = parts;
  const storeGrant = createGrantStorage(parts);

  /** Ends the session, and destroys its candidate now rather than at the next round of housekeeping. */
  async function burn(call: Call, session: ConnectSession, error: string): Promise<void> {
    const by = access.record(call, 'connect_session.finish_refused', subjectOf(session, error));
    if (!(await store.endSession(session.id, { status: 'failed', error }, by))) return;
    telemetry.connect(session.integration, error);
    await endedCandidates.destroy(session.id);
  }

  async function wrong(
    call: Call,
    session: ConnectSession,
    code: 'invalid_finish_code' | 'invalid_code_verifier',
  ): Promise<Refusal> {
    const by = access.record(call, 'connect_session.finish_refused', subjectOf(session, code));
    const attempts = await store.countWrongAttempt(session.id, MAX_WRONG_ATTEMPTS, code, by);
    if (attempts === MAX_WRONG_ATTEMPTS) {
      telemetry.connect(session.integration, code);
      await endedCandidates.destroy(session.id);
    }
    const attemptsLeft = Math.max(0, MAX_WRONG_ATTEMPTS - (attempts ?? MAX_WRONG_ATTEMPTS));
    return refuse({ code, connect_session_id: session.id, attemptsLeft });
  }

  /** For a session that has ended, or been finished by this very code. */
  function alreadyOver(call: Call, session: ConnectSession, wanted: FinishRequest): FinishedSession | Refusal {
    const connect_session_id = session.id;
    const isLive = session.finishDigest !== null && session.expiresAt > clock.now();
    if (session.status !== 'completed' || session.connectionId === null || !isLive) {
      const status = session.status === 'failed' || session.status === 'cancelled' ? session.status : 'expired';
      return refuse({ code: 'session_expired', connect_session_id, status });
    }
    const isRight = isDigestOf(wanted.finishCode, session.finishDigest);
    if (!isRight) return refuse({ code: 'invalid_finish_code', connect_session_id, attemptsLeft: 0 });
    if (wanted.owner !== session.owner) {
      access.noteRefused(call, 'connect_session.finish_refused', subjectOf(session, 'owner_mismatch'));
      return refuse({ code: 'owner_mismatch', connect_session_id, isConnected: true });
    }
    if (!verifies(session, wanted.codeVerifier))
      return refuse({ code: 'invalid_code_verifier', connect_session_id, attemptsLeft: 0 });
    return { connectionId: session.connectionId, account: session.account };
  }

  async function finish(
    call: Call,
    session: ConnectSession,
    wanted: FinishRequest,
  ): Promise<FinishedSession | Refusal> {
    const { id, integration, owner } = session;
    if (session.status === 'pending' && session.expiresAt > clock.now())
      return refuse({ code: 'not_ready', connect_session_id: id });
    if (session.status !== 'awaiting_finish' || session.expiresAt <= clock.now())
      return alreadyOver(call, session, wanted);
    if (!isDigestOf(wanted.finishCode, session.finishDigest)) return wrong(call, session, 'invalid_finish_code');
    // Before the verifier: the right code in the session of another owner means that the link was opened by someone else.
    if (wanted.owner !== owner) {
      await burn(call, session, 'owner_mismatch');
      log.warn({ session: id, integration, request_id: call.requestId }, 'connect: finished by another owner, refused');
      return refuse({ code: 'owner_mismatch', connect_session_id: id, isConnected: false });
    }
    if (!verifies(session, wanted.codeVerifier)) return wrong(call, session, 'invalid_code_verifier');

    const found = await targets.find(integration);
    if (found instanceof Refusal) return found;
    const scopes = session.scopes ?? found.integration.scopes;
    const denied = access.denied(call, 'connections:write', integration, owner, undefined, { scopes });
    if (denied) return denied;
    const candidate = await store.candidate(id);
    if (!candidate) return again(call, id, wanted);
    let grant: ReturnType<typeof decryptCandidate>;
    try {
      grant = decryptCandidate(vault, session, candidate);
      // The digest in the row can be changed in the database, what is in the record cannot.
      if (!isDigestOf(grant.finishCode, session.finishDigest))
        throw new VaultError('not_openable', 'the finish code is not that of the candidate');
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      log.error({ err: error, session: id, integration }, 'connect: the candidate cannot be decrypted');
      await burn(call, session, 'candidate_unreadable');
      return refuse({ code: 'session_expired', connect_session_id: id, status: 'failed' });
    }
    const done = await storeGrant(session, found, grant, (action, connectionId) =>
      access.record(call, action, { integration, owner, connectionId, detail: id }),
    );
    return done.kind === 'stored'
      ? { connectionId: done.connection.id, account: done.connection.account }
      : notStored(call, session, wanted, done);
  }

  async function notStored(
    call: Call,
    session: ConnectSession,
    wanted: FinishRequest,
    done: Exclude<StoredGrant, { kind: 'stored' }>,
  ): Promise<FinishedSession | Refusal> {
    const { id, integration, connectionId } = session;
    switch (done.kind) {
      case 'session_over':
        return again(call, id, wanted);
      case 'refreshing': {
        const detail = 'a refresh that spends the refresh token of the connection is under way';
        return refuse({ code: 'provider_unavailable', integration, detail, retryAfter: LOOKUP_RETRY_AFTER_S });
      }
      case 'gone':
        await burn(call, session, 'connection_gone');
        if (connectionId === null) return refuse({ code: 'session_expired', connect_session_id: id, status: 'failed' });
        return refuse({ code: 'connection_revoked', connection_id: connectionId });
      // The connection has changed since the callback, where this was judged first.
      default:
        await burn(call, session, done.kind === 'other' ? 'identity_mismatch' : 'account_unknown');
        return refuse({ code: 'identity_mismatch', connection_id: done.existing.id });
    }
  }

  /** What has become of it: another finish, or its end, was faster. */
  async function again(call: Call, id: string, wanted: FinishRequest): Promise<FinishedSession | Refusal> {
    const session = await store.session(id);
    return session ? alreadyOver(call, session, wanted) : refuse({ code: 'not_found', what: 'connect session', id });
  }

  return async (call: Call, id: string, wanted: FinishRequest): Promise<FinishedSession | Refusal> => {
    const session = await store.session(id);
    if (!session || !seesSession(call, session)) return refuse({ code: 'not_found', what: 'connect session', id });
    const denied = deniedSession(access, call, session);
    if (denied) return denied;
    if (session.finish) return finish(call, session, wanted);
    return refuse({ code: 'invalid_request', detail: 'the connect session was created without "finish"' });
  };
}

const subjectOf = ({ id, integration, owner, connectionId }: ConnectSession, why: string) => ({
  integration,
  owner,
  connectionId,
  detail: `${id} ${why}`,
});

const isDigestOf = (secret: string, stored: string | null): boolean =>
  stored !== null && isSameSecret(digest(secret), stored);

/** RFC 7636 4.6. A verifier that nothing asked for is wrong too (OAuth 2.1, 4.1.3): the challenge may have been taken away. */
function verifies({ codeChallenge }: ConnectSession, verifier: string | undefined): boolean {
  if (codeChallenge === null || verifier === undefined) return codeChallenge === null && verifier === undefined;
  return isSameSecret(hash('sha256', verifier, 'base64url'), codeChallenge);
}
