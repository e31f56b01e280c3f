// The one place that mends what token endpoints answer, before openid-client reads it and after: the odd forms that
// systems in the field really send, brought to the form of RFC 6749 5.1 and 5.2, with the catalogue's help.

import { type TokenMode, tokenTypeOf } from '../../domain/auth-modes.ts';
import type { Identity } from '../../domain/connection.ts';
import { fill, type Values } from '../../domain/fields.ts';
import type { TokenResponse } from '../../ports/index.ts';
import { WholeResponse } from '../outbound/outbound.ts';
import { at, capture, first, isObject, type Json, positive, secondsUntil, text } from './json-paths.ts';

/** A success that holds no token, or that cannot be read at all. */
export class UnreadableResponse extends Error {
  override name = 'UnreadableAnswer';
}

/** What a mended answer carries beside the standard members. */
const ORIGINAL = 'valetkey_original';

/** The answer as it came. */
export interface Original {
  body: Json | unknown[];
  /** The provider's clock when it answered, in milliseconds; null: not said. */
  date: number | null;
}

type Form = TokenMode['token_answer'];

/** `idToken`: openid-client is to see and validate it. Throws `UnreadableAnswer` for a success without a token. */
export async function normalizeTokenResponse(
  response: WholeResponse,
  form: Form,
  idToken: boolean,
): Promise<WholeResponse> {
  if (response.status >= 500) return withoutChallenge(response);
  const body = parse(await response.text(), form);
  const token = text(first(body, form.access_token));
  if (response.ok && body !== undefined && token !== undefined && succeeded(body, form)) {
    const date = Date.parse(response.header('date') ?? '');
    const original = { body, date: Number.isNaN(date) ? null : date };
    return json(200, standard(original, token, form, idToken), response);
  }
  const error = body && oauthError(body, form);
  if (error) return json(response.ok ? 400 : response.status, error, response);
  if (response.ok) throw new UnreadableResponse('the token endpoint answered without an access token');
  return withoutChallenge(response);
}

const succeeded = (body: unknown, { success }: Pick<Form, 'success'>): boolean =>
  success === undefined || at(body, success.path) === success.equals;

/** Only what openid-client must see; the rest is read from the original. */
function standard(original: Original, token: string, form: Form, idToken: boolean): Json {
  const refreshToken = text(first(original.body, form.refresh_token));
  const id = at(original.body, 'id_token');
  return {
    access_token: token,
    token_type: 'bearer',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...(idToken && id !== undefined && id !== null ? { id_token: id } : {}),
    [ORIGINAL]: original,
  };
}

/** Of a mended answer. */
export const originalOf = (answer: Json): Original => answer[ORIGINAL] as Original;

/** RFC 6749 5.2, also with a nested error object, or where the catalogue says. */
export function oauthError(
  body: Json | unknown[],
  form: Pick<Form, 'error' | 'error_description' | 'success'>,
): Json | undefined {
  const code = at(body, 'error');
  const nested = isObject(code) ? code : undefined;
  const said = first(body, form.error);
  const error =
    text(said) ??
    (typeof said === 'number' ? String(said) : undefined) ??
    text(code) ??
    text(nested?.type) ??
    text(nested?.code) ??
    text(nested?.status);
  const description =
    text(first(body, form.error_description)) ?? text(at(body, 'error_description')) ?? text(nested?.message);
  if (error !== undefined) return { error, error_description: description };
  const failed = nested !== undefined || !succeeded(body, form);
  return failed ? { error: 'unknown_error', error_description: description } : undefined;
}

/** Of the headers, those that say something about the next request. */
const json = (status: number, body: Json, said: WholeResponse) =>
  new WholeResponse(body, status, {
    'content-type': 'application/json',
    'retry-after': said.header('retry-after'),
    'dpop-nonce': said.header('dpop-nonce'),
  });

/** openid-client prefers the challenge over the error in the body, which says more. */
export const withoutChallenge = (response: WholeResponse): WholeResponse => response.without('www-authenticate');

/** JSON, or a form, whatever the content type says. */
function parse(body: string, form: Form): Json | unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) || Array.isArray(value) ? value : undefined;
  } catch {
    const pairs = Object.fromEntries(new URLSearchParams(body));
    return first(pairs, form.access_token) !== undefined || pairs.error !== undefined ? pairs : undefined;
  }
}

interface Read {
  /** Validated before. */
  idToken: string | undefined;
  identity: Identity | undefined;
  values: Values;
  /** Ours, in milliseconds; for moments where the provider does not tell its own. */
  now: number;
}

/** What the catalogue's form finds in the answer. */
export function toTokenResponse({ body, date }: Original, auth: TokenMode, read: Read): TokenResponse {
  const form = auth.token_answer;
  const until = (paths: readonly string[] | undefined) => secondsUntil(first(body, paths), date ?? read.now);
  const { refresh_expires: refresh } = form;
  const accessToken = first(body, form.access_token) as string;
  return {
    accessToken,
    tokenType: tokenType(at(body, 'token_type'), auth),
    refreshToken: text(first(body, form.refresh_token)),
    idToken: read.idToken,
    scopes: scopes(first(body, form.scope), form.scope_separator),
    expiresIn:
      positive(first(body, form.expires.in)) ??
      until(form.expires.at) ??
      (form.expires.jwt ? jwtLife(accessToken, date ?? read.now) : undefined) ??
      otherwise(form.expires.otherwise, read.values),
    idleIn: positive(first(body, refresh.idle_in)) ?? until(refresh.idle_at),
    endsIn: positive(first(body, refresh.end_in)) ?? until(refresh.end_at),
    identity: read.identity,
    captured: capture(body, form.capture),
    dpopKey: undefined,
  };
}

/** What an answer of no token endpoint has not. */
export const BARE: Omit<TokenResponse, 'accessToken' | 'tokenType' | 'expiresIn'> = {
  refreshToken: undefined,
  idToken: undefined,
  scopes: undefined,
  idleIn: undefined,
  endsIn: undefined,
  identity: undefined,
  captured: {},
  dpopKey: undefined,
};

/** What a token type means to an API is the catalogue's to say; of the answer's own only HTTP's schemes are (RFC 6750, 9449). */
function tokenType(said: unknown, auth: TokenMode): string {
  const type = text(said)?.toLowerCase();
  if (auth.send === undefined && type === 'dpop') return 'DPoP';
  return tokenTypeOf(auth);
}

/** An empty string grants nothing; an absent one, what was asked for (RFC 6749 5.1). */
export function scopes(value: unknown, separator: ' ' | ','): string[] | undefined {
  if (Array.isArray(value)) return value.filter((scope) => typeof scope === 'string');
  if (typeof value !== 'string') return undefined;
  const commas = separator === ',' || !/\s/.test(value.trim());
  return value.split(commas ? /[\s,]+/ : /\s+/).filter((scope) => scope !== '');
}

function jwtLife(token: string, now: number): number | undefined {
  try {
    const { exp }: { exp?: unknown } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    return typeof exp === 'number' ? secondsUntil(exp, now) : undefined;
  } catch {
    return undefined;
  }
}

const otherwise = (seconds: number | string | undefined, values: Values): number | undefined =>
  typeof seconds === 'string' ? positive(fill(seconds, values)) : seconds;
