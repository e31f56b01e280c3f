// Who a token exchange is for: the owner whom the subject token names, and who may act for them (RFC 8693 2.1, 4.4).
import { ageFault, type CredentialReason, credentialFault } from '../../../domain/jwt-credential.ts';
import { identifies, type Party } from '../../../domain/may-act.ts';
import { ownerOf } from '../../../domain/trusted-issuer.ts';
import type { Clock, JwtReason, JwtVerifier, TrustedIssuer } from '../../../ports/index.ts';
import type { Call } from '../../audit/index.ts';
import type { TrustedIssuers } from '../../integrations/index.ts';

/** Why a subject token or an actor token is not accepted. Stable: callers branch on these. */
export type ExchangeTokenReason =
  | JwtReason
  | CredentialReason
  /** The issuer is listed, without `exchange: true`. */
  | 'exchange_not_allowed'
  | 'invalid_owner'
  /** The subject token's `may_act` names another party than the actor, or than the caller where there is no actor. */
  | 'actor_not_allowed';

export interface InvalidToken {
  code: 'invalid_subject';
  reason: ExchangeTokenReason;
  token: 'subject' | 'actor';
  /** If it is trusted for something. */
  issuer?: string | undefined;
  /** Verified. */
  subject?: string | undefined;
  /** The claim that has to name the owner. */
  claim?: string | undefined;
  /** With `issuer_unavailable`: why its keys cannot be fetched, for operators. */
  why?: string | undefined;
}

export interface ExchangedIdentity {
  owner: string;
  issuer: string;
  /** The `sub`; undefined: it has none, another claim names the owner. */
  subject: string | undefined;
  actor: { issuer: string; subject: string | undefined } | undefined;
}

/** Verifies the tokens of an exchange. Rejects with `StoreError`. */
export type IdentifyExchange = (
  call: Call,
  subjectToken: string,
  actorToken: string | undefined,
) => Promise<ExchangedIdentity | InvalidToken>;

export interface ExchangedIdentityParts {
  verifier: JwtVerifier;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  clock: Clock;
  publicUrl: string;
}

interface Accepted {
  trusted: TrustedIssuer;
  claims: Record<string, unknown>;
}

export function createExchangedIdentity(parts: ExchangedIdentityParts): IdentifyExchange {
  const { verifier, trustedIssuers, clock, publicUrl } = parts;

  /** Of a listed issuer, made for the broker or an audience that is listed, and fit to be used as a credential. */
  async function accept(text: string, token: InvalidToken['token']): Promise<Accepted | InvalidToken> {
    const issuer = verifier.claimedIssuer(text);
    const refused = (reason: ExchangeTokenReason, more: Partial<InvalidToken> = {}): InvalidToken => ({
      code: 'invalid_subject',
      reason,
      token,
      ...more,
    });
    if (issuer === undefined) return refused('malformed');
    const trusted = await trustedIssuers.find(issuer);
    if (!trusted) return refused('untrusted_issuer');
    if (!trusted.isListed) return refused('untrusted_issuer', { issuer });
    if (token === 'subject' && !trusted.owner) return refused('exchange_not_allowed', { issuer });
    const verdict = await verifier.verify(text, trusted, { audiences: [publicUrl, ...trusted.audiences] });
    if (!verdict.active) return refused(verdict.reason, { issuer, why: verdict.detail });
    const { claims } = verdict;
    const fault = credentialFault(claims) ?? ageFault(claims, trusted.maxAge, clock.now() / 1_000);
    return fault ? refused(fault, { issuer, subject: subjectOf(claims) }) : { trusted, claims };
  }

  return async (call, subjectToken, actorToken) => {
    const subject = await accept(subjectToken, 'subject');
    if ('code' in subject) return subject;
    const actor = actorToken === undefined ? undefined : await accept(actorToken, 'actor');
    if (actor && 'code' in actor) return actor;
    const { trusted, claims } = subject;
    const { issuer } = trusted;
    const known = { code: 'invalid_subject', token: 'subject', issuer, subject: subjectOf(claims) } as const;
    const owner = trusted.owner && ownerOf(trusted.owner, claims);
    if (owner === undefined) return { ...known, reason: 'invalid_owner', claim: trusted.owner?.claim };
    if (Object.hasOwn(claims, 'may_act')) {
      const party = actor ? { issuer: actor.trusted.issuer, claims: actor.claims } : partyOf(call, publicUrl);
      if (!identifies(claims.may_act, party, issuer)) return { ...known, reason: 'actor_not_allowed' };
    }
    const named = actor && { issuer: actor.trusted.issuer, subject: subjectOf(actor.claims) };
    return { owner, issuer, subject: known.subject, actor: named };
  };
}

const subjectOf = ({ sub }: Record<string, unknown>): string | undefined => (typeof sub === 'string' ? sub : undefined);

/** Without an actor token, the client itself is the party that acts. */
function partyOf({ principal: { caller, credential } }: Call, publicUrl: string): Party {
  if (credential.kind === 'workload')
    return { issuer: credential.issuer, claims: { iss: credential.issuer, sub: credential.subject } };
  return { issuer: undefined, claims: { iss: publicUrl, sub: caller.id, client_id: caller.id } };
}
