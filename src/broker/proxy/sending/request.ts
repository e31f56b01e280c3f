// One request to an API: the caller's, with the credential attached.
import { Refusal, refuse } from '../../../domain/errors.ts';
import { queryWithout } from '../../../domain/proxied-credential.ts';
import { forwardedHeaders, headerOf } from '../../../domain/proxied-headers.ts';
import type { RequestPath } from '../../../domain/request-path.ts';
import { SIGNED_BODY_TIMEOUT_MS, SIGNED_BODY_WAIT_MS, UPSTREAM_RETRY_AFTER_S } from '../../../domain/time-limits.ts';
import type { Clock, SignAwsRequest, UpstreamRequest } from '../../../ports/index.ts';
import type { ServedToken } from '../../cache/index.ts';
import type { PreparedCall } from '../prepared-calls.ts';
import { type ByteBudget, createByteBudget } from './byte-budget.ts';
import type { DpopSigner } from './dpop.ts';
import type { KeptBody } from './kept-body.ts';

const MB = 1_024 * 1_024;
/** Bytes of a body that is signed as a whole. */
const MAX_SIGNED = 8 * MB;
/** Of all of them together, as long as their calls run. */
const SIGNED_MEMORY = { total: 64 * MB, each: 32 * MB, waitMs: SIGNED_BODY_WAIT_MS, maxWaiting: 1_000 };

export interface Outgoing {
  method: string;
  path: RequestPath;
  /** The caller's. */
  headers: readonly string[];
  body: KeptBody;
  caller: string;
  /** Aborted when the call ends. */
  signal: AbortSignal;
}

export interface Built extends Pick<UpstreamRequest, 'method' | 'origin' | 'path' | 'headers' | 'body' | 'tls'> {
  /** What proves the credential in this request alone: it must not come back in the response either. */
  proof?: string | undefined;
}

export interface RequestBuilder {
  /** The request, with everything but its signal. Synchronous where nothing is signed. */
  build(outgoing: Outgoing, prepared: PreparedCall, served: ServedToken): Built | Promise<Built | Refusal>;
}

interface Parts {
  dpop: DpopSigner;
  signAws: SignAwsRequest;
  clock: Clock;
  /** For signed bodies. */
  memory?: ByteBudget | undefined;
}

export function createRequestBuilder({
  dpop,
  signAws,
  clock,
  memory = createByteBudget(SIGNED_MEMORY),
}: Parts): RequestBuilder {
  /** The body to be signed. */
  async function wholeBody(
    { body, caller, signal }: Outgoing,
    integration: string,
  ): Promise<Uint8Array | null | Refusal> {
    const until = clock.monotonic() + SIGNED_BODY_TIMEOUT_MS;
    const bytes = await body.whole({
      maxBytes: MAX_SIGNED,
      take: (count) => memory.take(caller, count, signal),
      isLate: () => clock.monotonic() > until,
    });
    if (bytes === 'full') {
      const detail = 'The broker holds as many bodies to be signed as it has memory for.';
      return refuse({ code: 'upstream_unavailable', integration, detail, retryAfter: UPSTREAM_RETRY_AFTER_S });
    }
    return typeof bytes === 'string' ? refuse({ code: 'invalid_request', detail: WHOLE_FAULTS[bytes] }) : bytes;
  }

  async function withProof(built: Built, headers: string[], served: ServedToken): Promise<Built | Refusal> {
    const { method, origin, path } = built;
    const proof = await dpop.prove(served, method, origin + path);
    if (proof === undefined) {
      const { integration } = served.connection;
      const detail = 'the token has just been replaced: try again';
      return refuse({ code: 'provider_unavailable', integration, detail, retryAfter: 1 });
    }
    return { ...built, headers: [...headers, 'Authorization', `DPoP ${served.accessToken}`, 'DPoP', proof], proof };
  }

  async function signed(
    outgoing: Outgoing,
    { found, values, attachment }: PreparedCall,
    built: Omit<Built, 'body'>,
    headers: readonly string[],
  ): Promise<Built | Refusal> {
    if (attachment.kind !== 'sigv4') throw new TypeError('not a signature');
    const { service, region } = values;
    const { method, origin, path, tls } = built;
    const isStreamed = isS3(service, origin) && !outgoing.body.canRepeat();
    const bytes = isStreamed ? null : await wholeBody(outgoing, found.integration.id);
    if (bytes instanceof Refusal) return bytes;
    const { keys } = attachment;
    const request = { method, url: origin + path, headers, keys, service, region, at: clock.now() };
    const signature = await signAws({ ...request, body: isStreamed ? 'unsigned' : bytes });
    const body = isStreamed ? outgoing.body.next() : bytes;
    const length = outgoing.body.length ?? bytes?.length;
    const sent = signature.headers.concat(length === undefined ? [] : ['Content-Length', String(length)]);
    const proof = /\bSignature=([0-9a-f]+)/.exec(headerOf(sent, 'authorization') ?? '')?.[1];
    return { method, origin, path: signature.path, headers: sent, body, tls, proof };
  }

  return {
    build(outgoing, prepared, served) {
      const { method, body } = outgoing;
      const { attachment, destination, apiHeaders, tls } = prepared;
      const { origin, basePath } = destination;
      const isSigned = attachment.kind === 'sigv4';
      const headers = forwardedHeaders(outgoing.headers, {
        api: apiHeaders,
        credential: prepared.credentialHeaders,
        length: isSigned ? undefined : body.length,
      });
      const { path, query } = outgoing.path;
      const base = basePath + path || '/';
      const to = { method, origin, path: base + query, tls };
      if (attachment.kind === 'sigv4') return signed(outgoing, prepared, { ...to, headers }, headers);
      const built = { ...to, headers, body: body.next() };
      if (attachment.kind === 'dpop') return withProof(built, headers, served);
      if (attachment.kind === 'header') {
        headers.push(attachment.name, attachment.value);
        return built;
      }
      const { name, value } = attachment;
      const others = queryWithout(query, name);
      const pair = `${encodeURIComponent(name)}=${value}`;
      return { ...built, path: `${base}${others === '' || others === '?' ? '?' : `${others}&`}${pair}` };
    },
  };
}

const WHOLE_FAULTS = {
  large: `A body that is signed may have ${MAX_SIGNED} bytes.`,
  late: `A body that is signed has to be here within ${SIGNED_BODY_TIMEOUT_MS / 1_000} seconds.`,
};

/** Of all services, it alone takes a body that is not signed. */
const isS3 = (service: string | undefined, origin: string): boolean =>
  service === 's3' || /\/\/(?:[^/]+\.)?s3[.-]/.test(origin);
