// The values by which a webhook or signal finds the connections that it is about: exact, of live connections only.
import type { Connection } from './connection.ts';

/** A row of `captured_values`. `id`: the connection's id and the key, with a colon in between. */
export interface CapturedValue {
  id: string;
  connectionId: string;
  integration: string;
  key: string;
  value: string;
}

type Source = Pick<Connection, 'captured' | 'account' | 'identity'>;

const MAX_LENGTH = 256;

/**
 * `captured.<name>`, `params.<name>`, `account.id` and `identity.sub`: scalars of 1 to 256 characters, as the migration that added the table
 * has them. What is nested or longer finds nothing.
 */
export function capturedValues({
  id: connectionId,
  integration,
  params,
  ...source
}: Pick<Connection, 'id' | 'integration' | 'params'> & Source): CapturedValue[] {
  const all = { ...prefixed('params', params), ...refreshedValues(source) };
  return Object.entries(all).map(([key, value]) => ({
    id: `${connectionId}:${key}`,
    connectionId,
    integration,
    key,
    value,
  }));
}

/** Whether a refresh leaves them as they are: then nothing is written. */
export const keepsCapturedValues = (before: Source, after: Source): boolean => {
  const [one, other] = [refreshedValues(before), refreshedValues(after)];
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key]);
};

/** Those that a refresh may change. */
const refreshedValues = ({ captured, account, identity }: Source): Record<string, string> => ({
  ...prefixed('captured', captured),
  ...(account && isUsable(account.id) && { 'account.id': account.id }),
  ...(identity && isUsable(identity.subject) && { 'identity.sub': identity.subject }),
});

function prefixed(prefix: string, values: Record<string, unknown>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') continue;
    const text = String(value);
    if (isUsable(text)) found[`${prefix}.${name}`] = text;
  }
  return found;
}

const isUsable = (text: string): boolean =>
  text !== '' && (text.length <= MAX_LENGTH || (text.length <= 2 * MAX_LENGTH && [...text].length <= MAX_LENGTH));
