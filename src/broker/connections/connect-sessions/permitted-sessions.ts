// Which connect sessions a caller knows of: one whose owner has not chosen yet is of each of its integrations.
import type { Refusal } from '../../../domain/errors.ts';
import { type ConnectSession, integrationsOf } from '../../../domain/integration.ts';
import { type Access, type Call, sees } from '../../audit/index.ts';

export const seesSession = (call: Call, session: ConnectSession): boolean =>
  integrationsOf(session).some((integration) => sees(call, { integration, owner: session.owner }));

/** Undefined: the caller has `connections:write` for all that it may become. */
export const deniedSession = (
  access: Pick<Access, 'denied'>,
  call: Call,
  session: ConnectSession,
): Refusal | undefined => {
  for (const integration of integrationsOf(session)) {
    const denied = access.denied(call, 'connections:write', integration, session.owner);
    if (denied) return denied;
  }
  return undefined;
};
