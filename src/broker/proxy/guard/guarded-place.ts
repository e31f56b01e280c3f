// Whose call it is and where it goes, for limits and breakers.
import type { ServedToken } from '../../cache/index.ts';
import type { PreparedCall } from '../prepared-calls.ts';
import type { GuardedPlace } from './guarded-calls.ts';

/** `caller`: whose turn it takes among the others. */
export function guardedPlace(
  { found, destination }: Pick<PreparedCall, 'found' | 'destination'>,
  { connection }: Pick<ServedToken, 'connection'>,
  caller: string,
): GuardedPlace {
  const { integration, provider } = found;
  const { id, params, captured } = connection;
  const limits = provider.rate_limits;
  return {
    integration,
    limits,
    connectionId: id,
    captured: limits === undefined ? captured : { ...params, ...captured },
    caller,
    host: destination.origin.replace(/^[a-z]+:\/\//, ''),
  };
}
