// Normalizes token responses: what vendors really send, by the catalogue's dialect, into the form of RFC 6749 5.1 and 5.2
// for openid-client, and into a `TokenResponse` after it.

import { type TokenMode, tokenTypeOf } from '../../domain/auth-modes.ts';
import type { Identity } from '../../domain/connection.ts';
import type { Values } from '../../domain/fields.ts';
import { isObject, type Json } from '../../domain/json.ts';
import { at, firstAt } from '../../domain/json-path.ts';
import type { TokenResponse } from '../../ports/index.ts';
import { OutboundError, WholeResponse } from '../outbound/outbound.ts';
import { capture, positiveSeconds, text } from './json-paths.ts';
import { parseTokenBody } from './token-body.ts';
import { accessTokenLifetime, refreshTokenExpiry } from './token-expiry.ts';
import { unstructuredError } from './unstructured-error.ts';

/** A success without a token, or one that cannot be read at all. `response`: what there is of it. */
export class UnreadableResponse extends Error {
  override name = 'UnreadableResponse';
  readonly response: WholeResponse;
  constructor(message: string, response: WholeResponse, options?: ErrorOptions) {
    super(message, options);
    this.response = response;
  }
}

/** The member of a normalized response that holds the original. */
const ORIGINAL = 'valetkey_original';

/** The response as it was received. */
export interface Original {
  body: Json | unknown[];
  /** The provider's clock (its `Date` header), in milliseconds since the epoch; null without one. */
  date: number | null;
  /** For the next proof (RFC 9449 8). */
  dpopNonce: string | undefined;
}

type ResponseDialect = TokenMode['token_answer'];

/**
 * The response to a token request: as it was received, or an error in the form of RFC 6749 5.2, whose status is not 2xx. A
 * success whose end is missing counts when its tokens are there: what a refresh token was spent for is not thrown away. Rejects
 * with `UnreadableResponse` for a success without a token, and with what `sent` rejects with where nothing was received.
 */
export async function readTokenResponse(
  sent: Promise<WholeResponse>,
  dialect: ResponseDialect,
): Promise<Original | WholeResponse> {
  try {
    return read(await sent, dialect);
  } catch (error) {
    if (!(error instanceof OutboundError) || error.received === undefined) throw error;
    const { received } = error;
    try {
      return read(received, dialect);
    } catch {
      throw new UnreadableResponse(error.message, received, { cause: error });
    }
  }
}

/** The same for openid-client: a success in the form of RFC 6749 5.1. `idToken`: pass it on, to be validated. */
export async function receiveTokenResponse(
  sent: Promise<WholeResponse>,
  dialect: ResponseDialect,
  idToken: boolean,
): Promise<WholeResponse> {
  const received = await readTokenResponse(sent, dialect);
  return received instanceof WholeResponse ? received : toStandardResponse(received, dialect, idToken);
}

/** Throws `UnreadableResponse` for a success without a token. */
function read(response: WholeResponse, dialect: ResponseDialect): Original | WholeResponse {
  if (response.status >= 500) return stripChallenge(response);
  const body = parseTokenBody(response, dialect);
  const tokens = response.ok && body !== undefined ? tokensIn(body, dialect) : undefined;
  if (tokens !== undefined) {
    const date = Date.parse(response.header('date') ?? '');
    return { body: tokens, date: Number.isNaN(date) ? null : date, dpopNonce: response.header('dpop-nonce') };
  }
  const error = body && oauthError(body, dialect);
  if (error) return errorResponse(response.ok ? 400 : response.status, error, response);
  if (response.ok) throw new UnreadableResponse('the token response has no access token', response);
  const said = unstructuredError(response.content);
  return said === undefined
    ? stripChallenge(response)
    : errorResponse(response.status, { error: `http_${response.status}`, error_description: said }, response);
}

/**
 * What of a success the catalogue's paths are read from: the response itself, or its only element. Where these have neither a
 * token nor an error, also the one object in it that is a success by itself, as in `{"code": 0, "data": {…}}`.
 */
function tokensIn(body: Json | unknown[], dialect: ResponseDialect): Json | unknown[] | undefined {
  if (accessTokenIn(body, dialect) !== undefined) return isSuccess(body, dialect) ? body : undefined;
  const isWrapped = Array.isArray(body) && body.length === 1;
  if (isWrapped && oauthError(body, { ...dialect, success: undefined })) return undefined;
  const top: unknown = isWrapped ? body[0] : body;
  if (!isObject(top) || oauthError(top, dialect) || namesError(top)) return undefined;
  if (accessTokenIn(top, dialect) !== undefined) return top;
  const inner = Object.values(top).filter((one) => isObject(one) && isTokenResponse(one, dialect));
  return inner.length === 1 ? { ...top, ...(inner[0] as Json) } : undefined;
}

/** Of an object in a response, which may be of an error: it may name an access token that is missing, or wrong. */
const isTokenResponse = (body: Json, dialect: ResponseDialect): boolean =>
  /^\S+$/.test(accessTokenIn(body, dialect) ?? '') &&
  (positiveSeconds(at(body, 'expires_in')) !== undefined ||
    /^(bearer|dpop)$/i.test(text(at(body, 'token_type')) ?? '')) &&
  oauthError(body, { ...dialect, success: undefined }) === undefined &&
  !namesError(body);

/** Whether a member of any such name says something: `errors`, `errorCode`, … */
const namesError = (body: Json): boolean =>
  Object.entries(body).some(([name, value]) => /error/i.test(name) && !saysNothing(value));

const saysNothing = (value: unknown): boolean =>
  !value || value === '0' || (typeof value === 'object' && Object.keys(value).length === 0);

const accessTokenIn = (body: unknown, dialect: ResponseDialect): string | undefined =>
  text(firstAt(body, dialect.access_token));

/** One that is a number is spent like any other. */
function refreshTokenIn(body: unknown, dialect: ResponseDialect): string | undefined {
  const found = firstAt(body, dialect.refresh_token);
  return Number.isSafeInteger(found) ? String(found) : text(found);
}

const isSuccess = (body: unknown, { success }: Pick<ResponseDialect, 'success'>): boolean =>
  success === undefined || at(body, success.path) === success.equals;

/** Only what openid-client needs; the rest is read from the original. */
function toStandardResponse(original: Original, dialect: ResponseDialect, idToken: boolean): WholeResponse {
  const refreshToken = refreshTokenIn(original.body, dialect);
  const id = at(original.body, 'id_token');
  const body = {
    access_token: accessTokenIn(original.body, dialect),
    token_type: 'bearer',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...(idToken && id !== undefined && id !== null ? { id_token: id } : {}),
    [ORIGINAL]: original,
  };
  return new WholeResponse(body, 200, { 'content-type': 'application/json', 'dpop-nonce': original.dpopNonce });
}

/** The original of a normalized response. */
export const originalOf = (answer: Json): Original => answer[ORIGINAL] as Original;

/** An RFC 6749 5.2 error body: from a standard one, a nested error object, or the catalogue's paths. Undefined: no error. */
export function oauthError(
  body: Json | unknown[],
  dialect: Pick<ResponseDialect, 'error' | 'error_description' | 'success'>,
): Json | undefined {
  const standard = at(body, 'error');
  const nested = isObject(standard) ? standard : undefined;
  const ofDialect = firstAt(body, dialect.error);
  const error =
    text(ofDialect) ??
    (typeof ofDialect === 'number' ? String(ofDialect) : undefined) ??
    text(standard) ??
    text(nested?.type) ??
    text(nested?.code) ??
    text(nested?.status);
  const description =
    text(firstAt(body, dialect.error_description)) ?? text(at(body, 'error_description')) ?? text(nested?.message);
  if (error !== undefined) return { error, error_description: description };
  const failed = nested !== undefined || !isSuccess(body, dialect);
  return failed ? { error: 'unknown_error', error_description: description } : undefined;
}

/** Keeps only the headers that matter to the next request. */
const errorResponse = (status: number, body: Json, original: WholeResponse) =>
  new WholeResponse(body, status, {
    'content-type': 'application/json',
    'retry-after': original.header('retry-after'),
    'dpop-nonce': original.header('dpop-nonce'),
  });

/** openid-client prefers the `WWW-Authenticate` challenge over the error in the body, which says more. */
export const stripChallenge = (response: WholeResponse): WholeResponse => response.without('www-authenticate');

interface ReadContext {
  /** Validated already. */
  idToken: string | undefined;
  identity: Identity | undefined;
  values: Values;
  /** Our clock in milliseconds since the epoch, for times when the response has no `Date`. */
  now: number;
}

/** Reads the response by the catalogue's dialect. */
export function toTokenResponse({ body, date }: Original, auth: TokenMode, context: ReadContext): TokenResponse {
  const dialect = auth.token_answer;
  const accessToken = firstAt(body, dialect.access_token) as string;
  const expiry = { auth, accessToken, values: context.values, now: date ?? context.now };
  return {
    accessToken,
    tokenType: tokenType(at(body, 'token_type'), auth),
    refreshToken: refreshTokenIn(body, dialect),
    idToken: context.idToken,
    scopes: parseScopes(firstAt(body, dialect.scope), dialect.scope_separator),
    expiresIn: accessTokenLifetime(body, expiry),
    ...refreshTokenExpiry(body, expiry),
    identity: context.identity,
    captured: capture(body, dialect.capture),
    account: undefined,
    dpopKey: undefined,
  };
}

/** The members that only a token endpoint's response has. */
export const EMPTY_TOKEN_RESPONSE: Omit<TokenResponse, 'accessToken' | 'tokenType' | 'expiresIn'> = {
  refreshToken: undefined,
  idToken: undefined,
  scopes: undefined,
  idleIn: undefined,
  endsIn: undefined,
  identity: undefined,
  captured: {},
  account: undefined,
  dpopKey: undefined,
};

/** The catalogue says how a token is sent; of the response's own type only `DPoP` counts (RFC 9449). */
function tokenType(said: unknown, auth: TokenMode): string {
  const type = text(said)?.toLowerCase();
  if (auth.send === undefined && type === 'dpop') return 'DPoP';
  return tokenTypeOf(auth);
}

/**
 * An empty string grants nothing; an absent one means as requested (RFC 6749 5.1). A comma that no white space is beside may
 * be part of a scope, where white space separates them.
 */
export function parseScopes(value: unknown, separator: string): string[] | undefined {
  if (value === undefined) return undefined;
  const texts = [value].flat().filter((one) => typeof one === 'string');
  if (texts.length === 0) return Array.isArray(value) && value.length === 0 ? [] : undefined;
  const scopes = new Set<string>();
  for (const scope of eachScope(texts, separator)) scopes.add(scope);
  return asManyAsKept([...scopes]);
}

/** Characters that are read of scopes, of which the same may be named several times. */
const MAX_READ_CHARACTERS = 64 * 1_024;

function* eachScope(texts: readonly string[], separator: string): Generator<string> {
  let left = MAX_READ_CHARACTERS;
  for (const text of texts) {
    const found = splitScopes(text.slice(0, left).trim(), separator);
    // The last one is cut off.
    yield* text.length > left ? found.slice(0, -1) : found;
    left -= text.length + 1;
    if (left <= 0) return;
  }
}

/** Characters. The scopes of a connection are shown with it, read with each token, and asked for again: no provider has as many. */
const MAX_SCOPE_CHARACTERS = 16 * 1_024;

/** The first ones: what is left out counts as not granted. */
function asManyAsKept(scopes: string[]): string[] {
  let left = MAX_SCOPE_CHARACTERS;
  const end = scopes.findIndex((scope) => {
    left -= scope.length + 1;
    return left < 0;
  });
  return end < 0 ? scopes : scopes.slice(0, end);
}

function splitScopes(text: string, separator: string): string[] {
  if (separator === ';') return text.split(/[\s;]+/).filter((scope) => scope !== '');
  const commas = separator === ',' || !/\s/.test(text) || /\s,|,\s/.test(text);
  return text.split(commas ? /[\s,]+/ : /\s+/).filter((scope) => scope !== '');
}
