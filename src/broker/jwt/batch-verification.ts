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

interface Parts {
  verification: JwtVerification;
  verifier: Pick<JwtVerifier, 'claimedIssuer'>;
  access: Access;
}

export function createBatchVerification({ verification, verifier, access }: Parts): BatchVerification {
  return {
    async verify(call, requests) {
      const denied = denyVerification(access, call);
      if (denied) return denied;
      const verdicts: JwtVerdict[] = requests.map(() => ({ active: false, reason: 'issuer_unavailable' }));
      let isOpen = true;
      const work = async (indexes: Iterator<number>) => {
        for (let next = indexes.next(); isOpen && !next.done; next = indexes.next()) {
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
