// Whose call it is and where it goes, for limits and breakers.
import type { ServedToken } from '../../cache/index.ts';
import type { PreparedCall } from '../prepared-calls.ts';
import type { GuardedPlace } from './guarded-calls.ts';

/** Most calls with a token are of one caller. */
const latest = new WeakMap<PreparedCall, GuardedPlace>();

/** `caller`: whose turn it takes among the others. */
export function guardedPlace(
  prepared: PreparedCall,
  { connection }: Pick<ServedToken, 'connection'>,
  caller: string,
): GuardedPlace {
  const known = latest.get(prepared);
  if (known?.caller === caller && known.connectionId === connection.id) return known;
  const { found, destination } = prepared;
  const { integration, provider } = found;
  const { id, params, captured } = connection;
  const limits = provider.rate_limits;
  const place = {
    integration,
    limits,
    connectionId: id,
    captured: limits === undefined ? captured : { ...params, ...captured },
    caller,
    host: destination.origin.replace(/^[a-z]+:\/\//, ''),
  };
  latest.set(prepared, place);
  return place;
}
