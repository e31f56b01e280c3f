// JWT verification on the fast path: the body is read once, and the JSON of a verdict is made once.
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { JwtVerification, VerifyRequest } from '../../broker/jwt/index.ts';
import { Refusal } from '../../domain/errors.ts';
import { isObject, parseJson } from '../../domain/json.ts';
import type { Answer } from '../answer.ts';
import { problemOf } from '../errors/problem.ts';
import type { FastHandler, FastPath } from './fast-path.ts';

export const VERIFY = '/v1/jwt/verify';
/** Bytes of the body, and characters of each member: no more than the route accepts. */
const BODY_LIMIT = 70_000;
const LIMITS: Record<string, number> = { token: 65_536, issuer: 2_048, audience: 2_048 };
const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' };

interface Parts {
  fastPath: FastPath;
  verification: Pick<JwtVerification, 'verifyToJson'>;
}

export function createFastJwtVerification({ fastPath, verification }: Parts): FastHandler {
  return async (request, response, next) => {
    const length = Number(request.headers['content-length'] ?? 0);
    const isPlain = length > 0 && length <= BODY_LIMIT && request.headers['content-type'] === 'application/json';
    const admitted = isPlain ? fastPath.admit(request) : undefined;
    if (!admitted) return next();
    const { call } = admitted;
    // A client that goes away in the middle of its body gets no answer.
    const bytes = await bytesOf(request).catch(() => undefined);
    if (!bytes) return void response.destroy();
    const wanted = parse(bytes);
    if (!wanted) return next();
    try {
      const result = await verification.verifyToJson(call, wanted);
      const answer: Answer =
        result instanceof Refusal
          ? problemOf(result.fault, call.requestId)
          : { status: 200, headers: JSON_HEADERS, body: result };
      fastPath.answer(response, admitted, VERIFY, answer);
    } catch (error) {
      fastPath.fail(response, admitted, VERIFY, error);
    }
  };
}

/** Also left at the request, where the framework looks for a body that was read before. */
function bytesOf(request: IncomingMessage & { rawBody?: Buffer }): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', reject);
    request.on('aborted', reject);
    request.on('end', () => {
      request.rawBody = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      resolve(request.rawBody);
    });
  });
}

/** Undefined: not a request of the plainest form. */
function parse(bytes: Buffer): VerifyRequest | undefined {
  const members = isUtf8(bytes) ? parseJson(bytes.toString()) : undefined;
  if (!isObject(members)) return undefined;
  for (const name in members) {
    const text = members[name];
    if (!Object.hasOwn(LIMITS, name) || typeof text !== 'string' || text.length > LIMITS[name]!) return undefined;
    // The framework says what is wrong with it.
    if (!text.isWellFormed()) return undefined;
  }
  return typeof members.token === 'string' && members.token !== '' ? (members as unknown as VerifyRequest) : undefined;
}
