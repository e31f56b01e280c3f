// Whose grant it is: the account at the provider, read as the catalogue says, and compared when a grant is renewed.
import { type AuthMode, isCode } from './auth-modes.ts';
import type { Account, Connection, Identity } from './connection.ts';
import { fill, placeholders, type Values } from './fields.ts';

/** What a provider told: values of the target, captured ones, and the ID token. */
export interface Told {
  values: Values;
  captured: Record<string, unknown>;
  identity: Identity | null | undefined;
  /** A readable name in the ID token. */
  name?: string | null | undefined;
}

/** The account; null when the provider did not tell. Where no rule of the catalogue applies, the ID token tells. */
export function accountOf(auth: AuthMode, { values, captured, identity, name }: Told): Account | null {
  if (!isCode(auth)) return null;
  const where = auth.account && fill(auth.account.issuer, values);
  if (auth.account === undefined || where === undefined)
    return identity ? checked({ issuer: identity.issuer, id: identity.subject, name: name ?? null }) : null;
  const all = { ...values, ...toTextValues(captured) };
  const first = (templates: readonly string[]) => templates.map((one) => fill(one, all)).find((one) => one);
  const { id, id_pattern: pattern, name: names } = auth.account;
  const whole = first(id);
  const who = pattern === undefined || whole === undefined ? whole : new RegExp(pattern, 'u').exec(whole)?.[1];
  return who === undefined ? null : checked({ issuer: where, id: who, name: first(names) ?? null });
}

/** True if both are known and differ. The name does not count: it may change. */
export const isOtherAccount = (a: Account | null | undefined, b: Account | null | undefined): boolean =>
  !!a && !!b && (a.issuer !== b.issuer || a.id !== b.id);

/** The account of a stored connection, also of one from before accounts were stored. */
export const storedAccount = (
  auth: AuthMode,
  values: Values,
  { account, captured, identity }: Pick<Connection, 'account' | 'captured' | 'identity'>,
): Account | null => account ?? accountOf(auth, { values, captured, identity });

/** Null: not told, or not now. */
export const toldAccount = ({ account }: { account: Account | 'unavailable' | null | undefined }): Account | null =>
  account === 'unavailable' || account === undefined ? null : account;

/** Whether a rule of the catalogue applies, besides the ID token. */
export const tellsAccount = (auth: AuthMode, values: Values): boolean =>
  isCode(auth) && auth.account !== undefined && fill(auth.account.issuer, values) !== undefined;

/** The account as it is told now; a name that is not told this time stays. */
export const withName = (account: Account | null, before: Account | null | undefined): Account | null =>
  account && { ...account, name: account.name ?? before?.name ?? null };

/** The names of captured values that say whose grant it is. */
export const accountCaptures = (auth: AuthMode): string[] =>
  isCode(auth) && auth.account !== undefined ? auth.account.id.flatMap((template) => placeholders(template)) : [];

/** What can be filled into templates. */
export const toTextValues = (captured: Record<string, unknown>): Values =>
  Object.fromEntries(
    Object.entries(captured).flatMap(([name, value]) =>
      ['string', 'number', 'boolean'].includes(typeof value) ? [[name, String(value)]] : [],
    ),
  );

/** A login name, and not a number, a UUID or random characters. */
const LOGIN_NAME = /^\p{L}[\p{L}._-]{0,60}\d{0,4}(?:@[\w.-]{1,190})?$/u;

/** What people, and the provider's sign-in, know the account by; undefined: nothing that is stored. */
export const readableName = ({ name, id }: Pick<Account, 'name' | 'id'>): string | undefined =>
  name ?? (LOGIN_NAME.test(id) ? id : undefined);

const MAX_LENGTH = 255;
/** OpenID Connect Core 2 has at most 255 characters for `sub`. */
const isPlain = (text: string) =>
  text !== '' && text.length <= MAX_LENGTH && text.isWellFormed() && !/\p{Cc}/u.test(text);

/** Text of a provider: an id that cannot be stored as it is says nothing, and a name is for people. */
function checked({ issuer, id, name }: Account): Account | null {
  if (!isPlain(issuer) || !isPlain(id)) return null;
  return {
    issuer,
    id,
    name:
      name
        ?.replaceAll(/\p{Cc}/gu, ' ')
        .trim()
        .slice(0, MAX_LENGTH)
        // It may end in half a character, which PostgreSQL does not store.
        .toWellFormed() || null,
  };
}
