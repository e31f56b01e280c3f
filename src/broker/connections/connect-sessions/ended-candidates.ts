// Candidates that no one will finish (burnt, expired, cancelled): revoked upstream through the outbox, and destroyed.
import { Refusal } from '../../../domain/errors.ts';
import { parseStoredCredentials } from '../../../domain/imported-credentials.ts';
import type { Candidate, ConnectSession } from '../../../domain/integration.ts';
import { targetAt } from '../../../domain/target.ts';
import { type Logger, type PendingRevocation, type Store, StoreError } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { Targets } from '../../integrations/index.ts';
import { decryptCandidate } from '../received-grant/candidate.ts';
import { type RevokeObtainedParts, revocationOf } from '../upstream-revocation/obtained-grant.ts';

const BATCH = 100;

export interface EndedCandidates {
  /** The candidate of a session that has ended. Never rejects: what fails is tried again by `destroyAll`. */
  destroy(sessionId: string): Promise<void>;
  /** All of them. Rejects with `StoreError`. */
  destroyAll(): Promise<void>;
}

export interface EndedCandidatesParts extends RevokeObtainedParts {
  store: RevokeObtainedParts['store'] & Pick<Store, 'session' | 'candidate' | 'endedCandidates' | 'destroyCandidate'>;
  targets: Targets;
  access: Pick<Access, 'recordSystem'>;
  log: Logger;
}

export function createEndedCandidates(parts: EndedCandidatesParts): EndedCandidates {
  const { store, vault, targets, access, clock, log } = parts;

  async function destroy(session: ConnectSession, candidate: Candidate): Promise<void> {
    const { id, integration, owner, connectionId } = session;
    const revocation = await revocationFor(session, candidate);
    const why = session.error ?? (session.status === 'awaiting_finish' ? 'expired' : session.status);
    const subject = { integration, owner, connectionId, detail: `${id} ${why}` };
    const by = access.recordSystem('connect_session.candidate_destroyed', subject);
    if (await store.destroyCandidate(id, clock.now(), revocation, by))
      log.info({ session: id, integration, why, revoked: revocation !== null }, 'connect: candidate destroyed');
  }

  /** Null: nothing can be revoked, which keeps no candidate from being destroyed. Rejects with `StoreError`. */
  async function revocationFor(session: ConnectSession, candidate: Candidate): Promise<PendingRevocation | null> {
    const { id, integration, owner, label } = session;
    const found = await targets.find(integration);
    try {
      if (found instanceof Refusal) throw new Error(found.fault.code);
      const { received, params } = decryptCandidate(vault, session, candidate);
      const { source } = parseStoredCredentials(received.credentials.credentials);
      const target = targetAt(targets.targetOf(found, { params, captured: received.captured }), source);
      return await revocationOf(parts, target, { integration, owner, label, params }, received);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      log.warn({ err: error, session: id, integration }, 'connect: the tokens of a candidate cannot be revoked');
      return null;
    }
  }

  return {
    async destroy(sessionId) {
      try {
        const [session, candidate] = await Promise.all([store.session(sessionId), store.candidate(sessionId)]);
        if (session && candidate) await destroy(session, candidate);
      } catch (error) {
        log.warn({ err: error, session: sessionId }, 'connect: destroying a candidate failed, will retry');
      }
    },
    async destroyAll() {
      // The rest in the next round.
      for (const { session, candidate } of await store.endedCandidates(clock.now(), BATCH))
        await destroy(session, candidate);
    },
  };
}
