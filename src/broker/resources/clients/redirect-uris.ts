// The redirect URI and the client id metadata document of an integration: its own, or one for each issuer where connections say
// which server it is (RFC 9700 4.4.2), so that a code of one issuer is never taken for one of another.
import { protectedResourceOf } from '../../../domain/auth-modes.ts';
import { fill, placeholders } from '../../../domain/fields.ts';
import type { Integration } from '../../../domain/integration.ts';
import { authMode, connectionFields, type Provider } from '../../../domain/provider.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';
import { digest } from '../../secrets/index.ts';

/** The first 16 hexadecimal digits of its SHA-256. */
const issuerHash = (issuer: string): string => digest(issuer).slice(0, 16);

/** A document repeats it, so it is nothing else that someone wrote into a URL. */
export const isIssuerHash = (text: string): boolean => /^[0-9a-f]{16}$/.test(text);

/** The placeholder of the issuer's hash, where no issuer is known yet. */
const ISSUER_PLACEHOLDER = '{issuer}';

/** Whether each connection says which resource it is for. */
export function isPerIssuer({ provider, auth }: Pick<ResolvedIntegration, 'provider' | 'auth'>): boolean {
  const rule = protectedResourceOf(auth);
  const fields = connectionFields(provider, auth);
  return rule !== undefined && placeholders(rule.url).some((name) => Object.hasOwn(fields, name));
}

export interface RedirectUriToRegister {
  /** With `{issuer}` in it where there is one for each issuer. */
  uri: string;
  isPattern: boolean;
}

/** What is registered where the integration has a client that was made by hand: that of the one issuer, if it names one. */
export function redirectUriToRegister(
  publicUrl: string,
  { id, params }: Pick<Integration, 'id' | 'params'>,
  provider: Provider | undefined,
): RedirectUriToRegister {
  const uri = `${publicUrl}/oauth2/callback/${id}`;
  const auth = provider && authMode(provider, params);
  if (!auth || !isPerIssuer({ provider, auth })) return { uri, isPattern: false };
  const { issuer } = protectedResourceOf(auth) ?? {};
  const one = issuer === undefined ? undefined : fill(issuer, params);
  if (one === undefined) return { uri: `${uri}/${ISSUER_PLACEHOLDER}`, isPattern: true };
  return { uri: `${uri}/${issuerHash(one)}`, isPattern: false };
}

export interface RedirectUris {
  /** Of the authorization requests to this issuer. */
  redirectUri(found: ResolvedIntegration, issuer: string): string;
  /** Where the broker publishes the client id metadata document for this issuer, of a client that authenticates so. */
  documentUrl(found: ResolvedIntegration, issuer: string, method: DocumentMethod): string;
}

/** A document says one method to servers that read no more than one: each has a document, which is a client, of its own. */
export type DocumentMethod = 'none' | 'private_key_jwt';

export const documentUrlOf = (publicUrl: string, place: string, method: DocumentMethod): string =>
  `${publicUrl}/oauth2/clients/${place}${method === 'none' ? '' : `.${method}`}.json`;

export function redirectUris(publicUrl: string): RedirectUris {
  const place = (found: ResolvedIntegration, issuer: string) =>
    `${found.integration.id}${isPerIssuer(found) ? `/${issuerHash(issuer)}` : ''}`;
  return {
    redirectUri: (found, issuer) => `${publicUrl}/oauth2/callback/${place(found, issuer)}`,
    documentUrl: (found, issuer, method) => documentUrlOf(publicUrl, place(found, issuer), method),
  };
}
