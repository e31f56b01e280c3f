// The attempts of one call: a token that the API rejects is renewed once, and what is safe to repeat is repeated where the caller
// asks for it. The first byte of a response ends them.
import { setTimeout as pause } from 'node:timers/promises';
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
import { headerOf } from '../../domain/proxied-headers.ts';
import { UPSTREAM_BACKOFF_MAX_MS, UPSTREAM_RETRY_AFTER_S } from '../../domain/time-limits.ts';
import {
  type Clock,
  type UpstreamClient,
  UpstreamError,
  type UpstreamRequest,
  type UpstreamResponse,
} from '../../ports/index.ts';
import type { Call } from '../audit/index.ts';
import type { ServedToken } from '../cache/index.ts';
import type { TokenReader, TokenUse } from '../tokens/index.ts';
import type { CallPreparation, PreparedCall } from './prepared-calls.ts';
import { GRANT_ENDED } from './running-calls.ts';
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
  ending: AbortController;
  onInterim: UpstreamRequest['onInterim'];
}

/** What came of it. */
export interface Outcome {
  result: UpstreamResponse | Refusal;
  attempts: number;
  /** The token was renewed, and the call could not be repeated: the caller may do that. */
  isTokenRenewed: boolean;
}

export interface Attempts {
  /** Rejects with `StoreError`, or with the error of a caller that breaks off. */
  run(attempted: Attempted): Promise<Outcome>;
}

interface Parts {
  upstream: Pick<UpstreamClient, 'send'>;
  reader: Pick<TokenReader, 'refresh'>;
  preparation: CallPreparation;
  builder: RequestBuilder;
  dpop: DpopSigner;
  clock: Pick<Clock, 'now'>;
  random: () => number;
}

export function createAttempts({ upstream, reader, preparation, builder, dpop, clock, random }: Parts): Attempts {
  async function sendOnce({
    outgoing,
    prepared,
    served,
    ending,
    onInterim,
  }: Attempted): Promise<UpstreamResponse | UpstreamError | Refusal> {
    const built = builder.build(outgoing, prepared, served);
    const request = built instanceof Promise ? await built : built;
    if (request instanceof Refusal) return request;
    try {
      const response = await upstream.send({ ...request, signal: ending.signal, onInterim });
      const nonce = prepared.attachment.kind === 'dpop' ? headerOf(response.headers, 'dpop-nonce') : undefined;
      if (nonce !== undefined) dpop.noteNonce(request.origin, nonce);
      return response;
    } catch (error) {
      if (error instanceof UpstreamError) return error;
      throw error;
    }
  }

  /** Another token than the rejected one; a refusal that ends the call; undefined: there is none now. */
  async function renewed({ call, use, served }: Attempted): Promise<ServedToken | Refusal | undefined> {
    const fresh = await reader.refresh(call, served.connection.id, served.accessToken, { ...use, audit: null });
    if (!(fresh instanceof Refusal)) return fresh;
    const { fault } = fresh;
    const isEnd =
      fault.code === 'connection_revoked' ||
      fault.code === 'connection_on_hold' ||
      (fault.code === 'reauthorization_required' && fault.reason !== 'not_refreshable');
    return isEnd ? fresh : undefined;
  }

  /** Ms before the next attempt; undefined: there is none. */
  function nextIn(
    { outgoing, prepared, retries, maxWaitMs }: Attempted,
    tried: number,
    sent: UpstreamResponse | UpstreamError,
  ): number | undefined {
    const { method, headers, body } = outgoing;
    const { idempotencyHeader } = prepared;
    const hasKey = idempotencyHeader !== undefined && headerOf(headers, idempotencyHeader) !== undefined;
    if (tried > Math.min(retries, MAX_RETRIES) || !isRepeatable(method, hasKey) || !body.canRepeat()) return undefined;
    if (sent instanceof UpstreamError) return sent.phase === 'connect' ? backoffMs(tried, random) : undefined;
    if (!isRetriedStatus(sent.status)) return undefined;
    const asked = retryAfterMs(headerOf(sent.headers, 'retry-after'), clock.now());
    if (asked === undefined) return backoffMs(tried, random);
    return asked <= Math.max(UPSTREAM_BACKOFF_MAX_MS, maxWaitMs) ? asked : undefined;
  }

  return {
    async run(attempted) {
      let now = attempted;
      let attempts = 0;
      let tried = 0;
      let isTokenRenewed = false;
      let hasNonce = false;
      let hasAskedForToken = false;
      const done = (result: UpstreamResponse | Refusal): Outcome => ({ result, attempts, isTokenRenewed });

      for (;;) {
        attempts++;
        const sent = await sendOnce(now);
        if (sent instanceof Refusal) return done(sent);
        const { body } = now.outgoing;

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
          if (rejectsToken(sent.status, challenge) && !hasAskedForToken) {
            hasAskedForToken = true;
            const fresh = await renewed(now);
            if (fresh instanceof Refusal) {
              sent.body.discard();
              return done(fresh);
            }
            isTokenRenewed = fresh !== undefined && !body.canRepeat();
            if (!fresh || isTokenRenewed) return done(sent);
            const prepared = await preparation.prepare(fresh, now.alias);
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

const ABORTED = new UpstreamError('the call was aborted', { phase: 'aborted', sent: false });

/** What the caller is told of a failure before the first byte. */
function refusalOf(error: UpstreamError, { served, ending }: Attempted): Refusal {
  const { id, integration } = served.connection;
  const detail = error.message;
  if (ending.signal.reason === GRANT_ENDED) return refuse({ code: 'connection_revoked', connection_id: id });
  if (error.phase === 'blocked') return refuse({ code: 'integration_misconfigured', integration, detail });
  if (error.phase === 'request') return refuse({ code: 'invalid_request', detail });
  if (error.isTimeout) return refuse({ code: 'upstream_timeout', integration, detail });
  return refuse({ code: 'upstream_unavailable', integration, detail, retryAfter: UPSTREAM_RETRY_AFTER_S });
}
