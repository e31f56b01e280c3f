// Calls through the proxy, past the framework: any method, and bodies that are streamed both ways.
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Call } from '../../broker/audit/index.ts';
import type { ProxiedResponse, ProxyCalls } from '../../broker/proxy/index.ts';
import { Refusal } from '../../domain/errors.ts';
import { UPSTREAM_RETRY_AFTER_S } from '../../domain/time-limits.ts';
import type { Clock, Telemetry } from '../../ports/index.ts';
import type { Answer } from '../answer.ts';
import type { AddressOf } from '../client-address.ts';
import { problemOf, problemOfError } from '../errors/problem.ts';
import type { FastHandler, FastPath } from '../fast-path/fast-path.ts';
import { type Admission, credentialOf } from '../middleware/authentication.ts';
import type { LogFailure } from '../middleware/error-logging.ts';
import { clientContext, newRequestId } from '../middleware/request-context.ts';
import { afterRequest, callerBody, isCodedTwice } from './caller-body.ts';
import { createPassedChunks } from './passed-chunks.ts';
import { asksForUpgrade, parseProxied, routeOf } from './proxied-request.ts';
import { createBodyWriter } from './response-body.ts';
import { collectYoung } from './young-collection.ts';

export { isProxied } from './proxied-request.ts';

interface Parts {
  proxy: ProxyCalls;
  fastPath: Pick<FastPath, 'admit' | 'batched'>;
  admit: Admission;
  telemetry: Pick<Telemetry, 'request'>;
  auditBuffer: { used(keyId: string, at: number): void };
  logFailure: LogFailure;
  addressOf: AddressOf;
  clock: Clock;
}

const CODED_TWICE = 'The transfer coding of a body can be chunked, and no other.';
/** Counted for a caller that went away, as proxies do. */
const CALLER_GONE = 499;
/** RFC 9112 4: what else an API sends is left out. */
const REASON_PHRASE = /^[\t\x20-\x7e\x80-\xff]+$/;
/** Bytes. An API may send hints without end: what a caller does not read of them is not kept. */
const MAX_UNREAD_HINTS = 32 * 1_024;
/** Any other is counted as one, so that callers cannot make up time series. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']);

export function createProxyHandler(parts: Parts): FastHandler {
  const { proxy, fastPath, admit, telemetry, auditBuffer, logFailure, addressOf, clock } = parts;
  const notePassed = createPassedChunks(collectYoung);
  const writeBody = createBodyWriter({ batched: fastPath.batched, clock, notePassed });

  function counted({ method = '', url = '' }: IncomingMessage, status: number, started: number): void {
    const seconds = (clock.monotonic() - started) / 1_000;
    telemetry.request(routeOf(url), METHODS.has(method) ? method : 'other', status, seconds);
  }

  /** A known key at once; others as the framework admits them. */
  async function admitted(
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
  ): Promise<Call | Refusal> {
    const { authorization, traceparent, 'x-request-id': sent } = request.headers;
    const client = clientContext(typeof sent === 'string' ? sent : undefined, traceparent as string | undefined);
    const from = { address: addressOf(request), requestId, client };
    return admit(from, credentialOf(authorization), (name, value) => response.setHeader(name, value));
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = clock.monotonic();
    const known = fastPath.admit(request);
    const requestId = known?.call.requestId ?? newRequestId();
    if (known) auditBuffer.used(known.call.principal.credential.id, clock.now());

    let attempts = 0;
    const refuseWith = (answer: Answer) => {
      counted(request, answer.status, started);
      writeProblem(request, response, answer, { requestId, attempts });
    };
    const ending = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) ending.abort();
    });

    try {
      const call = known?.call ?? (await admitted(request, response, requestId));
      if (call instanceof Refusal) return refuseWith(problemOf(call.fault, requestId));
      if (isCodedTwice(request))
        return refuseWith(problemOf({ code: 'invalid_request', detail: CODED_TWICE }, requestId));
      if (asksForUpgrade(request)) return refuseWith(problemOf({ code: 'upgrade_not_supported' }, requestId));
      const parsed = parseProxied(request);
      if (parsed instanceof Refusal) return refuseWith(problemOf(parsed.fault, requestId));
      const answered = await proxy.call(call, {
        ...parsed,
        method: request.method ?? 'GET',
        headers: request.rawHeaders,
        body: callerBody(request, response, clock, notePassed),
        ending,
        onInterim: (status, headers) => writeInterim(response, status, headers),
        onRefused: (made) => {
          attempts = made;
        },
      });
      if (response.destroyed) {
        if (!(answered instanceof Refusal)) answered.body.discard();
        return counted(request, CALLER_GONE, started);
      }
      if (answered instanceof Refusal) return refuseWith(problemOf(answered.fault, requestId));
      counted(request, answered.status, started);
      if (writeHead(request, response, answered, requestId)) writeBody(request, response, answered.body);
    } catch (error) {
      // A caller that goes away in the middle of its body gets no answer, and is no one's defect.
      if (response.destroyed || request.destroyed) return counted(request, CALLER_GONE, started);
      logFailure(error, requestId);
      if (response.headersSent) response.destroy();
      else refuseWith(problemOfError(error, requestId));
    }
  }

  /** Whatever happens, it ends this connection at most. */
  function handleSafely(request: IncomingMessage, response: ServerResponse): void {
    handle(request, response).catch((error: unknown) => {
      logFailure(error, newRequestId());
      response.destroy();
    });
  }

  return Object.assign(handleSafely, { streams: true as const });
}

/** False: there was no head, and there is no body. */
function writeHead(
  request: IncomingMessage,
  response: ServerResponse,
  { integration, status, statusText, headers, body }: ProxiedResponse,
  requestId: string,
): boolean {
  // The rest of the request is not read after this: the connection cannot be used for another one.
  if (!request.complete) headers.push('Connection', 'close');
  try {
    const text = REASON_PHRASE.test(statusText) ? statusText : undefined;
    response.writeHead(status, text ?? STATUS_CODES[status] ?? '', headers);
    return true;
  } catch {
    // A header that Node does not write. Nothing of it is told: it may be anything.
    body.discard();
    const detail = 'The API answered with headers that cannot be passed on.';
    const fault = { code: 'upstream_unavailable', integration, detail, retryAfter: UPSTREAM_RETRY_AFTER_S } as const;
    const attempts = headers[headers.indexOf('Valetkey-Attempts') + 1];
    writeProblem(request, response, problemOf(fault, requestId), { requestId, attempts: Number(attempts) });
    return false;
  }
}

/** Says that it is ours, so that no one takes it for the answer of the API. */
function writeProblem(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  { requestId, attempts }: { requestId: string; attempts: number },
): void {
  if (response.destroyed) return;
  const headers: string[] = [];
  for (const [name, value] of Object.entries(answer.headers)) headers.push(name, value);
  headers.push('x-request-id', requestId, 'valetkey-request-id', requestId);
  headers.push('valetkey-attempts', String(attempts), 'valetkey-error', '1');
  headers.push('content-length', String(Buffer.byteLength(answer.body)));
  if (!request.complete) headers.push('connection', 'close');
  // A text of its own: what the API sent in its place may have been noted already, and be none that can be written.
  response.writeHead(answer.status, STATUS_CODES[answer.status] ?? '', headers);
  response.write(answer.body);
  afterRequest(request, () => response.end());
}

/** Early hints, and what else comes before the response. */
function writeInterim(response: ServerResponse, status: number, headers: readonly string[]): void {
  if (response.headersSent || status !== 103 || (response.socket?.writableLength ?? 0) > MAX_UNREAD_HINTS) return;
  const links = headers.flatMap((name, i) => (i % 2 === 0 && name.toLowerCase() === 'link' ? [headers[i + 1]!] : []));
  try {
    if (links.length > 0) response.writeEarlyHints({ link: links });
  } catch {
    // Hints that Node does not write are left out.
  }
}
