// Many JWTs in one request, each judged alone: those of an issuer that does not answer hold up no others.
import { Refusal } from '../../domain/errors.ts';
import { JWT_BATCH_WAIT_MS } from '../../domain/time-limits.ts';
import type { JwtVerdict, JwtVerifier } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { type JwtVerification, type VerifyRequest, verifyRefused } from './jwt-verification.ts';

/** Of one issuer at once. */
const LANES = 8;

export type BatchVerification = ReturnType<typeof createBatchVerification>;

interface Parts {
  verify: JwtVerification;
  verifier: Pick<JwtVerifier, 'claimedIssuer'>;
  access: Access;
  patienceMs?: number;
}

export function createBatchVerification({ verify, verifier, access, patienceMs = JWT_BATCH_WAIT_MS }: Parts) {
  return async function verifyBatch(call: Call, all: readonly VerifyRequest[]): Promise<JwtVerdict[] | Refusal> {
    const refusal = verifyRefused(access, call);
    if (refusal) return refusal;
    const verdicts: JwtVerdict[] = all.map(() => ({ active: false, reason: 'issuer_unavailable' }));
    let patient = true;
    const lane = async (indexes: Iterator<number>) => {
      for (let next = indexes.next(); patient && !next.done; next = indexes.next()) {
        const verdict = await verify(call, all[next.value]!);
        // What comes too late must not change an answer that is being written.
        if (patient && !(verdict instanceof Refusal)) verdicts[next.value] = verdict;
      }
    };
    const byIssuer = Map.groupBy(all.keys(), (i) => verifier.claimedIssuer(all[i]!.token));
    const lanes = [...byIssuer.values()].flatMap((group) => {
      const indexes = group.values();
      return Array.from({ length: Math.min(LANES, group.length) }, () => lane(indexes));
    });
    await within(patienceMs, Promise.all(lanes));
    patient = false;
    return verdicts;
  };
}

/** Fulfilled when the work is done or the time is over; rejects when the work does before that. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, over]).finally(() => clearTimeout(timer));
}
