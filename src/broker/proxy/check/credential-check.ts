// Checks credentials that an owner has entered, before they are stored: with them, the API is called in the way that tells whose
// they are. Where tokens are requested with them, one is requested first.
import { isMinted } from '../../../domain/auth-modes.ts';
import type { Account, Connection, Credentials } from '../../../domain/connection.ts';
import { type FaultCode, Refusal } from '../../../domain/errors.ts';
import { readLimit } from '../../../domain/limit-reading.ts';
import { CHECK_DEADLINE_MS } from '../../../domain/time-limits.ts';
import { type Clock, type ProviderClient, type ProviderFault, UpstreamError } from '../../../ports/index.ts';
import { toServedToken } from '../../cache/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import { type TokenVerdict, tokenVerdict, toldAccount } from './verdict.ts';
import { whoamiCallOf } from './whoami-call.ts';
import { createWhoamiSender, type WhoamiSenderParts } from './whoami-sender.ts';

export interface CheckedCredentials {
  /** `unchecked`: nothing that can be called tells whether they work. */
  verdict: 'accepted' | 'unchecked' | 'rejected' | 'unexpected' | 'unavailable';
  account: Account | null;
  /** The API has answered with what its call asks for. `accepted` alone may be a refusal that only a key that works gets. */
  isProved: boolean;
}

const of = (verdict: CheckedCredentials['verdict']): CheckedCredentials => ({
  verdict,
  account: null,
  isProved: false,
});

/** Once, with no second try. `connection`: as it would be stored. Rejects with `StoreError`. */
export type CredentialCheck = (connection: Connection, credentials: Credentials) => Promise<CheckedCredentials>;

export interface CredentialCheckParts extends WhoamiSenderParts {
  targets: Targets;
  provider: Pick<ProviderClient, 'userinfoEndpoint' | 'refresh'>;
  clock: Clock;
  publicUrl: string;
}

export function createCredentialCheck(parts: CredentialCheckParts): CredentialCheck {
  const { targets, provider, clock, publicUrl } = parts;
  const sender = createWhoamiSender(parts);

  /** The token that the API is called with; a verdict where there is none. */
  async function tokenOf(
    found: ResolvedIntegration,
    connection: Connection,
    credentials: Credentials,
  ): Promise<{ connection: Connection; accessToken: string } | CheckedCredentials['verdict']> {
    if (!isMinted(found.auth))
      return credentials.accessToken === null ? 'rejected' : { connection, accessToken: credentials.accessToken };
    const { identity, scopes, captured } = connection;
    const redirectUri = `${publicUrl}/oauth2/callback/${connection.integration}`;
    const target = targets.targetOf(found, connection);
    const answer = await provider.refresh(target, {
      identity,
      scopes,
      captured,
      account: null,
      credentials,
      redirectUri,
    });
    if (!answer.ok) return OF_FAULT[answer.fault.kind];
    const { accessToken, tokenType, expiresIn } = answer.value;
    const now = clock.now();
    const expiresAt = expiresIn === undefined ? null : Math.floor(now + expiresIn * 1_000);
    return { connection: { ...connection, tokenType, issuedAt: now, expiresAt }, accessToken };
  }

  return async (unstored, credentials) => {
    const found = await targets.find(unstored.integration);
    if (found instanceof Refusal) return of('unavailable');
    const token = await tokenOf(found, unstored, credentials);
    if (typeof token === 'string') return of(token);
    const { connection, accessToken } = token;
    const { values } = targets.targetOf(found, connection);
    const whoami = whoamiCallOf(found, connection, values, accessToken);
    // That a token was issued says as much.
    const untold = isMinted(found.auth) ? 'accepted' : 'unchecked';
    if (!whoami) return of(untold);
    try {
      const served = toServedToken(connection, accessToken, clock);
      // Each owner takes turns with the callers.
      const by = { caller: `owner ${connection.owner}`, served };
      const sent = await sender.send(whoami, found, by, AbortSignal.timeout(CHECK_DEADLINE_MS));
      if (sent instanceof Refusal) return of(UNAVAILABLE.includes(sent.fault.code) ? 'unavailable' : untold);
      const { answer, headers, origin } = sent;
      const { status, body } = answer;
      if (readLimit(found.provider.rate_limits, { status, headers, body, now: clock.now() }).isLimited)
        return of('unavailable');
      const verdict = OF_ANSWER[tokenVerdict(whoami.whoami, answer)];
      if (verdict !== 'accepted') return of(verdict);
      const known = { auth: found.auth, values, connection, origin };
      const { account, isOther } = toldAccount(whoami.whoami, body, known);
      return { verdict, account, isProved: !isOther && status < 300 };
    } catch (error) {
      if (error instanceof UpstreamError) return of('unavailable');
      throw error;
    }
  };
}

/** The API, or what stands before it, cannot be asked now. */
const UNAVAILABLE: readonly FaultCode[] = ['provider_unavailable', 'upstream_rate_limited', 'upstream_unavailable'];

const OF_ANSWER = {
  accepted: 'accepted',
  rejected: 'rejected',
  /** It may not do this, which says nothing of it. */
  forbidden: 'unchecked',
  unavailable: 'unavailable',
  unexpected: 'unexpected',
} as const satisfies Record<TokenVerdict, CheckedCredentials['verdict']>;

const OF_FAULT = {
  denied: 'rejected',
  grant_dead: 'rejected',
  /** The client is the connection's: it is what was entered. */
  misconfigured: 'rejected',
  transient: 'unavailable',
  invalid: 'unexpected',
  identity_changed: 'unexpected',
} as const satisfies Record<ProviderFault['kind'], CheckedCredentials['verdict']>;
