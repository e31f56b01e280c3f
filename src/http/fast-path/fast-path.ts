// What all fast paths share: authentication by a known key, and writing an answer past the framework. The headers, the audit
// log and the metrics are the same as the framework's.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuditBuffer, Call } from '../../broker/audit/index.ts';
import type { CallerCache } from '../../broker/cache/index.ts';
import type { Principal } from '../../domain/caller.ts';
import type { Clock, Telemetry } from '../../ports/index.ts';
import { type Answer, writeHead } from '../answer.ts';
import type { AddressOf } from '../client-address.ts';
import { problemOfError } from '../errors/problem.ts';
import type { LogFailure } from '../middleware/error-logging.ts';
import { clientContext, newRequestId } from '../middleware/request-context.ts';
import { createWriteBatch, type WriteBatch } from './write-batch.ts';

/** Answers the request, or calls `next`, which has the framework answer it. */
export interface FastHandler {
  (request: IncomingMessage, response: ServerResponse, next: () => void): void;
  /** It reads bodies as they come, for as long as they come, and asks for them itself (`100 Continue`). */
  streams?: true;
}

/** An authenticated request on the fast path. */
export interface FastRequest {
  call: Call;
  /** Monotonic ms. */
  started: number;
}

export interface FastPath {
  /**
   * Authenticates a request by its key or session. Undefined: it is the framework's (none, an unknown one, a session whose uses
   * are counted, or a caller with a rate limit, whose answers have more headers). Nothing is noted yet, so that `next` may still
   * be called.
   */
  admit(request: IncomingMessage): FastRequest | undefined;
  /** Writes the answer; counts the request, and notes that its key was used. `length`: of the body, in bytes. */
  answer(response: ServerResponse, request: FastRequest, route: string, answer: Answer, length?: string): void;
  /** Logs an unexpected error, and answers with a problem. */
  fail(response: ServerResponse, request: FastRequest, route: string, error: unknown): void;
  /** Of all fast answers. */
  batched: WriteBatch;
}

export interface FastPathParts {
  callerCache: CallerCache;
  auditBuffer: Pick<AuditBuffer, 'used'>;
  telemetry: Pick<Telemetry, 'request'>;
  logFailure: LogFailure;
  addressOf: AddressOf;
  clock: Clock;
  /** Refreshes in flight. */
  refreshing: () => number;
}

/** With so many refreshes in flight, almost every turn of the event loop has a commit, which batched answers would wait for. */
const BUSY_REFRESHES = 8;

export function createFastPath(parts: FastPathParts): FastPath {
  const { callerCache, auditBuffer, telemetry, logFailure, addressOf, clock, refreshing } = parts;
  const batched = createWriteBatch(() => refreshing() >= BUSY_REFRESHES);

  const answer: FastPath['answer'] = (response, { call, started }, route, written, length) => {
    writeHead(response, written, call.requestId, length);
    batched(() => response.end(written.body));
    auditBuffer.used(call.principal.credential.id, clock.now());
    const { method = 'GET' } = response.req;
    telemetry.request(route, method, written.status, (clock.monotonic() - started) / 1_000);
  };

  return {
    admit(request) {
      const { authorization, traceparent, 'x-request-id': sent } = request.headers;
      if (!authorization?.startsWith('Bearer ')) return undefined;
      const principal = callerCache.find(authorization.slice(7), clock.now());
      if (!principal || principal.rateLimit || isCounted(principal)) return undefined;
      const client = clientContext(typeof sent === 'string' ? sent : undefined, traceparent as string | undefined);
      const requestId = newRequestId();
      return { call: { principal, address: addressOf(request), requestId, client }, started: clock.monotonic() };
    },

    answer,
    batched,

    fail(response, request, route, error) {
      const { requestId } = request.call;
      logFailure(error, requestId);
      answer(response, request, route, problemOfError(error, requestId));
    },
  };
}

const isCounted = ({ session }: Principal): boolean => session !== undefined && session.counted.length > 0;
