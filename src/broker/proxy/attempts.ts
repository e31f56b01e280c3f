// The attempts of one call: a token that the API rejects is renewed once, and what is safe to repeat is repeated where the caller
// asks for it. Each waits for the limits of the API. The first byte of a response ends them.
import { setTimeout as pause } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import {
  backoffMs,
  isRepeatable,
  isRetriedStatus,
  MAX_RETRIES,
  rejectsToken,
  retryAfterMs,
  wantsNonce,
} from '../../domain/call-retry.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import { answeredAt, headerFields } from '../../domain/limit-values.ts';
import { headersWithoutSecrets } from '../../domain/proxied-credential.ts';
import { headerOf, isForwarded } from '../../domain/proxied-headers.ts';
import {
  UPSTREAM_BACKOFF_MAX_MS,
  UPSTREAM_RENEWAL_PAUSE_MS,
  UPSTREAM_RETRY_AFTER_S,
} from '../../domain/time-limits.ts';
import { type Clock, UpstreamError, type UpstreamRequest, type UpstreamResponse } from '../../ports/index.ts';
import type { Call } from '../audit/index.ts';
import type { ServedToken } from '../cache/index.ts';
import type { TokenReader, TokenUse } from '../tokens/index.ts';
import type { Recording } from './capture/index.ts';
import type { CallGuard, GuardedResponse } from './guard/guarded-calls.ts';
import { guardedPlace } from './guard/guarded-place.ts';
import type { CallPreparation, PreparedCall } from './prepared-calls.ts';
import { CALLER_ENDED, GRANT_ENDED } from './running-calls.ts';
import { builtOr } from './sending/built.ts';
import type { DpopSigner } from './sending/dpop.ts';
import type { Outgoing, RequestBuilder } from './sending/request.ts';

/** What is tried. */
export interface Attempted {
  call: Call;
  use: TokenUse;
  outgoing: Outgoing;
  served: ServedToken;
  prepared: PreparedCall;
  /** Of another host of the API. */
  alias: string | undefined;
  /** How often the caller would have it repeated. */
  retries: number;
  /** Ms that the caller would wait for a limit of the API. */
  maxWaitMs: number;
  /** It goes after others, and leaves a part of each limit to them. */
  isBackground: boolean;
  ending: AbortController;
  recording: Recording | undefined;
  onInterim: UpstreamRequest['onInterim'];
}

/** What came of it. */
export interface Outcome {
  result: UpstreamResponse | Refusal;
  attempts: number;
  /** The token was renewed, and the call could not be repeated: the caller may do that. */
  isTokenRenewed: boolean;
  /** The API has told of a limit, with a status of success. */
  isRateLimited: boolean;
  /** Of the credential and its proof that were sent last: they must not come back. */
  secrets: readonly string[];
}

export interface Attempts {
  /** Rejects with `StoreError`, or with the error of a caller that breaks off. */
  run(attempted: Attempted): Promise<Outcome>;
}

interface Parts {
  guard: CallGuard;
  reader: Pick<TokenReader, 'refresh'>;
  preparation: CallPreparation;
  builder: RequestBuilder;
  dpop: DpopSigner;
  clock: Clock;
  random: () => number;
}

export function createAttempts({ guard, reader, preparation, builder, dpop, clock, random }: Parts): Attempts {
  /** `maxWaitMs`: for the limits of the API. `onSend`: called just before the request is sent, with its secrets. */
  async function sendOnce(
    attempted: Attempted,
    maxWaitMs: number,
    onSend: (secrets: readonly string[]) => void,
  ): Promise<Sent | Refusal> {
    const { outgoing, prepared, served, isBackground, ending, recording } = attempted;
    const place = guardedPlace(prepared, served, attempted.call.principal.caller.id);
    const entering = guard.enter(place, { maxWaitMs, isBackground, signal: ending.signal });
    const guarded = entering instanceof Promise ? await entering : entering;
    if (guarded instanceof Refusal) return guarded;
    // Signatures and proofs have a time: they are made when the wait is over.
    const building = builtOr(guarded.cancel, () => builder.build(outgoing, prepared, served));
    const request = building instanceof Promise ? await building : building;
    if (request instanceof Refusal) return request;
    const secrets = request.proof === undefined ? prepared.secrets : [...prepared.secrets, request.proof];
    const onInterim = (status: number, headers: readonly string[]) =>
      attempted.onInterim?.(status, headersWithoutSecrets(headers, secrets));
    onSend(secrets);
    recording?.sent(request.headers, served, prepared);
    const sent = await guarded.send({ ...request, signal: ending.signal, onInterim });
    if (sent instanceof Refusal || sent instanceof UpstreamError) return sent;
    const { headers } = sent.response;
    const nonce = prepared.attachment.kind === 'dpop' ? headerOf(headers, 'dpop-nonce') : undefined;
    if (nonce !== undefined) dpop.noteNonce(request.origin, nonce);
    return sent;
  }

  /** Another token than the rejected one; a refusal that ends the call; undefined: there is none now. */
  async function renewed({ call, use, served }: Attempted): Promise<ServedToken | Refusal | undefined> {
    const why = { rejectedToken: served.accessToken };
    const fresh = await reader.refresh(call, served.connection.id, why, { ...use, audit: null });
    if (!(fresh instanceof Refusal)) return fresh;
    const { fault } = fresh;
    const isEnd =
      fault.code === 'connection_revoked' ||
      fault.code === 'connection_on_hold' ||
      (fault.code === 'reauthorization_required' && fault.reason !== 'not_refreshable');
    return isEnd ? fresh : undefined;
  }

  /** By connection: a renewed token that the API has not accepted yet, and until when (monotonic) none replaces it. */
  const unproven = new LRUCache<string, { generation: number; until: number }>(upTo(MAX_UNPROVEN));

  /**
   * Whether the rejected token has itself replaced a rejected one: an API that rejects both rejects the next one too, and must not
   * make every call a refresh.
   */
  function isUnproven({ connection: { id, generation } }: ServedToken): boolean {
    const known = unproven.size > 0 ? unproven.get(id) : undefined;
    return known?.generation === generation && clock.monotonic() < known.until;
  }

  function noteAccepted({ connection: { id, generation } }: ServedToken): void {
    if (unproven.size > 0 && unproven.get(id)?.generation === generation) unproven.delete(id);
  }

  /** Ms before the next attempt; undefined: there is none. */
  function nextIn(attempted: Attempted, tried: number, sent: UpstreamResponse | UpstreamError): number | undefined {
    const { retries, maxWaitMs } = attempted;
    if (tried > Math.min(retries, MAX_RETRIES) || !canRepeat(attempted)) return undefined;
    if (sent instanceof UpstreamError) return sent.phase === 'connect' ? backoffMs(tried, random) : undefined;
    if (!isRetriedStatus(sent.status)) return undefined;
    const at = answeredAt(headerFields(sent.headers), clock.now());
    const asked = retryAfterMs(headerOf(sent.headers, 'retry-after'), at);
    if (asked === undefined) return backoffMs(tried, random);
    return asked <= Math.max(UPSTREAM_BACKOFF_MAX_MS, maxWaitMs) ? asked : undefined;
  }

  return {
    async run(attempted) {
      let now = attempted;
      let attempts = 0;
      let secrets = attempted.prepared.secrets;
      let tried = 0;
      let isTokenRenewed = false;
      let hasNonce = false;
      let hasAskedForToken = false;
      let isRateLimited = false;
      const until = clock.monotonic() + attempted.maxWaitMs;
      const left = () => Math.max(0, until - clock.monotonic());
      /** For a limit that a retry waits for, whatever the caller would wait. */
      let retryWaitMs = 0;
      const done = (result: UpstreamResponse | Refusal): Outcome => ({
        result,
        attempts,
        isTokenRenewed,
        isRateLimited,
        secrets,
      });

      for (;;) {
        const guarded = await sendOnce(now, Math.max(left(), retryWaitMs), (sent) => {
          attempts++;
          secrets = sent;
        });
        if (guarded instanceof Refusal) return done(now.ending.signal.aborted ? refusalOf(ABORTED, now) : guarded);
        const { body } = now.outgoing;

        if (!(guarded instanceof UpstreamError) && guarded.limited) {
          const { waitMs } = guarded.reading;
          guarded.response.body.discard();
          const isRetry = waitMs > left();
          if (isRetry) tried++;
          const mayWait = isRetry ? tried <= now.retries && waitMs <= UPSTREAM_BACKOFF_MAX_MS : true;
          if (!mayWait || !canRepeat(now)) return done(guarded.limited);
          retryWaitMs = isRetry ? UPSTREAM_BACKOFF_MAX_MS : 0;
          continue;
        }
        const sent = guarded instanceof UpstreamError ? guarded : guarded.response;
        isRateLimited = !(guarded instanceof UpstreamError) && guarded.reading.isLimited;

        if (!(sent instanceof UpstreamError)) {
          const challenge = headerOf(sent.headers, 'www-authenticate');
          if (
            now.prepared.attachment.kind === 'dpop' &&
            !hasNonce &&
            wantsNonce(sent.status, challenge) &&
            body.canRepeat()
          ) {
            hasNonce = true;
            sent.body.discard();
            continue;
          }
          if (!rejectsToken(sent.status, challenge)) noteAccepted(now.served);
          else if (!hasAskedForToken && !isUnproven(now.served)) {
            hasAskedForToken = true;
            const fresh = await orDiscard(sent, () => renewed(now));
            if (fresh instanceof Refusal) {
              sent.body.discard();
              return done(fresh);
            }
            if (fresh) {
              const { id, generation } = fresh.connection;
              unproven.set(id, { generation, until: clock.monotonic() + UPSTREAM_RENEWAL_PAUSE_MS });
            }
            isTokenRenewed = fresh !== undefined && !body.canRepeat();
            if (!fresh || isTokenRenewed) return done(sent);
            const prepared = await orDiscard(sent, () => preparation.prepare(fresh, now.alias));
            sent.body.discard();
            if (prepared instanceof Refusal) return done(prepared);
            now = { ...now, served: fresh, prepared };
            continue;
          }
        }

        tried++;
        const wait = nextIn(now, tried, sent);
        if (wait === undefined) return done(sent instanceof UpstreamError ? refusalOf(sent, now) : sent);
        if (!(sent instanceof UpstreamError)) sent.body.discard();
        await pause(wait, undefined, { signal: now.ending.signal }).catch(() => undefined);
        if (now.ending.signal.aborted) return done(refusalOf(ABORTED, now));
      }
    },
  };
}

/** Connections whose API rejects what it is sent. */
const MAX_UNPROVEN = 10_000;

type Sent = GuardedResponse | UpstreamError;

/** Whether it may be sent twice, and can be. */
function canRepeat({ outgoing, prepared, use }: Attempted): boolean {
  const { method, path, headers, body } = outgoing;
  const { header, query } = prepared.idempotency;
  const hasKey =
    (header !== undefined && isForwarded(headers, header)) ||
    (query !== undefined && (new URLSearchParams(path.query).get(query) ?? '') !== '');
  return isRepeatable(use.proxied?.methods ?? [method], hasKey) && body.canRepeat();
}

/** A response that no one reads would keep its connection, and its place in the limits. */
async function orDiscard<T>({ body }: UpstreamResponse, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    body.discard();
    throw error;
  }
}

const ABORTED = new UpstreamError('the call was aborted', { phase: 'aborted', sent: false });

/** What the caller is told of a failure before the first byte. */
function refusalOf(error: UpstreamError, { served, ending }: Attempted): Refusal {
  const { id, integration } = served.connection;
  const detail = error.message;
  if (ending.signal.reason === GRANT_ENDED) return refuse({ code: 'connection_revoked', connection_id: id });
  if (ending.signal.reason === CALLER_ENDED) return refuse({ code: 'unauthenticated', reason: 'unknown' });
  if (error.phase === 'blocked') return refuse({ code: 'integration_misconfigured', integration, detail });
  if (error.phase === 'request') return refuse({ code: 'invalid_request', detail });
  if (error.isTimeout) return refuse({ code: 'upstream_timeout', integration, detail });
  return refuse({ code: 'upstream_unavailable', integration, detail, retryAfter: UPSTREAM_RETRY_AFTER_S });
}
