// The id of a request, which is ours; and beside it what the client calls the request, which is only recorded.
import { randomUUID } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import type { ClientContext } from '../../broker/audit/index.ts';
import type { Env } from '../env.ts';

/** Plain and short, and no caller key. */
const CLIENT_ID = /^(?!v[ks]_)[\w.:=-]{1,64}$/;
/** W3C Trace Context 3.2: version, trace, parent, flags. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

export const newRequestId = (): string => randomUUID();

/** Of the headers `X-Request-Id` and `traceparent`. Undefined: neither tells anything. */
export function clientContext(id: string | undefined, traceparent: string | undefined): ClientContext | undefined {
  if (id === undefined && traceparent === undefined) return undefined;
  const requestId = id !== undefined && CLIENT_ID.test(id) ? id : null;
  const traceId = (traceparent !== undefined && TRACEPARENT.exec(traceparent)?.[1]) || null;
  return requestId === null && traceId === null ? undefined : { requestId, traceId };
}

/** Names the request, in every response too. */
export const requestContext = () =>
  createMiddleware<Env>(async (c, next) => {
    const id = newRequestId();
    c.set('requestId', id);
    c.set('client', clientContext(c.req.header('x-request-id'), c.req.header('traceparent')));
    c.header('X-Request-Id', id);
    return next();
  });
