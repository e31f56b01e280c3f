// Where owners may be sent back to.
import type { InputIssue } from '../../../domain/errors.ts';
import { isLoopback } from '../../../domain/urls.ts';

/**
 * Owners are sent back only to origins that the deployment allows (RFC 9700 4.11), or to the broker's own. A broker on
 * loopback, which is one in development, also allows loopback.
 */
export function returnUrlIssues(returnUrl: string, allowed: readonly string[], publicUrl: string): InputIssue[] {
  const path = 'return_url';
  if (!URL.canParse(returnUrl)) return [{ path, message: 'not an absolute URL' }];
  // Browsers treat these as slashes or drop them, and URL parsers disagree.
  if (/[\\\s\p{Cc}]/u.test(returnUrl))
    return [{ path, message: 'must not hold backslashes, spaces or control characters' }];
  const url = new URL(returnUrl);
  if (!/^https?:$/.test(url.protocol)) return [{ path, message: 'must be an http or https URL' }];
  if (url.username || url.password) return [{ path, message: 'must not hold a user name or password' }];
  const own = new URL(publicUrl);
  if (url.origin === own.origin || allowed.includes(url.origin)) return [];
  if (isLoopback(own.hostname) && isLoopback(url.hostname)) return [];
  const message = `the origin ${url.origin} is not allowed: add it to return_origins of the integration or of the configuration`;
  return [{ path, message }];
}
