// An authorization response that came by a cross-site POST (OAuth 2.0 Form Post Response Mode), as a value for a URL.
//
// A browser sends our SameSite=Lax cookies with no cross-site POST, but with the GET that follows a 303. What was posted is
// carried over encrypted: form_post is used so that a code is in no URL, no history and no log, and strangers can post what
// they like, so that none of it is stored.
import type { Ciphertext } from '../../../domain/connection.ts';
import { FORM_POST_TTL_MS } from '../../../domain/time-limits.ts';
import type { Clock, Vault } from '../../../ports/index.ts';
import { VaultError } from '../../../ports/index.ts';

/** Browsers and proxies take a URL of the double of it. */
const MOST_CHARACTERS = 5_000;
/** Tokens have no business in the front channel (RFC 9700 2.1.2), and are not read. */
const NOT_CARRIED = ['id_token', 'access_token', 'refresh_token'];

/** `issuer`: its hash, of a redirect URI for one issuer. */
const contextOf = (integration: string, issuer: string | undefined) => ({
  row: `callback/${integration}${issuer === undefined ? '' : `/${issuer}`}`,
  column: 'form_post',
});

/** Undefined: there is no state in it, or too much else. */
export function carryOver(
  { vault, clock }: { vault: Vault; clock: Clock },
  integration: string,
  posted: URLSearchParams,
  issuer?: string,
): string | undefined {
  for (const name of NOT_CARRIED) posted.delete(name);
  const response = posted.toString();
  if (!posted.get('state') || response.length > MOST_CHARACTERS) return undefined;
  return vault.encrypt(
    JSON.stringify({ response, until: clock.now() + FORM_POST_TTL_MS }),
    contextOf(integration, issuer),
  );
}

/** Undefined: not ours, of another redirect URI, or too old. */
export function readCarried(
  { vault, clock }: { vault: Vault; clock: Clock },
  integration: string,
  carried: string,
  issuer?: string,
): URLSearchParams | undefined {
  try {
    const { response, until } = JSON.parse(vault.decrypt(carried as Ciphertext, contextOf(integration, issuer))) as {
      response: string;
      until: number;
    };
    return until > clock.now() ? new URLSearchParams(response) : undefined;
  } catch (error) {
    if (error instanceof VaultError) return undefined;
    throw error;
  }
}
