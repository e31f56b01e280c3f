// Client authentication: a key or a workload token in the header, or in the form (RFC 6749 2.3.1, RFC 7523 2.2).
import { JWT_BEARER } from '../../api/index.ts';
import { invalidRequest, type OAuthRefusal } from '../errors/oauth-errors.ts';
import { type Credential, credentialOf } from './authentication.ts';

export interface PresentedClient {
  credential: Credential;
  /** The caller that it must belong to. Undefined: any. */
  callerId: string | undefined;
}

/** The client of the header. Undefined: there is no header, so that the form has to say. */
export function clientOfHeader(authorization: string | undefined): PresentedClient | undefined {
  if (authorization === undefined) return undefined;
  const basic = /^Basic +(\S+) *$/i.exec(authorization)?.[1];
  if (basic === undefined) return { credential: credentialOf(authorization), callerId: undefined };
  const [id, value] = credentialsOf(basic);
  return { credential: { kind: 'client_secret_basic', value }, callerId: id };
}

export function clientOfForm(fields: Readonly<Record<string, string>>): PresentedClient {
  const { client_id: callerId, client_secret: secret, client_assertion: assertion } = fields;
  if (secret !== undefined) return { credential: { kind: 'client_secret_post', value: secret }, callerId };
  if (assertion !== undefined) return { credential: { kind: 'client_assertion', value: assertion }, callerId };
  return { credential: { kind: 'none', value: undefined }, callerId };
}

/** A refusal when a client uses more than one method (RFC 6749 2.3), or says in the form that it is another. */
export function clientFault(
  authorization: string | undefined,
  fields: Readonly<Record<string, string>>,
): OAuthRefusal | undefined {
  const { client_id: callerId, client_secret: secret, client_assertion: assertion } = fields;
  const methods = [authorization, secret, assertion].filter((sent) => sent !== undefined);
  if (methods.length > 1)
    return invalidRequest('Authenticate with one method: the header, client_secret, or client_assertion.');
  if (assertion !== undefined && fields.client_assertion_type !== JWT_BEARER)
    return invalidRequest(`"client_assertion_type" must be ${JWT_BEARER}.`);
  const named = clientOfHeader(authorization)?.callerId;
  if (named !== undefined && callerId !== undefined && named !== callerId)
    return invalidRequest('"client_id" is not the client id of the Authorization header.');
  return undefined;
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
