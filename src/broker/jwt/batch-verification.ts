// Batch verification of JWTs: each on its own, so that an issuer that does not respond holds up no others.
import { withDeadline } from '../../domain/deadline.ts';
import { Refusal } from '../../domain/errors.ts';
import { JWT_BATCH_WAIT_MS } from '../../domain/time-limits.ts';
import type { JwtVerdict, JwtVerifier } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { denyVerification, type JwtVerification, type VerifyRequest } from './jwt-verification.ts';

export interface BatchVerification {
  /**
   * A verdict for each request, in the same order, as `JwtVerification` has it. What an issuer's keys did not arrive in time
   * for is `issuer_unavailable`. Rejects with `StoreError`.
   */
  verify(call: Call, requests: readonly VerifyRequest[]): Promise<JwtVerdict[] | Refusal>;
}

/** Verifications at a time, of the tokens of one issuer. */
const CONCURRENCY_PER_ISSUER = 8;
/** Tokens of all batches in one turn of the event loop: most are verified in it, and other requests do not wait for longer. */
const TOKENS_PER_TURN = 32;

interface Parts {
  verification: JwtVerification;
  verifier: Pick<JwtVerifier, 'claimedIssuer'>;
  access: Access;
}

export function createBatchVerification({ verification, verifier, access }: Parts): BatchVerification {
  const turns = createTurns(TOKENS_PER_TURN);
  return {
    async verify(call, requests) {
      const denied = denyVerification(access, call);
      if (denied) return denied;
      const verdicts: JwtVerdict[] = requests.map(() => ({ active: false, reason: 'issuer_unavailable' }));
      let isOpen = true;
      const work = async (indexes: Iterator<number>) => {
        for (let next = indexes.next(); !next.done; next = indexes.next()) {
          await turns.next();
          if (!isOpen) return;
          const verdict = await verification.verify(call, requests[next.value]!);
          // A late verdict must not change an answer that is being written.
          if (isOpen && !(verdict instanceof Refusal)) verdicts[next.value] = verdict;
        }
      };
      const byIssuer = Map.groupBy(requests.keys(), (i) => verifier.claimedIssuer(requests[i]!.token));
      const workers = [...byIssuer.values()].flatMap((group) => {
        const indexes = group.values();
        return Array.from({ length: Math.min(CONCURRENCY_PER_ISSUER, group.length) }, () => work(indexes));
      });
      await withDeadline(JWT_BATCH_WAIT_MS, Promise.all(workers), () => undefined);
      isOpen = false;
      return verdicts;
    },
  };
}

/** Of the event loop: `next` is fulfilled in one in which fewer than `most` were before it, first come, first served. */
function createTurns(most: number): { next(): Promise<void> } {
  let waiting: (() => void)[] = [];
  const turn = () => {
    const begun = waiting.slice(0, most);
    waiting = waiting.slice(most);
    if (waiting.length > 0) setImmediate(turn);
    for (const begin of begun) begin();
  };
  return {
    next: () =>
      new Promise((begin) => {
        if (waiting.push(begin) === 1) setImmediate(turn);
      }),
  };
}
