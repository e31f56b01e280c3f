// What takes more than the permission to change an integration: what sends its secrets elsewhere, locks out workloads, or says who
// signs in to the console.
import { allows } from '../../../domain/caller.ts';
import { type Refusal, refuse } from '../../../domain/errors.ts';
import type { Access, Call } from '../../audit/index.ts';
import type { OpenIdClient } from '../openid-clients.ts';
import type { PlannedIntegration } from './planner.ts';

type Change = Pick<PlannedIntegration, 'redirected' | 'client' | 'isNewClient' | 'shadowsWorkloads'>;

/** Why the caller may not make this change of an integration that it may change; undefined: it may. */
export type MayNotChange = (call: Call, id: string, change: Change) => Refusal | undefined;

interface Parts {
  access: Pick<Access, 'denied' | 'noteRefused'>;
  /** Why the caller may not say who signs in to the console with this integration; undefined: it may, or no one signs in with it. */
  mayNotSignIn: (call: Call, id: string) => Refusal | undefined;
}

export const createChangePermissions =
  ({ access, mayNotSignIn }: Parts): MayNotChange =>
  (call, id, { redirected, client, isNewClient, shadowsWorkloads }) =>
    (redirected.length > 0 ? mayRedirect(access, call, id) : undefined) ??
    (client && shadowsWorkloads ? mayShadow(access, call, id, client) : undefined) ??
    (client && (isNewClient || redirected.length > 0) ? mayNotSignIn(call, id) : undefined);

/**
 * The refresh tokens of its connections, and codes of flows in flight, would be sent to the new destination: for that a caller
 * must be allowed to have every token of the integration. Without connections, it can be deleted and set up again.
 */
const mayRedirect = (access: Pick<Access, 'denied'>, call: Call, id: string): Refusal | undefined =>
  access.denied(call, 'token', id, '*', undefined, { scopes: [] });

/** Who manages the callers may do it: workloads that authenticate with tokens for this client would be locked out. */
function mayShadow(
  access: Pick<Access, 'noteRefused'>,
  call: Call,
  id: string,
  { issuer, clientId }: OpenIdClient,
): Refusal | undefined {
  if (allows(call.principal.caller.permissions, 'admin', '*', '*')) return undefined;
  const detail = 'client_id is the audience of a workload binding at its issuer';
  access.noteRefused(call, 'access.denied', { integration: id, owner: '*', detail });
  const message = `"${clientId}" is the audience of a workload binding at ${issuer}, whose tokens would be taken for ID tokens of this integration and refused: use another client, or ask an admin of everything`;
  return refuse({
    code: 'invalid_request',
    detail: `integration "${id}" would lock out workloads`,
    issues: [{ path: 'client_id', message }],
  });
}
