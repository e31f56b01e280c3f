// Whether a refused refresh says that the refresh token is dead. RFC 6749 5.2 has `invalid_grant` for it; many servers send
// a code of the client (`invalid_request`, `unauthorized_client`), or one of their own, and name the token in the text.

/** Codes that only a dead grant has, when a refresh token was sent. */
const CODES = new Set([
  'account_disabled',
  'account_inactive',
  'account_suspended',
  'expired_token',
  'grant_expired',
  'grant_revoked',
  'inactive_token',
  'reauth_required',
  'reauthentication_required',
  'revoked_token',
  'session_expired',
  'token_expired',
  'token_inactive',
  'token_invalid',
  'token_not_found',
  'token_revoked',
  'unknown_token',
  'user_disabled',
  'user_not_found',
  // RFC 6750 3.1, of a server that treats its token endpoint as a resource.
  'invalid_token',
]);

/**
 * RFC 6749 has it for owners who refuse. With 401 it is about the client: some servers answer a wrong secret with it (RFC 6749
 * 5.2 has that status for nothing else).
 */
const DENIED = 'access_denied';

/** Codes that are never about one token, although their text may name the kind of grant. */
const CLIENT_CODES = new Set(['unsupported_grant_type', 'unsupported_response_type', 'invalid_scope']);

const NAMES_TOKEN = /refresh[\s_-]*token/i;
/** The text is about the grant type `refresh_token`, which the client may not use. */
const NAMES_GRANT_TYPE =
  /grant[\s_-]*types?\b|unsupported|not[\s_]+(?:be[\s_]+)?(?:enabled|supported|permitted|allowed)/i;
/** The server did not find the token in our request. */
const ABSENT =
  /missing|required|must be (?:given|present|provided|specified)|not (?:given|present|provided|specified)/i;
/** Not of a code such as `invalid_request`. */
const DEAD = /invalid(?!_(?:request|client))|expired|revoked|unknown|not (?:valid|found)|no longer/i;

/** `code` is normalized; `text` is the error and its description as the provider wrote them. */
export function refusesRefreshToken(status: number, code: string, text: string): boolean {
  if (CLIENT_CODES.has(code)) return false;
  if (CODES.has(code) || (code === DENIED && status !== 401)) return true;
  if (!NAMES_TOKEN.test(text) || NAMES_GRANT_TYPE.test(text)) return false;
  return !ABSENT.test(text) || DEAD.test(text);
}
