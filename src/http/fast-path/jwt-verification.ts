// JWT verification: the body is read once, and what was verified before is answered from memory.
import type { IncomingMessage } from 'node:http';
import { type JwtVerification, mayVerify, type VerifyRequest } from '../../broker/jwt/index.ts';
import { Refusal } from '../../domain/errors.ts';
import type { JwtVerdict } from '../../ports/index.ts';
import type { FastPath, Listen } from './fast-path.ts';

export const VERIFY = '/v1/jwt/verify';
/** Bytes; and characters of each member: what the long way would take too. */
const BODY_LIMIT = 70_000;
const LIMITS: Record<string, number> = { token: 65_536, issuer: 2_048, audience: 2_048 };

export function createFastJwtVerification({ quick, verify }: { quick: FastPath; verify: JwtVerification }): Listen {
  const ready = new WeakMap<JwtVerdict, string>();

  function bodyOf(verdict: JwtVerdict): string {
    const known = ready.get(verdict);
    if (known !== undefined) return known;
    const body = JSON.stringify(verdict);
    if (verdict.active) ready.set(verdict, body);
    return body;
  }

  return (request, response, theLongWay) => {
    const length = Number(request.headers['content-length'] ?? 0);
    const plain = length > 0 && length <= BODY_LIMIT && request.headers['content-type'] === 'application/json';
    const passage = plain ? quick.enter(request) : undefined;
    if (!passage || !mayVerify(passage.call)) return theLongWay();
    const answer = async () => {
      const wanted = read(await bytesOf(request));
      const verdict = wanted && (await verify(passage.call, wanted));
      if (!verdict || verdict instanceof Refusal) return theLongWay();
      const body = bodyOf(verdict);
      quick.answer(response, passage, VERIFY, body, String(Buffer.byteLength(body)));
    };
    // A client that goes away in the middle of its body has nobody to answer to.
    answer().catch(() => (request.readableEnded ? theLongWay() : response.destroy()));
  };
}

/** Left at the request too, where the long way looks for a body that has been read. */
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
function read(bytes: Buffer): VerifyRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  const members = value as Record<string, unknown>;
  for (const name in members) {
    const text = members[name];
    if (!Object.hasOwn(LIMITS, name) || typeof text !== 'string' || text.length > LIMITS[name]!) return undefined;
  }
  return typeof members.token === 'string' && members.token !== '' ? (value as VerifyRequest) : undefined;
}
