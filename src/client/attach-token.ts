// How a token is attached to a request to an API: as its `token_type` says.
import { ValetkeyError } from './errors.ts';
import type { Token } from './types.ts';

export interface Target {
  url: URL;
  headers: Headers;
}

/**
 * Adds the token to the target, in place. `token_type` is an HTTP authentication scheme (`Bearer`, `Basic`, …),
 * `header:NAME` or `query:NAME`; throws `unsupported_token` for any other.
 */
export function attachToken(
  { token_type, access_token }: Pick<Token, 'token_type' | 'access_token'>,
  { url, headers }: Target,
): void {
  const [, place, name = ''] = /^(header|query|body):(.+)$/.exec(token_type) ?? [];
  if (place === 'query') {
    // Appended as text, so that the rest of the query is not re-encoded.
    url.search += `${url.search === '' ? '?' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(access_token)}`;
    return;
  }
  if (place === 'body' || SIGNING.test(token_type)) {
    throw unsupported(`fetch cannot send a token of type ${token_type}: get it with token() and send it yourself`);
  }
  // Checked here: the error of `Headers` would contain the token.
  const value = place === 'header' ? access_token : `${token_type} ${access_token}`;
  if (!/^[\x20-\x7e]+$/.test(value)) throw unsupported('The token has characters that are not allowed in a header');
  headers.set(place === 'header' ? name : 'authorization', value);
}

export const isInUrl = ({ token_type }: Pick<Token, 'token_type'>): boolean => token_type.startsWith('query:');
export const isDpopBound = ({ token_type }: Pick<Token, 'token_type'>): boolean => token_type === 'DPoP';

const SIGNING = /^AWS4-/;

const unsupported = (detail: string) => new ValetkeyError({ code: 'unsupported_token', status: 0, detail });

/** Whether a body can be read only once. */
export const isStream = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body);
