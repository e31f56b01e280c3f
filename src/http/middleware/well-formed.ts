// Refuses text and numbers that would be stored as something else, or not at all: halves of surrogate pairs, bytes that are not
// UTF-8, NUL characters (PostgreSQL), infinite numbers, and JSON that nests deeper than serializers can follow. And lists and
// objects with more members than any request needs: each costs the validation after this some 20 µs, and has a fault of its own.
import { isUtf8 } from 'node:buffer';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { routePath } from 'hono/route';
import type { InputIssue } from '../../domain/errors.ts';
import { parseJson } from '../../domain/json.ts';
import { JSON_DEPTH_MAX } from '../../domain/json-depth.ts';
import { percentDecoded } from '../../domain/urls.ts';
import type { Env } from '../env.ts';
import { problem, problemResponse } from '../errors/respond.ts';

/** A request with more faults says no more of them. */
const MAX_ISSUES = 10;

/** Of a list or an object. */
const MAX_MEMBERS = 1_000;
/** Of those that name the owners of a grant, or a whole deployment: only admins send them. */
const MANY_MEMBERS = { most: 10_000, paths: /^\/v1\/(?:callers|apply)(?:\/|$)/ };

const TEXT = 'must be well-formed Unicode, without NUL characters';
const NUL = '\0';
const isText = (value: string): boolean => value.isWellFormed() && !value.includes(NUL);
/** Nothing of a JWT to verify is stored, and a NUL makes it `malformed`, not the request, nor the other tokens of a batch. */
const NOT_STORED = '/v1/jwt/';

/** Whether what is percent-encoded in a path, a query or a form is text. Linear. */
export function isEncodedText(encoded: string): boolean {
  if (!encoded.includes('%')) return !encoded.includes(NUL);
  const text = percentDecoded(encoded);
  return text !== undefined && isText(text);
}

/** What is wrong with a JSON value, wherever it is in it. Without recursion, and linear. */
export function jsonIssues(body: unknown, isValid = isText, maxMembers = MAX_MEMBERS): InputIssue[] {
  const issues: InputIssue[] = [];
  const rest: { value: unknown; path: string; depth: number }[] = [{ value: body, path: '', depth: 0 }];
  for (let next = rest.pop(); next && issues.length < MAX_ISSUES; next = rest.pop()) {
    const { value, path, depth } = next;
    if (typeof value === 'string' && !isValid(value)) issues.push({ path, message: TEXT });
    if (typeof value === 'number' && !Number.isFinite(value)) issues.push({ path, message: 'must be a finite number' });
    if (typeof value !== 'object' || value === null) continue;
    if (depth === JSON_DEPTH_MAX) {
      issues.push({ path, message: `must not nest deeper than ${JSON_DEPTH_MAX} levels` });
      continue;
    }
    const members = Object.entries(value);
    if (members.length > maxMembers) {
      issues.push({ path, message: `must not have more than ${maxMembers} members` });
      continue;
    }
    for (const [name, member] of members.reverse()) {
      if (!isText(name)) issues.push({ path, message: `has a member whose name ${TEXT}` });
      else rest.push({ value: member, path: path === '' ? name : `${path}.${name}`, depth: depth + 1 });
    }
  }
  return issues;
}

const refused = (c: Context<Env>, detail: string, issues?: InputIssue[]) =>
  problem(c, { code: 'invalid_request', detail, ...(issues && { issues }) });

/** For requests below `at`, where they are served. Malformed JSON is left to the validation of the body, which says so. */
export function wellFormed(at: string) {
  return createMiddleware<Env>(async (c, next) => {
    // No route but those of middleware: 404, whatever was sent.
    if (routePath(c, -1) === at) return next();
    const { raw } = c.req;
    const [path = '', query = ''] = raw.url.split('?', 2);
    // No id is such a text.
    if (!isEncodedText(path)) return problemResponse(c, 'not_found', `The path ${TEXT}.`);
    if (!isEncodedText(query.replaceAll('+', ' '))) return refused(c, `The query ${TEXT}.`);
    if (raw.body === null) return next();
    const bytes = Buffer.from(await c.req.arrayBuffer());
    if (!isUtf8(bytes)) return refused(c, 'The body of the request is not UTF-8.');
    const isValid = c.req.path.startsWith(NOT_STORED) ? (value: string) => value.isWellFormed() : isText;
    const maxMembers = MANY_MEMBERS.paths.test(c.req.path) ? MANY_MEMBERS.most : MAX_MEMBERS;
    const issues = jsonIssues(parseJson(bytes.toString()), isValid, maxMembers);
    return issues.length > 0 ? refused(c, 'The body of the request is not valid.', issues) : next();
  });
}
