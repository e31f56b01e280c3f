// Guarded calls: each waits for the limits of its API, passes the breaker of its host, and tells both what came of it.
import { Refusal, refuse } from '../../../domain/errors.ts';
import type { Integration } from '../../../domain/integration.ts';
import { bodyTells, type LimitReading, readLimit } from '../../../domain/limit-reading.ts';
import { headerFields } from '../../../domain/limit-values.ts';
import {
  type Clock,
  type UpstreamClient,
  UpstreamError,
  type UpstreamRequest,
  type UpstreamResponse,
} from '../../../ports/index.ts';
import type { UpstreamBreakers, UpstreamOutcome } from '../breaker/index.ts';
import type { AdmitOptions, LimitPermit, LimitPlace, UpstreamLimits } from '../limits/index.ts';
import { peekBody } from './peeked-body.ts';

export interface GuardedPlace extends LimitPlace {
  integration: LimitPlace['integration'] & Pick<Integration, 'version' | 'createdAt'>;
  host: string;
}

/** An answer, and what it says of limits. */
export interface GuardedResponse {
  response: UpstreamResponse;
  reading: LimitReading;
  /** What its caller is told instead, where it is a refusal because of a limit. */
  limited: Refusal | undefined;
}

/** A call that may be made. One of both is called, once. */
export interface GuardedCall {
  /** Resolves with a refusal when the host's breaker has opened meanwhile. Never rejects with an `UpstreamError`. */
  send(request: UpstreamRequest): Promise<GuardedResponse | UpstreamError | Refusal>;
  /** It is not sent after all. */
  cancel(): void;
}

export interface CallGuard {
  /** Waits as `UpstreamLimits.admit` does. Refuses at once while the host's breaker is open. */
  enter(place: GuardedPlace, options: AdmitOptions): GuardedCall | Refusal | Promise<GuardedCall | Refusal>;
}

/** An answer that is a limit is shorter. */
const MAX_PEEKED = 16 * 1_024;
const READABLE = /^(?:application|text)\/(?:[^;]*\+)?(?:json|javascript|xml|plain)\b/i;

interface Parts {
  upstream: Pick<UpstreamClient, 'send'>;
  limits: Pick<UpstreamLimits, 'admit'>;
  breakers: Pick<UpstreamBreakers, 'blocked' | 'admit'>;
  clock: Pick<Clock, 'now'>;
}

export function createCallGuard({ upstream, limits, breakers, clock }: Parts): CallGuard {
  const readHead = ({ limits }: GuardedPlace, response: UpstreamResponse, body?: string) => ({
    response,
    reading: readLimit(limits, { status: response.status, headers: response.headers, body, now: clock.now() }),
  });

  async function readWhole(place: GuardedPlace, response: UpstreamResponse) {
    const fields = headerFields(response.headers);
    const isReadable =
      isShort(fields.lines('content-length')[0]) && READABLE.test(fields.lines('content-type')[0] ?? '');
    const coding = fields.list('content-encoding');
    const peeked = isReadable ? await peekBody(response.body, MAX_PEEKED, coding) : undefined;
    return readHead(place, peeked ? { ...response, body: peeked.body } : response, peeked?.text);
  }

  const guarded = (place: GuardedPlace, permit: LimitPermit): GuardedCall => ({
    cancel: () => permit.release(),
    async send(request) {
      const breaker = breakers.admit(place);
      if (breaker instanceof Refusal) {
        permit.release();
        return breaker;
      }
      let outcome: UpstreamOutcome | undefined;
      try {
        const answered = await upstream.send(request);
        const isRead = bodyTells(place.limits, answered.status);
        const { response, reading } = isRead ? await readWhole(place, answered) : readHead(place, answered);
        outcome = response.status >= 500 && !reading.isLimited ? 'failed' : 'ok';
        permit.learn(reading);
        // Its place is free when the body has ended, however.
        response.body.onEnd(permit.release);
        return { response, reading, limited: limitedBy(place, permit, response, reading) };
      } catch (error) {
        permit.release();
        if (!(error instanceof UpstreamError)) throw error;
        outcome = outcomeOf(error);
        return error;
      } finally {
        breaker.release(outcome);
      }
    },
  });

  return {
    enter(place, options) {
      const down = breakers.blocked(place);
      if (down) return down;
      const admitted = limits.admit(place, options);
      const enter = (permit: LimitPermit | Refusal) => (permit instanceof Refusal ? permit : guarded(place, permit));
      return admitted instanceof Promise ? admitted.then(enter) : enter(admitted);
    },
  };
}

const isShort = (length: string | undefined): boolean => length === undefined || Number(length) <= MAX_PEEKED;

/** Told with a status of success, it is passed on. */
function limitedBy(
  { integration }: GuardedPlace,
  permit: LimitPermit,
  response: UpstreamResponse,
  reading: LimitReading,
): Refusal | undefined {
  if (!reading.isLimited || response.status < 400) return undefined;
  const retryAfter = Math.ceil(reading.waitMs / 1_000);
  return refuse({
    code: 'upstream_rate_limited',
    integration: integration.id,
    scope: permit.scopeOf(reading),
    retryAfter,
  });
}

/** What a failure says of its host. */
function outcomeOf({ phase }: UpstreamError): UpstreamOutcome | undefined {
  return phase === 'aborted' || phase === 'blocked' || phase === 'request' ? undefined : 'failed';
}
