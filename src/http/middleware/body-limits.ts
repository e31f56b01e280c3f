// What a body may be: JSON, and not too large. Told by its headers where they tell, since looking at the body itself
// makes a stream of it, which costs more than most answers.
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { createMiddleware } from 'hono/factory';
import type { Env } from '../env.ts';
import { problem } from '../errors/problem.ts';
import { BODY_LIMIT as LIMIT, PROBLEMS } from '../errors/problem-table.ts';

/** Bytes, by path: one that declares a whole deployment needs more than the others. */
const LIMITS: Record<string, number> = { '/v1/apply': 1_024 * 1_024 };
const JSON_TYPE = /^application\/([a-z.-]+\+)?json\b/i;

export function jsonBody() {
  const limitOf = (c: Context<Env>) => LIMITS[c.req.path] ?? LIMIT;
  const tooLarge = (c: Context<Env>) => problem(c, 'payload_too_large', `A body has at most ${limitOf(c)} bytes.`);

  return createMiddleware<Env>(async (c, next) => {
    const limit = limitOf(c);
    const length = Number(c.req.header('content-length') ?? 0);
    const chunked = c.req.header('transfer-encoding') !== undefined;
    const type = c.req.header('content-type');
    if (length > limit) return tooLarge(c);
    if ((length > 0 || chunked) && (type === undefined || !JSON_TYPE.test(type))) {
      return problem(c, 'unsupported_media_type', PROBLEMS.unsupported_media_type.example.detail);
    }
    if (chunked) return bodyLimit({ maxSize: limit, onError: tooLarge })(c, next);
    // A client that always says JSON, and here has nothing to say, is not malformed.
    if (length === 0 && type !== undefined) c.req.raw.headers.delete('content-type');
    return next();
  });
}
