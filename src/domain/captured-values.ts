// The values by which a webhook or signal finds the connections that it is about: exact, of live connections only.
import type { Connection } from './connection.ts';

/** A row of `captured_values`. `id`: the connection's id and the key, with a colon in between; of a list, and the place in it. */
export interface CapturedValue {
  id: string;
  connectionId: string;
  integration: string;
  key: string;
  value: string;
}

type Source = Pick<Connection, 'captured' | 'account' | 'identity'>;

const MAX_LENGTH = 256;
/** Of a list. Those of tenants and sites have a few; what is captured is bounded, too. */
const MAX_ELEMENTS = 1_000;

/**
 * `captured.<name>`, `params.<name>`, `account.id` and `identity.sub`: scalars of 1 to 256 characters, and each that is in a list,
 * as the migrations `events` and `captured_lists` have them. What is nested deeper or longer finds nothing.
 */
export function capturedValues({
  id: connectionId,
  integration,
  params,
  ...source
}: Pick<Connection, 'id' | 'integration' | 'params'> & Source): CapturedValue[] {
  const all = { ...prefixed('params', params), ...refreshedValues(source) };
  return Object.entries(all).map(([place, value]) => ({
    id: `${connectionId}:${place}`,
    connectionId,
    integration,
    key: place.replace(/\[\d+\]$/, ''),
    value,
  }));
}

/** Whether a refresh leaves them as they are: then nothing is written. */
export const keepsCapturedValues = (before: Source, after: Source): boolean => {
  const isSameAccount =
    before.account?.id === after.account?.id && before.identity?.subject === after.identity?.subject;
  if (before.captured === after.captured && isSameAccount) return true;
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

/** By `<prefix>.<name>`, or `<prefix>.<name>[<index>]` in a list. */
function prefixed(prefix: string, values: Record<string, unknown>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) {
    const place = `${prefix}.${name}`;
    if (Array.isArray(value)) {
      const known = new Set<string>();
      for (const [i, text] of value.slice(0, MAX_ELEMENTS).map(textOf).entries()) {
        if (text === undefined || known.has(text)) continue;
        known.add(text);
        found[`${place}[${i}]`] = text;
      }
    } else {
      const text = textOf(value);
      if (text !== undefined) found[place] = text;
    }
  }
  return found;
}

/** Of a scalar that can be found. */
function textOf(value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return undefined;
  const text = String(value);
  return isUsable(text) ? text : undefined;
}

const isUsable = (text: string): boolean =>
  text !== '' && (text.length <= MAX_LENGTH || (text.length <= 2 * MAX_LENGTH && [...text].length <= MAX_LENGTH));
