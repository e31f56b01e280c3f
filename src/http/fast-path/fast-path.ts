// The hot paths: what services ask for all day, answered before the framework is asked. They refuse nothing: whatever is
// not that simple goes the long way, which says the same in full.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AuditBuffer, Call } from '../../broker/audit/index.ts';
import type { CallerCache } from '../../broker/cache/index.ts';
import type { Clock, Telemetry } from '../../ports/index.ts';

/** Answers, or has the long way do it. */
export type Listen = (request: IncomingMessage, response: ServerResponse, theLongWay: () => void) => void;

/** Ids of requests that the long way would take over too. */
const REQUEST_ID = /^[\w\-=]{1,255}$/;

export interface FastPathParts {
  callerCache: CallerCache;
  auditBuffer: Pick<AuditBuffer, 'used'>;
  telemetry: Pick<Telemetry, 'request'>;
  clock: Clock;
  /** Refreshes under way. */
  refreshing: () => number;
}

/** One request on its way through. */
export interface Passage {
  call: Call;
  /** Monotonic ms. */
  started: number;
}

export type FastPath = ReturnType<typeof createFastPath>;

/** From so many refreshes on, there is a commit in almost every turn. */
const STORM = 8;

export function createFastPath({ callerCache, auditBuffer, telemetry, clock, refreshing }: FastPathParts) {
  const gathered = inOneGo();

  return {
    /** Undefined: no key that is known. Nothing has been noted then. */
    enter(request: IncomingMessage): Passage | undefined {
      const { authorization, 'x-request-id': told } = request.headers;
      if (!authorization?.startsWith('Bearer ')) return undefined;
      const principal = callerCache.find(authorization.slice(7), clock.now());
      // Its answers tell how many more it may ask for.
      if (!principal || principal.rateLimit) return undefined;
      const requestId = typeof told === 'string' && REQUEST_ID.test(told) ? told : randomUUID();
      return { call: { principal, address: addressOf(request), requestId }, started: clock.monotonic() };
    },

    /** 200 with a body of JSON that is ready. `length` in bytes. */
    answer(response: ServerResponse, { call, started }: Passage, route: string, body: string, length: string): void {
      response.writeHead(200, [
        'content-type',
        'application/json',
        'cache-control',
        'no-store',
        'x-request-id',
        call.requestId,
        'content-length',
        length,
      ]);
      // What waits for the end of a turn waits for the commit in it too.
      if (refreshing() < STORM) gathered(response, body);
      else response.end(body);
      auditBuffer.used(call.principal.credential.id, clock.now());
      const { method = 'GET' } = response.req;
      telemetry.request(route, method, 200, (clock.monotonic() - started) / 1_000);
    },
  };
}

/**
 * Ends the answers of one turn of the event loop one right after the other, once all that has arrived has been read. Each
 * write of its own, between two requests, would wake the other side anew and find its way into the kernel cold: a write
 * then costs as much as all the rest of a read.
 */
function inOneGo(): (response: ServerResponse, body: string) => void {
  let waiting: { response: ServerResponse; body: string }[] = [];
  const go = () => {
    const all = waiting;
    waiting = [];
    for (const { response, body } of all) response.end(body);
  };
  return (response, body) => {
    if (waiting.push({ response, body }) === 1) setImmediate(go);
  };
}

/** The peer's address, IPv4 in its own form. */
function addressOf({ socket }: Pick<IncomingMessage, 'socket'>): string | null {
  const address = socket.remoteAddress;
  return address?.startsWith('::ffff:') ? address.slice(7) : (address ?? null);
}
