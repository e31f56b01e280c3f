// Why a connection does not work: in one sentence, since when, who can fix it and how. The one place for these words: the API,
// the command line, problems and the console show them. Pure.
import type { Cause, FixableBy } from './cause.ts';
import type { Connection } from './connection.ts';
import type { HoldReason, ReauthReason } from './errors.ts';
import {
  CHECK_CAUSES,
  type CheckReason,
  CIRCUIT_CAUSES,
  type CircuitCause,
  DISABLED_CAUSES,
  HOLD_CAUSES,
  INTEGRATION_CAUSES,
  type IntegrationProblem,
  misconfiguredCause,
  OTHER_CAUSES,
  REAUTH_CAUSES,
  refreshErrorCause,
} from './explanation-causes.ts';
import type { WebhookEndpoint } from './webhook-endpoint.ts';

export type { CircuitCause, FixableBy, IntegrationProblem };

/** Times are ms since the epoch. */
export interface Explanation {
  /** Why, in one sentence. Names neither the owner nor a secret. */
  summary: string;
  /** Since when, or at the earliest since when; null: not known. */
  since: number | null;
  fixableBy: FixableBy;
  /** What that one does, in one sentence. */
  how: string;
  /** When the broker tries again by itself, or may; null: it does not, or that is not known. */
  until: number | null;
}

/** Of a circuit that is open: nothing but probes is sent to the token endpoint. */
export interface OpenCircuitFacts {
  cause: CircuitCause;
  /** The provider's code, or ours. */
  code: string;
  since: number;
  /** When the next probe is due. */
  until: number;
}

/** What is known where it is asked. Null: it is not so. */
export interface ExplanationFacts {
  connection: Pick<
    Connection,
    | 'status'
    | 'reason'
    | 'failures'
    | 'issuedAt'
    | 'lastRefreshedAt'
    | 'lastRefreshError'
    | 'lastCheckedAt'
    | 'lastCheckError'
    | 'nextRefreshAt'
    | 'updatedAt'
  >;
  /** The provider's name, for people. */
  provider: string;
  /** Why no request of the integration can be made. */
  integration: IntegrationProblem | null;
  /** The provider refuses the client of the integration, as a replica has found. */
  refused: { code: string; since: number } | null;
  /** Of the token endpoint, in the process that answers. */
  circuit: OpenCircuitFacts | null;
  /** A host of the API whose circuit breaker is open, in the process that answers. */
  failingHost: string | null;
  /** Until when the API has asked not to be called. */
  limitedUntil: number | null;
}

/** Null: it works, as far as is known. The first that applies, from what ends everything to what passes by itself. */
export function explain(facts: ExplanationFacts): Explanation | null {
  const { connection: c, provider, integration, refused, circuit } = facts;
  const because = (cause: Cause, since: number | null, until: number | null = null): Explanation =>
    explanationOf(cause, provider, { since, until });

  if (c.status === 'revoked') return because(OTHER_CAUSES.revoked, c.updatedAt);
  if (integration !== null) return because(INTEGRATION_CAUSES[integration], null);
  if (c.status === 'on_hold') return because(HOLD_CAUSES.account_disabled, c.updatedAt);
  if (c.status === 'needs_reauth') return because(reauthCause(c.reason), c.updatedAt);
  if (refused !== null)
    return because(misconfiguredCause(refused.code), refused.since, circuit === null ? c.nextRefreshAt : circuit.until);
  if (circuit !== null) return because(circuitCause(circuit), circuit.since, circuit.until);
  const error = c.failures > 0 ? c.lastRefreshError : null;
  if (error !== null)
    return because(refreshErrorCause(error.code), failingSince(facts), error.retryAt === null ? null : c.nextRefreshAt);
  // A host that fails and a limit explain why a check has failed, and are newer.
  if (facts.limitedUntil !== null) return because(OTHER_CAUSES.limited, null, facts.limitedUntil);
  if (facts.failingHost !== null) return because(OTHER_CAUSES.failing_host, null);
  if (c.lastCheckError !== null) return because(checkCause(c.lastCheckError), c.lastCheckedAt);
  return null;
}

/** Why an integration as a whole does not refresh; null: it does, as far as is known. */
export function explainIntegration(
  facts: Pick<ExplanationFacts, 'provider' | 'integration' | 'refused' | 'circuit'>,
): Explanation | null {
  const { provider, integration, refused, circuit } = facts;
  if (integration !== null) return explanationOf(INTEGRATION_CAUSES[integration], provider);
  if (refused !== null)
    return explanationOf(misconfiguredCause(refused.code), provider, {
      since: refused.since,
      until: circuit?.until ?? null,
    });
  return circuit && explanationOf(circuitCause(circuit), provider, circuit);
}

/** Why nothing is delivered to a webhook endpoint, or deliveries fail; null: it works, as far as is known. */
export function explainEndpoint({
  enabled,
  disabledReason,
  failingSince,
  updatedAt,
}: Pick<WebhookEndpoint, 'enabled' | 'disabledReason' | 'failingSince' | 'updatedAt'>): Explanation | null {
  if (!enabled)
    return explanationOf(DISABLED_CAUSES[disabledReason ?? 'disabled_by_caller'], '', {
      since: failingSince ?? updatedAt,
      until: null,
    });
  return failingSince === null
    ? null
    : explanationOf(OTHER_CAUSES.failing_endpoint, '', { since: failingSince, until: null });
}

/** Of a problem, which names no provider. */
export const explainReason = (reason: ReauthReason | HoldReason): Explanation =>
  explanationOf(reason === 'account_disabled' ? HOLD_CAUSES[reason] : REAUTH_CAUSES[reason], 'The provider');

/** The same of a discovery that begins at a protected resource. */
export const explainDiscovery = (reason: string): Explanation =>
  explanationOf(misconfiguredCause(reason), 'The provider');

/** The same of a failed refresh; `code` as it is stored with the connection. */
export const explainRefreshError = (code: string): Explanation =>
  explanationOf(refreshErrorCause(code), 'The provider');

function explanationOf(
  { summary, fixableBy, how }: Cause,
  provider: string,
  { since, until }: Pick<Explanation, 'since' | 'until'> = { since: null, until: null },
): Explanation {
  const named = (text: string) => text.replaceAll('{provider}', provider);
  return { summary: named(summary), since, fixableBy, how: named(how), until };
}

const circuitCause = ({ cause, code }: OpenCircuitFacts): Cause =>
  cause === 'client_fault' ? misconfiguredCause(code) : CIRCUIT_CAUSES[cause];

/** The store keeps the last failure only: of several, at the earliest since the last success. */
const failingSince = ({ connection: c }: ExplanationFacts): number | null =>
  c.failures === 1 && c.lastRefreshError ? c.lastRefreshError.at : (c.lastRefreshedAt ?? c.issuedAt);

/** A newer version may have written another reason. */
const reauthCause = (reason: string | null): Cause =>
  reason !== null && Object.hasOwn(REAUTH_CAUSES, reason)
    ? REAUTH_CAUSES[reason as ReauthReason]
    : REAUTH_CAUSES.grant_revoked;

const checkCause = (reason: string): Cause =>
  Object.hasOwn(CHECK_CAUSES, reason) ? CHECK_CAUSES[reason as CheckReason] : CHECK_CAUSES.unexpected_answer;
