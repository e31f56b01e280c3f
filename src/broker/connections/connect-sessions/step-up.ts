// Step-up: an API wants further scopes of a connection (RFC 6750 3.1, `insufficient_scope`). Its owner is asked for what was asked
// before and what the challenge names, so that nothing is lost; only a few times an hour, since some servers are never content.
import type { Connection } from '../../../domain/connection.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { ConnectSession } from '../../../domain/integration.ts';
import { fitsRequest, parseBearerChallenge } from '../../../domain/protected-resource.ts';
import { STEP_UP_WINDOW_MS } from '../../../domain/time-limits.ts';
import type { ResourceChallenge } from '../../../ports/index.ts';
import type { Challenges } from '../../resources/index.ts';

/** Of one connection within `STEP_UP_WINDOW_MS`, its first one and renewals included: a step-up is no further one. */
const MOST_AUTHORIZATIONS = 3;

export interface StepUp {
  /**
   * The request with all scopes; without a challenge, as it is, and without a connection that is there for who asks: its scopes
   * are told to no one else. Refuses with `invalid_request`. Rejects with `StoreError`.
   */
  widened<R extends StepUpRequest>(request: R, connection: Connection | undefined): Promise<R | Refusal>;
  /** Which authorizations count, and how many there may be. */
  counted(now: number): { since: number; most: number };
  exhausted(session: Pick<ConnectSession, 'connectionId'>): Refusal;
}

interface StepUpRequest {
  scopes?: string[] | undefined;
  connectionId?: string | undefined;
  challenge?: ResourceChallenge | undefined;
}

export function createStepUp({ challenges }: { challenges: Pick<Challenges, 'sourceOf'> }): StepUp {
  return {
    async widened(request, connection) {
      const { challenge, connectionId, scopes = [] } = request;
      if (challenge === undefined) return request;
      if (connectionId === undefined) return invalid('connection_id', 'is required with a challenge');
      const named = parseBearerChallenge(challenge.wwwAuthenticate);
      if (!named) return invalid('challenge.www_authenticate', 'has no Bearer challenge (RFC 6750)');
      if (!connection) return request;
      const before = (await challenges.sourceOf(connection))?.asked ?? [];
      const all = new Set([...before, ...connection.scopes, ...scopes, ...(named.scopes ?? [])]);
      if (!fitsRequest([...all]))
        return invalid('challenge.www_authenticate', 'asks for more scopes than an authorization request has room for');
      return { ...request, scopes: [...all] };
    },
    counted: (now) => ({ since: now - STEP_UP_WINDOW_MS, most: MOST_AUTHORIZATIONS }),
    exhausted: ({ connectionId }) =>
      refuse({
        code: 'step_up_exhausted',
        connection_id: connectionId ?? '',
        retryAfter: STEP_UP_WINDOW_MS / 1_000,
      }),
  };
}

const invalid = (path: string, message: string): Refusal =>
  refuse({
    code: 'invalid_request',
    detail: 'the connect session has invalid settings',
    issues: [{ path, message }],
  });
