// Sends the call that checks a token, and reads its answer.
import { wantsNonce } from '../../../domain/call-retry.ts';
import { Refusal, refuse } from '../../../domain/errors.ts';
import { headerOf } from '../../../domain/proxied-headers.ts';
import { PathFault, readRequestPath } from '../../../domain/request-path.ts';
import { CHECK_MAX_WAIT_MS } from '../../../domain/time-limits.ts';
import { type ProviderClient, UpstreamError } from '../../../ports/index.ts';
import type { ServedToken } from '../../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import type { CallGuard } from '../guard/guarded-calls.ts';
import { guardedPlace } from '../guard/guarded-place.ts';
import type { CallPreparation, PreparedCall } from '../prepared-calls.ts';
import { builtOr } from '../sending/built.ts';
import type { DpopSigner } from '../sending/dpop.ts';
import { keptBytes } from '../sending/kept-body.ts';
import type { Outgoing, RequestBuilder } from '../sending/request.ts';
import type { WhoamiAnswer } from './verdict.ts';
import type { WhoamiCall } from './whoami-call.ts';

export interface WhoamiSenderParts {
  targets: Pick<Targets, 'targetOf'>;
  preparation: Pick<CallPreparation, 'prepare'>;
  builder: RequestBuilder;
  dpop: Pick<DpopSigner, 'noteNonce'>;
  guard: CallGuard;
  provider: Pick<ProviderClient, 'userinfoEndpoint'>;
}

export interface SentWhoami {
  answer: WhoamiAnswer;
  /** Names and values in turn. */
  headers: readonly string[];
  /** Where it was sent. */
  origin: string;
}

export interface WhoamiSender {
  /**
   * As a call in the background, which waits for the limits of the API for a moment. Refuses as `CallGuard` does, and rejects
   * with `UpstreamError` where no answer came, and with `StoreError`.
   */
  send(
    call: WhoamiCall,
    found: ResolvedIntegration,
    by: { caller: string; served: ServedToken },
    signal: AbortSignal,
  ): Promise<SentWhoami | Refusal>;
}

/** Bytes of an answer. What is longer counts as cut off there. */
const MAX_ANSWER = 256 * 1_024;

export function createWhoamiSender(parts: WhoamiSenderParts): WhoamiSender {
  const { targets, preparation, builder, dpop, guard, provider } = parts;

  /** Where it goes: below a host of the API, or to the userinfo endpoint. */
  async function placeOf(
    { whoami, target }: WhoamiCall,
    found: ResolvedIntegration,
    { connection }: ServedToken,
  ): Promise<{ host: string | undefined; userinfo: URL | undefined; target: string } | Refusal> {
    if (whoami.endpoint === undefined) return { host: whoami.host, userinfo: undefined, target };
    const endpoint = await provider.userinfoEndpoint(targets.targetOf(found, connection));
    const integration = found.integration.id;
    if (!endpoint.ok) {
      const { detail, retryAfter = 5 } = endpoint.fault;
      return refuse({ code: 'provider_unavailable', integration, detail, retryAfter });
    }
    const userinfo = endpoint.value === undefined ? null : URL.parse(endpoint.value);
    if (userinfo === null) {
      const detail = 'its provider has no userinfo endpoint that tells whether a token works';
      return refuse({ code: 'check_unsupported', integration, detail });
    }
    return { host: undefined, userinfo, target: userinfo.pathname + userinfo.search };
  }

  return {
    async send(call, found, by, signal) {
      const { served } = by;
      const place = await placeOf(call, found, served);
      if (place instanceof Refusal) return place;
      const { userinfo } = place;
      const to = userinfo ? { origin: userinfo.origin, basePath: '' } : place.host;
      const prepared = await preparation.prepare(served, to);
      if (prepared instanceof Refusal) return prepared;
      const path = pathOf(place.target);
      if (path instanceof PathFault)
        return refuse({
          code: 'integration_misconfigured',
          integration: found.integration.id,
          detail: `the catalogue's call for a check: ${path.detail}`,
        });
      const headers = Object.entries({ ...call.headers, 'accept-encoding': 'identity' }).flat();
      const body = keptBytes(call.body);
      const outgoing = { method: call.method, path, headers, body, caller: by.caller, signal };
      const own = withOwn(call, prepared);
      const first = await once(outgoing, own, by, signal);
      // RFC 9449 9: once more, with the nonce that came.
      const wants = !(first instanceof Refusal) && wantsNonce(first.answer.status, first.answer.challenge);
      return wants && own.attachment.kind === 'dpop' ? once(outgoing, own, by, signal) : first;
    },
  };

  async function once(
    outgoing: Outgoing,
    prepared: PreparedCall,
    { caller, served }: { caller: string; served: ServedToken },
    signal: AbortSignal,
  ): Promise<SentWhoami | Refusal> {
    const options = { maxWaitMs: CHECK_MAX_WAIT_MS, isBackground: true, signal };
    const entered = await guard.enter(guardedPlace(prepared, served, caller), options);
    if (entered instanceof Refusal) return entered;
    const built = await builtOr(entered.cancel, () => builder.build(outgoing, prepared, served));
    if (built instanceof Refusal) return built;
    const { origin } = built;
    const sent = await entered.send({ ...built, signal });
    if (sent instanceof Refusal) return sent;
    if (sent instanceof UpstreamError) throw sent;
    const { status, headers, body } = sent.response;
    const nonce = headerOf(headers, 'dpop-nonce');
    if (prepared.attachment.kind === 'dpop' && nonce !== undefined) dpop.noteNonce(origin, nonce);
    const text = new TextDecoder().decode(await body.read(MAX_ANSWER));
    return { answer: { status, challenge: headerOf(headers, 'www-authenticate') ?? '', body: text }, headers, origin };
  }
}

/** A call without a path is the base URL itself, which the path of a request cannot be. */
const pathOf = (target: string) => (target === '' ? { path: '', query: '' } : readRequestPath(target));

/** What the call says of its credential, instead of what the token's type says. */
function withOwn({ whoami, authorization }: WhoamiCall, prepared: PreparedCall): PreparedCall {
  const { signed_for: service } = whoami;
  const { secrets } = prepared.attachment;
  return {
    ...prepared,
    ...(service !== undefined && { values: { ...prepared.values, service } }),
    ...(authorization !== undefined && {
      attachment: { kind: 'header' as const, name: 'Authorization', value: authorization, secrets },
    }),
  };
}
