// The parts that all route definitions share.
import { OpenAPIHono, z } from '@hono/zod-openapi';
import { Problem } from '../../api/index.ts';
import type { Env } from '../env.ts';
import type { Code } from '../errors/problem-table.ts';
import { problem } from '../errors/respond.ts';

export const SECURITY = [{ caller_key: [] }];

export const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});

/**
 * The problems that an operation may answer with, by code. `describe` adds those of every operation of its kind (no key,
 * a body that is not JSON, an unavailable store).
 */
export const problems = (...codes: Code[]) => ({
  default: {
    description: 'A problem (RFC 9457)',
    content: { 'application/problem+json': { schema: Problem } },
    'x-problems': codes,
  },
});

/** Answered by the HTTP server itself, for any request; for operations without other errors. */
export const HEADERS_TOO_LARGE = {
  431: { description: 'The request headers are too large. The response has no body.' },
};

/** An id in the path, with an example. */
export const idOf = (what: string, example: string) =>
  z.string().openapi({ description: `The id of the ${what}`, example });

export const body = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { 'application/json': { schema } },
});

const PARTS = { json: 'body', form: 'body', query: 'query', param: 'path', header: 'headers', cookie: 'cookies' };

/** A request with more faults says no more of them. */
const MAX_ISSUES = 100;

/** A router that reports validation errors as problems that name each field. */
export function router(): OpenAPIHono<Env> {
  return new OpenAPIHono<Env>({
    defaultHook: (result, c) => {
      if (result.success) return;
      const { target } = result;
      const issues = result.error.issues.slice(0, MAX_ISSUES).flatMap((issue) => {
        const at = (...more: string[]) => [...issue.path, ...more].join('.') || target;
        if (issue.code !== 'unrecognized_keys') return [{ path: at(), message: issue.message }];
        return issue.keys
          .slice(0, MAX_ISSUES)
          .map((key) => ({ path: at(key), message: 'not a field of this request' }));
      });
      return problem(c, {
        code: 'invalid_request',
        detail: `The ${PARTS[target]} of the request is not valid.`,
        issues,
      });
    },
  });
}
