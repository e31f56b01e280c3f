// Token exchange (RFC 8693): a user's JWT in, that user's token at a third party out. The caller needs the right to the
// token all the same; the JWT says whose it is to be.
import { LRUCache } from 'lru-cache';
import { Refusal } from '../../domain/errors.ts';
import { INVITATION_REUSE_MS } from '../../domain/time-limits.ts';
import type { Clock, JwtReason, JwtVerifier, Store } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import type { ServedToken } from '../cache/index.ts';
import type { Invitation, Sessions } from '../connections/index.ts';
import type { TrustedIssuers } from '../integrations/index.ts';
import type { TokenReader } from './token-reader.ts';

export interface ExchangeRequest {
  subjectToken: string;
  integration: string;
  /** Undefined: whatever was granted. */
  scopes: string[] | undefined;
  label: string | undefined;
  minTtlMs: number | undefined;
}

/** Why there is no token, where that is not one of the refusals that a read of a token has. */
export type ExchangeFault =
  | { code: 'invalid_subject'; reason: JwtReason | 'invalid_owner' }
  | { code: 'unknown_integration' }
  | { code: 'insufficient_scopes'; missing: string[] }
  /** `url`: where the owner connects; null where that is not done in a browser. `connectionId`: of the one to renew. */
  | { code: 'connection_required'; reason: string; connectionId: string | null; url: string | null };

export type ExchangeResult = { served: ServedToken } | ExchangeFault;

interface Parts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  /** Audiences of subject tokens that the configuration names, by issuer. */
  audiences: ReadonlyMap<string, readonly string[]>;
  tokens: Pick<TokenReader, 'byOwner'>;
  sessions: Pick<Sessions, 'invite'>;
  store: Pick<Store, 'integration' | 'session'>;
  access: Access;
  clock: Clock;
  publicUrl: string;
}

export type TokenExchange = ReturnType<typeof createTokenExchange>;

/** What an owner may be, wherever one is named. */
const OWNER = /^[^\p{Cc}*]{1,255}$/u;

export function createTokenExchange(parts: Parts) {
  const { verifier, trustedIssuers, audiences, tokens, sessions, store, access, clock, publicUrl } = parts;
  const invited = new LRUCache<string, { id: string; url: string }>({ max: 1_000, ttl: INVITATION_REUSE_MS });

  /** The `sub` of a token that is for us: made for the broker, or for an audience that the configuration names. */
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

  /**
   * Where the owner connects. The owner's own token stands for the right to invite them: nobody is invited but whoever it
   * speaks of.
   */
  async function invite(call: Call, wanted: Invitation): Promise<string | null> {
    const name = JSON.stringify([call.principal.caller.id, wanted]);
    const known = invited.get(name);
    const session = known && (await store.session(known.id));
    const lives = session?.status === 'pending' && session.expiresAt - clock.now() > INVITATION_REUSE_MS / 2;
    if (known && lives) return known.url;
    const made = await sessions.invite(call, wanted);
    if (made instanceof Refusal) return null;
    invited.set(name, { id: made.session.id, url: made.url });
    return made.url;
  }

  async function connectionRequired(
    call: Call,
    { integration, label, scopes }: ExchangeRequest,
    owner: string,
    reason: string,
    connectionId: string | null,
  ): Promise<ExchangeFault> {
    // One that is renewed keeps its label, and is not made less than it was.
    const which = connectionId === null ? { label, scopes } : { connectionId };
    const url = await invite(call, { integration, owner, ...which });
    return { code: 'connection_required', reason, connectionId, url };
  }

  return async function exchange(call: Call, wanted: ExchangeRequest): Promise<ExchangeResult | Refusal> {
    const subject = await ownerOf(wanted.subjectToken);
    const { integration, label, scopes, minTtlMs } = wanted;
    if ('code' in subject) {
      access.noteRefused(call, 'token.exchange', { integration, detail: `subject token: ${subject.reason}` });
      return subject;
    }
    const { owner } = subject;
    const served = await tokens.byOwner(call, { integration, owner, label }, minTtlMs);
    if (!(served instanceof Refusal)) {
      const has = served.connection.scopes;
      const missing = (scopes ?? []).filter((scope) => !has.includes(scope));
      return missing.length > 0 ? { code: 'insufficient_scopes', missing } : { served };
    }
    const { fault } = served;
    switch (fault.code) {
      case 'not_found': {
        if (!(await store.integration(integration))) return { code: 'unknown_integration' };
        return connectionRequired(call, wanted, owner, 'not_connected', null);
      }
      case 'connection_revoked':
        return connectionRequired(call, wanted, owner, 'connection_revoked', null);
      case 'reauthorization_required':
        return connectionRequired(call, wanted, owner, fault.reason, fault.connection_id);
      default:
        return served;
    }
  };
}
