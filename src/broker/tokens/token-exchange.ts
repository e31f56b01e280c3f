// Token exchange (RFC 8693): a user's JWT for that user's token at a third party. The caller needs permission for the token
// as in any read; the JWT only says who the owner is.
import { LRUCache } from 'lru-cache';
import { Refusal } from '../../domain/errors.ts';
import { CONNECT_LINK_REUSE_MS } from '../../domain/time-limits.ts';
import type { Clock, JwtReason, JwtVerifier, Store } from '../../ports/index.ts';
import { type Access, type Call, sees } from '../audit/index.ts';
import type { ServedToken } from '../cache/index.ts';
import type { ConnectSessionRequest, ConnectSessions } from '../connections/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import type { TokenReader } from './token-reader.ts';

export interface ExchangeRequest {
  subjectToken: string;
  integration: string;
  /** Scopes that the token must have. Undefined: any. */
  scopes: string[] | undefined;
  label: string | undefined;
  minTtlMs: number | undefined;
}

/** Why there is no token, beside the refusals of a token read. */
export type ExchangeFault =
  | { code: 'invalid_subject'; reason: JwtReason | 'invalid_owner' }
  | { code: 'unknown_integration' }
  | { code: 'insufficient_scopes'; missing: string[] }
  /** `url`: where the owner connects; null: not possible in a browser. `connectionId`: the connection to renew; null: a new one. */
  | { code: 'connection_required'; reason: string; connectionId: string | null; url: string | null };

export interface TokenExchange {
  /**
   * The token of the owner whom the subject token names. The subject token must come from a trusted issuer and be made for
   * the broker. Where the owner must connect (again), the fault has the URL of a connect session. Rejects with `StoreError`.
   */
  exchange(call: Call, request: ExchangeRequest): Promise<ServedToken | ExchangeFault | Refusal>;
}

export interface TokenExchangeParts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  /** Audiences of subject tokens that are accepted beside the public URL, by issuer. */
  audiences: ReadonlyMap<string, readonly string[]>;
  reader: Pick<TokenReader, 'read'>;
  sessions: Pick<ConnectSessions, 'createForTokenExchange'>;
  store: Pick<Store, 'integration' | 'session'>;
  access: Access;
  clock: Clock;
  publicUrl: string;
}

/** The same characters and length as in requests. */
const OWNER = /^[^\p{Cc}*]{1,255}$/u;

export function createTokenExchange(parts: TokenExchangeParts): TokenExchange {
  const { verifier, trustedIssuers, audiences, reader, sessions, store, access, clock, publicUrl } = parts;
  const recentLinks = new LRUCache<string, { id: string; url: string }>({ max: 1_000, ttl: CONNECT_LINK_REUSE_MS });

  /** The `sub` of a token whose audience is the broker, or one that is configured for its issuer. */
  async function ownerOf(
    token: string,
  ): Promise<{ owner: string } | Extract<ExchangeFault, { code: 'invalid_subject' }>> {
    const refused = (reason: JwtReason | 'invalid_owner') => ({ code: 'invalid_subject' as const, reason });
    const issuer = verifier.claimedIssuer(token);
    if (issuer === undefined) return refused('malformed');
    const trusted = await trustedIssuers.find(issuer);
    if (!trusted) return refused('untrusted_issuer');
    const expected = { audiences: [publicUrl, ...(audiences.get(issuer) ?? [])] };
    const verdict = await verifier.verify(token, trusted, expected);
    if (!verdict.active) return refused(verdict.reason);
    const { sub } = verdict.claims;
    return typeof sub === 'string' && OWNER.test(sub) ? { owner: sub } : refused('invalid_owner');
  }

  /** Where the owner connects. The subject token permits a link for its owner, and for no one else. */
  async function connectLinkFor(call: Call, request: ConnectSessionRequest): Promise<string | null> {
    const key = JSON.stringify([call.principal.caller.id, request]);
    const known = recentLinks.get(key);
    const session = known && (await store.session(known.id));
    const isUsable = session?.status === 'pending' && session.expiresAt - clock.now() > CONNECT_LINK_REUSE_MS / 2;
    if (known && isUsable) return known.url;
    const made = await sessions.createForTokenExchange(call, request);
    if (made instanceof Refusal) return null;
    recentLinks.set(key, { id: made.session.id, url: made.url });
    return made.url;
  }

  async function connectionRequired(
    call: Call,
    { integration, label, scopes }: ExchangeRequest,
    owner: string,
    reason: string,
    connectionId: string | null,
  ): Promise<ExchangeFault> {
    // A renewal keeps the label and the scopes that the connection has.
    const which = connectionId === null ? { label, scopes } : { connectionId };
    const url = await connectLinkFor(call, { integration, owner, ...which });
    return { code: 'connection_required', reason, connectionId, url };
  }

  return {
    async exchange(call, request) {
      const subject = await ownerOf(request.subjectToken);
      const { integration, label, scopes, minTtlMs } = request;
      if ('code' in subject) {
        access.noteRefused(call, 'token.exchange', { integration, detail: `subject token: ${subject.reason}` });
        return subject;
      }
      const { owner } = subject;
      // What the caller may not know of is refused like an integration that does not exist, without a link to connect.
      if (!sees(call, { integration, owner })) {
        access.denied(call, 'token', integration, owner);
        return { code: 'unknown_integration' };
      }
      const served = await reader.read(call, { integration, owner, label }, minTtlMs);
      if (!(served instanceof Refusal)) {
        const granted = served.connection.scopes;
        const missing = (scopes ?? []).filter((scope) => !granted.includes(scope));
        return missing.length > 0 ? { code: 'insufficient_scopes', missing } : served;
      }
      const { fault } = served;
      switch (fault.code) {
        case 'not_found': {
          if (!(await store.integration(integration))) return { code: 'unknown_integration' };
          return connectionRequired(call, request, owner, 'not_connected', null);
        }
        case 'connection_revoked':
          return connectionRequired(call, request, owner, 'connection_revoked', null);
        case 'reauthorization_required':
          return connectionRequired(call, request, owner, fault.reason, fault.connection_id);
        default:
          return served;
      }
    },
  };
}
