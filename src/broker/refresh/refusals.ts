// Why a connection cannot be served or refreshed now: the refusals that callers get.
import { type Connection, type RefreshError, reauthReasonOf } from '../../domain/connection.ts';
import { type ReauthReason, type Refusal, refuse } from '../../domain/errors.ts';
import { MISCONFIGURED_PREFIX } from '../../domain/explanation-causes.ts';
import type { ProviderFault } from '../../ports/index.ts';
import type { OpenCircuit } from './failures/circuits/circuit-breaker.ts';

/** Why the connection can be neither served nor refreshed; undefined when it can. */
export function refusalOf(c: Connection): Refusal | undefined {
  if (c.status === 'revoked') return refuse({ code: 'connection_revoked', connection_id: c.id });
  if (c.status === 'on_hold')
    return refuse({ code: 'connection_on_hold', connection_id: c.id, reason: 'account_disabled' });
  return c.status === 'needs_reauth' ? reauthorizationRequired(c.id, reauthReasonOf(c) ?? 'grant_revoked') : undefined;
}

export const reauthorizationRequired = (connectionId: string, reason: ReauthReason): Refusal =>
  refuse({ code: 'reauthorization_required', connection_id: connectionId, reason });

/** As it is stored with the connection. */
export const errorCode = (fault: ProviderFault): RefreshError['code'] =>
  fault.kind === 'misconfigured' ? `${MISCONFIGURED_PREFIX}${fault.code}` : fault.code;

/** `code`: of `errorCode`. `waitMs`: how long to wait before the next read. */
export function unavailable(
  { integration }: Pick<Connection, 'integration'>,
  code: string,
  detail: string,
  waitMs: number,
): Refusal {
  if (code.startsWith(MISCONFIGURED_PREFIX))
    return refuse({ code: 'integration_misconfigured', integration, detail, cause: code });
  const retryAfter = Math.max(1, Math.ceil(waitMs / 1_000));
  return refuse({ code: 'provider_unavailable', integration, detail, retryAfter, cause: code });
}

export const circuitOpen = (c: Pick<Connection, 'integration'>, { fault, retryIn }: OpenCircuit): Refusal =>
  unavailable(c, errorCode(fault), fault.detail, retryIn);
