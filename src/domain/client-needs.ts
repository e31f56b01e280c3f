// What a mode needs of an integration: a client, its secret, its key. For those who set one up; the planner validates it.
import { type AuthMode, isCode, isStatic, protectedResourceOf, type TokenMode } from './auth-modes.ts';
import type { ClientAuth } from './dialect.ts';
import { placeholders } from './fields.ts';

/** `optional`: another secret, or a secret of the connection, may do instead. `unused`: nothing is done with it. */
export type Need = 'required' | 'optional' | 'unused';

export interface ClientNeeds {
  clientId: Need;
  clientSecret: Need;
  privateKey: Need;
  certificate: Need;
}

const NOTHING: ClientNeeds = {
  clientId: 'unused',
  clientSecret: 'unused',
  privateKey: 'unused',
  certificate: 'unused',
};
const KEYED: readonly ClientAuth[] = ['private_key_jwt', 'tls_client_auth'];

/** Every mode that authenticates as a client; an import may bring a client of its own, and one may be registered by itself. */
export const needsClient = (auth: AuthMode): boolean =>
  (isCode(auth) && protectedResourceOf(auth) === undefined) ||
  auth.mode === 'aws_sts_assume_role' ||
  (auth.mode === 'oauth2_client_credentials' && !bringsClient(auth));

export function clientNeeds(auth: AuthMode): ClientNeeds {
  if (isStatic(auth)) return NOTHING;
  if (auth.mode === 'aws_sts_assume_role') return { ...NOTHING, clientId: 'required', clientSecret: 'required' };
  if (auth.mode === 'self_signed_jwt')
    return { ...NOTHING, clientId: namesClient(auth) ? 'required' : 'unused', privateKey: keyOf(auth) };
  const authentication = authenticationNeeds(auth);
  if (auth.mode === 'jwt_bearer')
    return {
      ...authentication,
      clientId: namesClient(auth) ? 'required' : authentication.clientSecret === 'unused' ? 'unused' : 'optional',
      privateKey: keyOf(auth),
    };
  if (!needsClient(auth)) return atMost(authentication);
  return { ...authentication, clientId: 'required' };
}

const bringsClient = (auth: AuthMode): boolean => 'credentials' in auth && Object.hasOwn(auth.credentials, 'client_id');

/** Of each connection, or of the integration. */
const keyOf = ({ credentials }: { credentials: Readonly<Record<string, { members: string[] }>> }): Need =>
  Object.entries(credentials).some(([name, { members }]) => name === 'private_key' || members.includes('private_key'))
    ? 'unused'
    : 'required';

const namesClient = ({ assertion }: { assertion: { claims: Readonly<Record<string, string>> } }): boolean =>
  Object.values(assertion.claims).some((claim) => placeholders(claim).includes('client_id'));

/** By the methods that the provider takes; not told: any, by discovery or by a param. */
function authenticationNeeds({ client_auth: methods }: TokenMode): ClientNeeds {
  if (methods === undefined || methods.length === 0)
    return { clientId: 'optional', clientSecret: 'optional', privateKey: 'optional', certificate: 'optional' };
  const takes = (isOf: (method: ClientAuth) => boolean): Need =>
    methods.every(isOf) ? 'required' : methods.some(isOf) ? 'optional' : 'unused';
  return {
    clientId: 'optional',
    clientSecret: takes((method) => method !== 'none' && !KEYED.includes(method)),
    privateKey: takes((method) => KEYED.includes(method)),
    certificate: takes((method) => method === 'tls_client_auth'),
  };
}

const atMost = (needs: ClientNeeds): ClientNeeds => {
  const optional = (need: Need): Need => (need === 'required' ? 'optional' : need);
  return {
    clientId: 'optional',
    clientSecret: optional(needs.clientSecret),
    privateKey: optional(needs.privateKey),
    certificate: optional(needs.certificate),
  };
};
