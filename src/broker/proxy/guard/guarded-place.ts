// Whose call it is and where it goes, for limits and breakers.
import type { Call } from '../../audit/index.ts';
import type { ServedToken } from '../../cache/index.ts';
import type { PreparedCall } from '../prepared-calls.ts';
import type { GuardedPlace } from './guarded-calls.ts';

export function guardedPlace(
  { found, destination }: Pick<PreparedCall, 'found' | 'destination'>,
  { connection }: Pick<ServedToken, 'connection'>,
  { principal }: Pick<Call, 'principal'>,
): GuardedPlace {
  const { integration, provider } = found;
  const { id, params, captured } = connection;
  const limits = provider.rate_limits;
  return {
    integration,
    limits,
    connectionId: id,
    captured: limits === undefined ? captured : { ...params, ...captured },
    caller: principal.caller.id,
    host: destination.origin.replace(/^[a-z]+:\/\//, ''),
  };
}
