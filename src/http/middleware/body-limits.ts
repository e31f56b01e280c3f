// Limits of request bodies: JSON, and not too large. Checked by the headers where possible: reading the body through a stream
// costs more than most answers.
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { createMiddleware } from 'hono/factory';
import type { Env } from '../env.ts';
import { BODY_LIMIT, PROBLEMS, tooLarge } from '../errors/problem-table.ts';
import { problemResponse } from '../errors/respond.ts';

/** Bytes, by path. The plan of a whole deployment is larger than other bodies. */
const LIMITS: Record<string, number> = { '/v1/apply': 1_024 * 1_024 };
/** RFC 9110 8.3.1, with a structured suffix (RFC 6839). Its parameters say nothing of JSON (RFC 8259 11). */
const JSON_TYPE =
  /^application\/(?:[\w!#$&^.-]+\+)?json[ \t]*(?:;[ \t]*(?:[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"[^"\\]*")[ \t]*)?)*$/i;

export function jsonBody() {
  const limitOf = (c: Context<Env>) => LIMITS[c.req.path] ?? BODY_LIMIT;
  const refused = (c: Context<Env>) => problemResponse(c, 'payload_too_large', tooLarge(limitOf(c)));

  return createMiddleware<Env>(async (c, next) => {
    const limit = limitOf(c);
    const length = Number(c.req.header('content-length') ?? 0);
    const chunked = c.req.header('transfer-encoding') !== undefined;
    const type = c.req.header('content-type');
    if (length > limit) return refused(c);
    if ((length > 0 || chunked) && (type === undefined || !JSON_TYPE.test(type))) {
      return problemResponse(c, 'unsupported_media_type', PROBLEMS.unsupported_media_type.example.detail);
    }
    // The validators of bodies know fewer media types.
    if (type !== undefined && type !== 'application/json') c.req.raw.headers.set('content-type', 'application/json');
    if (chunked) return bodyLimit({ maxSize: limit, onError: refused })(c, next);
    // Some clients always send the header. Without a body it is not malformed JSON.
    if (length === 0 && type !== undefined) c.req.raw.headers.delete('content-type');
    return next();
  });
}
