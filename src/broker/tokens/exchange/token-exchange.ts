// Token exchange (RFC 8693): a user's JWT for that user's token at a third party. The caller needs permission for the token
// as in any read; the JWT only says who the owner is.
import { LRUCache } from 'lru-cache';
import { Refusal } from '../../../domain/errors.ts';
import { CONNECT_LINK_REUSE_MS } from '../../../domain/time-limits.ts';
import type { Clock, Store } from '../../../ports/index.ts';
import { type Access, type Call, sees } from '../../audit/index.ts';
import type { ServedToken } from '../../cache/index.ts';
import type { ConnectSessionRequest, ConnectSessions } from '../../connections/index.ts';
import type { TokenReader } from '../token-reader.ts';
import type { IdentifyExchange, InvalidToken } from './exchanged-identity.ts';
import { refusedInWords, subjectInWords } from './in-words.ts';

export interface ExchangeRequest {
  subjectToken: string;
  actorToken: string | undefined;
  integration: string;
  /** Scopes that the token must have. Undefined: any. */
  scopes: string[] | undefined;
  label: string | undefined;
  minTtlMs: number | undefined;
}

/** Why there is no token, beside the refusals of a token read. */
export type ExchangeFault =
  | InvalidToken
  | { code: 'unknown_integration' }
  | { code: 'insufficient_scopes'; missing: string[] }
  /** `url`: where the owner connects; null: not possible in a browser. `connectionId`: the connection to renew; null: a new one. */
  | { code: 'connection_required'; reason: string; connectionId: string | null; url: string | null };

export interface TokenExchange {
  /**
   * The token of the owner whom the subject token names. The subject token must come from an issuer that is listed for it, and
   * be made for the broker. Where the owner must connect (again), the fault has the URL of a connect session. Rejects with
   * `StoreError`.
   */
  exchange(call: Call, request: ExchangeRequest): Promise<ServedToken | ExchangeFault | Refusal>;
}

export interface TokenExchangeParts {
  identify: IdentifyExchange;
  reader: Pick<TokenReader, 'read'>;
  sessions: Pick<ConnectSessions, 'createForTokenExchange'>;
  store: Pick<Store, 'integration' | 'session'>;
  access: Access;
  clock: Clock;
}

export function createTokenExchange(parts: TokenExchangeParts): TokenExchange {
  const { identify, reader, sessions, store, access, clock } = parts;
  const recentLinks = new LRUCache<string, { id: string; url: string }>({ max: 1_000, ttl: CONNECT_LINK_REUSE_MS });

  /** Where the owner connects. The subject token permits a link for its owner, and for no one else. */
  async function connectLinkFor(call: Call, request: ConnectSessionRequest): Promise<string | null> {
    // By the credential: a session is its caller with fewer permissions, and a link ends with the key that made it.
    const { caller, credential } = call.principal;
    const key = JSON.stringify([caller.id, credential.id, request]);
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
      const subject = await identify(call, request.subjectToken, request.actorToken);
      const { integration, label, scopes, minTtlMs } = request;
      if ('code' in subject) {
        access.noteRefused(call, 'token.exchange', { integration, detail: refusedInWords(subject) });
        return subject;
      }
      const { owner } = subject;
      access.noteRead(call, 'token.exchange', { integration, owner, detail: subjectInWords(subject) });
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
