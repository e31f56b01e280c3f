// JWTs that a sender authenticates with: signed with a secret, or with keys that it publishes.
import { type CryptoKey, type JWTPayload, jwtVerify } from 'jose';
import type { VerifyOf } from '../../../domain/webhook-dialect.ts';
import type { IssuerKeys } from '../../jwt/jwks.ts';
import { verifyWithKeySet } from '../../jwt/key-set.ts';
import { hold } from '../conditions.ts';
import { decoded } from '../constant-time.ts';
import { parseJson } from '../json.ts';
import { keyBytes } from '../keys.ts';
import { isFresh } from '../signatures.ts';
import { type Scope, textAt } from '../values.ts';
import { accepted, type RefusalReason, refused, type Verification } from '../verification.ts';

type Data = VerifyOf<'jwt'>;
/** Of the sender's clock. */
const SKEW_SECONDS = 60;

export function precheckJwt(data: Data, scope: Scope): RefusalReason | undefined {
  if (data.key && keyBytes(data.key, scope.keys).length === 0) return 'no_key';
  return tokenOf(data, scope) === undefined ? 'no_signature' : undefined;
}

/** The scope gets its claims. */
export async function verifyJwt(data: Data, issuers: IssuerKeys, scope: Scope): Promise<Verification> {
  const reason = precheckJwt(data, scope);
  const token = tokenOf(data, scope);
  if (reason !== undefined || token === undefined) return refused(reason ?? 'no_signature');
  const found = await (data.jwks === undefined
    ? bySecret(data, token, scope)
    : byPublishedKey(data, data.jwks, token, issuers, scope));
  if (typeof found === 'string') return refused(found);
  const { receivedAt } = scope.sent.request;
  if (typeof found.iat === 'number' && found.iat * 1_000 > receivedAt + SKEW_SECONDS * 1_000) return refused('stale');
  const verified = { ...scope, claims: found };
  if (!isFresh(data.timestamp, verified)) return refused('stale');
  return hold(data.require, verified) ? accepted({ claims: found }) : refused('requirement');
}

function tokenOf({ token: { in: place, prefix } }: Data, scope: Scope): string | undefined {
  const text = textAt(place, scope);
  if (text === undefined || text.slice(0, prefix.length).toLowerCase() !== prefix.toLowerCase()) return undefined;
  const token = text.slice(prefix.length).trim();
  const [, signature = ''] = /^[\w-]+\.[\w-]+\.([\w-]+)$/.exec(token) ?? [];
  return decoded(signature, 'base64url') ? token : undefined;
}

const optionsOf = ({ algorithms, expires }: Data, { sent }: Scope) => ({
  algorithms,
  clockTolerance: SKEW_SECONDS,
  currentDate: new Date(sent.request.receivedAt),
  requiredClaims: expires ? ['exp'] : [],
});

async function bySecret(data: Data, token: string, scope: Scope): Promise<JWTPayload | RefusalReason> {
  for (const secret of data.key ? keyBytes(data.key, scope.keys) : []) {
    try {
      return (await jwtVerify(token, secret, optionsOf(data, scope))).payload;
    } catch {}
  }
  return 'wrong_signature';
}

async function byPublishedKey(
  data: Data,
  jwks: string,
  token: string,
  issuers: IssuerKeys,
  scope: Scope,
): Promise<JWTPayload | RefusalReason> {
  const header = parseJson(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString());
  const kid = typeof header === 'object' && header !== null && 'kid' in header ? header.kid : undefined;
  const found = await verifyWithKeySet(issuers.keySet(jwks, jwks), 'callers', kid, async (getKey) => {
    const key = (...given: Parameters<typeof getKey>): Promise<CryptoKey> => getKey(...given);
    return (await jwtVerify(token, key, optionsOf(data, scope))).payload;
  });
  if ('unavailable' in found) return 'keys_unavailable';
  return 'value' in found ? found.value : 'wrong_signature';
}
