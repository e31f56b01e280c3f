// Who says it is calling: by a key or a workload's token in the header, or as RFC 6749 2.3.1 and RFC 7523 2.2 have it.
import { JWT_BEARER } from '../../api/index.ts';
import { OAuthRefused } from '../errors/oauth-errors.ts';
import { bearer } from './authentication.ts';

export interface Presented {
  /** A key or a token. Undefined: nothing was presented. */
  presented: string | undefined;
  /** The caller that it must be one of; undefined: not said. */
  callerId: string | undefined;
}

const refused = (description: string) => new OAuthRefused({ status: 400, error: 'invalid_request', description });

/** Throws `OAuthRefused` when there is more than one way, since it is not clear then which one counts. */
export function clientOf(authorization: string | undefined, fields: Record<string, string>): Presented {
  const { client_id: callerId, client_secret: secret, client_assertion: assertion } = fields;
  const ways = [authorization, secret, assertion].filter((way) => way !== undefined);
  if (ways.length > 1) throw refused('Authenticate in one way: by header, client_secret, or client_assertion.');
  if (assertion !== undefined && fields.client_assertion_type !== JWT_BEARER)
    throw refused(`"client_assertion_type" must be ${JWT_BEARER}.`);
  if (authorization === undefined) return { presented: secret ?? assertion, callerId };
  const basic = /^Basic +(\S+) *$/i.exec(authorization)?.[1];
  if (basic === undefined) return { presented: bearer(authorization), callerId };
  const [id, key] = credentialsOf(basic);
  if (callerId !== undefined && id !== callerId) throw refused('"client_id" is another one than that of the header.');
  return { presented: key, callerId: id };
}

/** Both are form-encoded before they are joined (RFC 6749 2.3.1); no id of ours has a colon. */
function credentialsOf(basic: string): [id: string, key: string | undefined] {
  const [id = '', key] = Buffer.from(basic, 'base64').toString('utf8').split(/:(.*)/s);
  return [decode(id), key === undefined || key === '' ? undefined : decode(key)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
