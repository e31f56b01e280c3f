// The one place that mends what token endpoints answer, before openid-client reads it and after: the odd forms that
// systems in the field really send, brought to the form of RFC 6749 5.1 and 5.2.
import type { Identity } from '../../domain/connection.ts';
import type { AuthMode } from '../../domain/provider.ts';
import type { TokenAnswer } from '../../ports.ts';
import { WholeResponse } from '../outbound.ts';

type Json = Record<string, unknown>;

/** A success that holds no token, or that cannot be read at all. */
export class UnreadableAnswer extends Error {
  override name = 'UnreadableAnswer';
}

/** What a mended answer carries beside the standard members: the answer as it came. */
export const ORIGINAL = 'valetkey_original';

/** Throws `UnreadableAnswer` for a success without a token. Everything else comes out as a response. */
export async function mendTokenAnswer(
  response: WholeResponse,
  request: { grantType: string; openid: boolean },
): Promise<WholeResponse> {
  if (response.status >= 500) return withoutChallenge(response);
  const body = parse(await response.text());
  const token = text(body?.access_token);
  if (response.ok && token !== undefined) return standard(body as Json, token, request);
  const error = body && oauthError(body);
  if (error) return json(response.ok ? 400 : response.status, error, response.headers.get('retry-after'));
  if (response.ok) throw new UnreadableAnswer('the token endpoint answered without an access token');
  return withoutChallenge(response);
}

function standard(original: Json, token: string, { grantType, openid }: { grantType: string; openid: boolean }) {
  const refreshToken = text(original.refresh_token);
  const expiresIn = positive(original.expires_in);
  // A refreshed ID token is judged apart, since one that cannot be validated must not cost the grant; and systems
  // that are no OpenID Providers put all sorts of things there.
  const keepsIdToken = openid && grantType === 'authorization_code' && original.id_token !== undefined;
  return json(200, {
    access_token: token,
    token_type: 'bearer',
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...(expiresIn === undefined ? {} : { expires_in: expiresIn }),
    ...(keepsIdToken ? { id_token: original.id_token } : {}),
    [ORIGINAL]: original,
  });
}

/** RFC 6749 5.2, also with a nested error object. */
function oauthError(body: Json): Json | undefined {
  const nested = isObject(body.error) ? body.error : undefined;
  const error = text(body.error) ?? text(nested?.type) ?? text(nested?.code) ?? text(nested?.status);
  if (error === undefined) return nested && { error: 'unknown_error', error_description: text(nested.message) };
  return { error, error_description: text(body.error_description) ?? text(nested?.message) };
}

const json = (status: number, body: Json, retryAfter: string | null = null) =>
  new WholeResponse(body, status, {
    'content-type': 'application/json',
    ...(retryAfter === null ? {} : { 'retry-after': retryAfter }),
  });

/** openid-client prefers the challenge over the error in the body, which says more. */
export const withoutChallenge = (response: WholeResponse): WholeResponse => response.without('www-authenticate');

/** JSON, or a form, whatever the content type says. */
function parse(body: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) ? value : undefined;
  } catch {
    const form = new URLSearchParams(body);
    return form.has('access_token') || form.has('error') ? Object.fromEntries(form) : undefined;
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** Seconds, as a number or as a string of one; undefined for what is no lifetime. */
function positive(value: unknown): number | undefined {
  const seconds = Math.floor(typeof value === 'string' && value.trim() !== '' ? Number(value) : (value as number));
  return Number.isFinite(seconds) && seconds > 0 ? seconds : undefined;
}

/** `original`: the answer as it came. ID token and identity must have been validated. */
export function toTokenAnswer(
  original: Json,
  auth: AuthMode,
  validated: { idToken: string | undefined; identity: Identity | undefined },
): TokenAnswer {
  const type = text(original.token_type) ?? 'Bearer';
  return {
    accessToken: original.access_token as string,
    tokenType: type.toLowerCase() === 'bearer' ? 'Bearer' : type,
    refreshToken: text(original.refresh_token),
    idToken: validated.idToken,
    scopes: scopes(original.scope, auth.token_answer.scope_separator),
    expiresIn: positive(original.expires_in),
    identity: validated.identity,
    captured: captured(original, auth),
  };
}

/** An empty string grants nothing; an absent one, what was asked for (RFC 6749 5.1). */
function scopes(value: unknown, separator: ' ' | ','): string[] | undefined {
  if (Array.isArray(value)) return value.filter((scope) => typeof scope === 'string');
  if (typeof value !== 'string') return undefined;
  const commas = separator === ',' || !/\s/.test(value.trim());
  return value.split(commas ? /[\s,]+/ : /\s+/).filter((scope) => scope !== '');
}

function captured(original: Json, auth: AuthMode): Json {
  const found = Object.entries(auth.token_answer.capture).map(([name, path]): [string, unknown] => [
    name,
    path
      .split('.')
      .reduce<unknown>((at, key) => (isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined), original),
  ]);
  return Object.fromEntries(found.filter(([, value]) => value !== undefined));
}
