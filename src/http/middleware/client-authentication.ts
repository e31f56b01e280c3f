// Client authentication: a key or a workload token in the header, or in the form (RFC 6749 2.3.1, RFC 7523 2.2,
// draft-ietf-oauth-spiffe-client-auth).
import { JWT_BEARER, JWT_SPIFFE } from '../../api/index.ts';
import type { Call } from '../../broker/audit/index.ts';
import { trustDomainOf } from '../../domain/spiffe.ts';
import { formDecoded } from '../../domain/urls.ts';
import { invalidRequest, type OAuthRefusal } from '../errors/oauth-errors.ts';
import { type Credential, credentialOf } from './authentication.ts';

export interface PresentedClient {
  credential: Credential;
  /** The caller that it must belong to. Undefined: any. */
  callerId: string | undefined;
  /** The SPIFFE ID that its token must name, or `any` of them. Undefined: it need not name one. */
  spiffeId?: string | undefined;
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
  const { client_id: callerId, client_secret: secret, client_assertion: assertion, client_assertion_type } = fields;
  if (secret !== undefined) return { credential: { kind: 'client_secret_post', value: secret }, callerId };
  if (assertion !== undefined) {
    const credential = { kind: 'client_assertion', value: assertion } as const;
    if (client_assertion_type !== JWT_SPIFFE) return { credential, callerId };
    // A client is known by its SPIFFE ID, and need not know which caller it is.
    const isSpiffeId = trustDomainOf(callerId) !== undefined;
    return { credential, callerId: isSpiffeId ? undefined : callerId, spiffeId: isSpiffeId ? callerId : 'any' };
  }
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
  if (assertion !== undefined && ![JWT_BEARER, JWT_SPIFFE].includes(fields.client_assertion_type ?? ''))
    return invalidRequest(`"client_assertion_type" must be ${JWT_BEARER} or ${JWT_SPIFFE}.`);
  const named = clientOfHeader(authorization)?.callerId;
  if (named !== undefined && callerId !== undefined && named !== callerId)
    return invalidRequest('"client_id" is not the client id of the Authorization header.');
  return undefined;
}

/** Whether the token that was presented names the SPIFFE ID that it has to name. */
export function isNamed(
  { spiffeId }: PresentedClient,
  { principal: { credential } }: Pick<Call, 'principal'>,
): boolean {
  if (spiffeId === undefined) return true;
  const subject = credential.kind === 'workload' ? credential.subject : null;
  return spiffeId === 'any' ? trustDomainOf(subject) !== undefined : subject === spiffeId;
}

/** Both are form-encoded before they are joined (RFC 6749 2.3.1). Our ids have no colon. */
function credentialsOf(basic: string): [id: string, key: string | undefined] {
  const [id = '', key] = Buffer.from(basic, 'base64').toString('utf8').split(/:(.*)/s);
  return [formDecoded(id), key === undefined || key === '' ? undefined : formDecoded(key)];
}
