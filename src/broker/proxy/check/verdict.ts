// What the answer to a check says: of the token, and of whose it is.
import { accountCaptures, accountOf, isOtherAccount, storedAccount, toTextValues } from '../../../domain/account.ts';
import type { Whoami } from '../../../domain/api-dialect.ts';
import type { AuthMode } from '../../../domain/auth-modes.ts';
import type { Account, Connection } from '../../../domain/connection.ts';
import { fill, type Values } from '../../../domain/fields.ts';
import { parseJson } from '../../../domain/json.ts';
import { at } from '../../../domain/json-path.ts';

/** As it was received: `body` as far as it was read. */
export interface WhoamiAnswer {
  status: number;
  /** Of RFC 6750 3, in one text; empty: none. */
  challenge: string;
  body: string;
}

/**
 * - `accepted`: the token works
 * - `rejected`: it does not, and another one may
 * - `forbidden`: it may not do this, which says nothing of it
 * - `unavailable`: the API has failed
 * - `unexpected`: an answer that the catalogue's entry does not know
 */
export type TokenVerdict = 'accepted' | 'rejected' | 'forbidden' | 'unavailable' | 'unexpected';

/** `whoami`: what the entry says of its answers. Limits are told before this. */
export function tokenVerdict(whoami: Whoami, { status, challenge, body }: WhoamiAnswer): TokenVerdict {
  if (status >= 200 && status < 300) return healthVerdict(whoami, body);
  // RFC 6750 3.1: the token is valid, and has not the scope.
  if (whoami.proves.includes(status) || /\binsufficient_scope\b/.test(challenge)) return 'accepted';
  if (status === 401 || whoami.rejects.includes(status)) return 'rejected';
  if (status === 403) return 'forbidden';
  return status >= 500 ? 'unavailable' : 'unexpected';
}

function healthVerdict({ healthy_when: condition }: Whoami, body: string): TokenVerdict {
  if (condition === undefined) return 'accepted';
  const answer = parseJson(body);
  if (answer === undefined) return 'unexpected';
  const value = at(answer, condition.path) ?? null;
  const isHealthy =
    condition.equals === undefined ? (value !== null) === condition.present : value === condition.equals;
  return isHealthy ? 'accepted' : 'rejected';
}

export interface ToldAccount {
  /** As far as it is known, for people. */
  account: Account | null;
  /** It is another one than the connection is of. */
  isOther: boolean;
}

interface Known {
  auth: AuthMode;
  /** Of the target. */
  values: Values;
  connection: Pick<Connection, 'account' | 'captured' | 'identity' | 'params'>;
  /** Where ids are unique that no rule tells. */
  origin: string;
}

/**
 * What the answer tells is put in place of what was captured at the connect: the account is another one where the mode's rule
 * then tells another one (decision 18), or where a value that no rule uses differs. What it does not tell says nothing.
 */
export function toldAccount(whoami: Whoami, body: string, { auth, values, connection, origin }: Known): ToldAccount {
  const { captured, identity, params } = connection;
  const stored = storedAccount(auth, values, connection);
  const answer = parseJson(body);
  const told = toTextValues(
    Object.fromEntries(
      Object.entries(whoami.identity).map(([name, path]) => [name, at(answer, fill(path, values) ?? path)]),
    ),
  );
  const subject = whoami.subject === undefined ? undefined : textOf(at(answer, whoami.subject));
  const now = accountOf(auth, {
    values,
    captured: { ...captured, ...told },
    identity: identity && subject !== undefined ? { ...identity, subject } : identity,
  });
  const before = toTextValues({ ...params, ...captured });
  const ruled = accountCaptures(auth);
  const differs = Object.entries(told).some(
    ([name, value]) => !ruled.includes(name) && Object.hasOwn(before, name) && before[name] !== value,
  );
  const id = whoami.account === undefined ? undefined : textOf(at(answer, whoami.account));
  const isOther = isOtherAccount(stored, now) || differs;
  return {
    account: (isOther ? now : stored) ?? now ?? (id === undefined ? null : { issuer: origin, id, name: null }),
    isOther,
  };
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
