// Client authentication: a key or a workload token in the header, or in the form (RFC 6749 2.3.1, RFC 7523 2.2).
import { JWT_BEARER } from '../../api/index.ts';
import { invalidRequest, type OAuthRefusal } from '../errors/oauth-errors.ts';
import { bearer } from './authentication.ts';

export interface Presented {
  /** A key or a token. Undefined: none was sent. */
  presented: string | undefined;
  /** The caller that it must belong to. Undefined: any. */
  callerId: string | undefined;
}

/** A refusal when a client uses more than one method (RFC 6749 2.3). `authorization`: the header. */
export function presentedBy(
  authorization: string | undefined,
  fields: Readonly<Record<string, string>>,
): Presented | OAuthRefusal {
  const { client_id: callerId, client_secret: secret, client_assertion: assertion } = fields;
  const methods = [authorization, secret, assertion].filter((sent) => sent !== undefined);
  if (methods.length > 1)
    return invalidRequest('Authenticate with one method: the header, client_secret, or client_assertion.');
  if (assertion !== undefined && fields.client_assertion_type !== JWT_BEARER)
    return invalidRequest(`"client_assertion_type" must be ${JWT_BEARER}.`);
  if (authorization === undefined) return { presented: secret ?? assertion, callerId };
  const basic = /^Basic +(\S+) *$/i.exec(authorization)?.[1];
  if (basic === undefined) return { presented: bearer(authorization), callerId };
  const [id, key] = credentialsOf(basic);
  if (callerId !== undefined && id !== callerId)
    return invalidRequest('"client_id" is not the client id of the Authorization header.');
  return { presented: key, callerId: id };
}

/** Both are form-encoded before they are joined (RFC 6749 2.3.1). Our ids have no colon. */
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
