// What is wrong with the set-up of an integration, by what it asks for: hosts, endpoints, protected resources, secrets.
import { type AuthMode, isCode, protectedResourceOf } from '../../../domain/auth-modes.ts';
import type { Redirection } from '../../../domain/destinations.ts';
import type { InputIssue } from '../../../domain/errors.ts';
import { placeholders, valuesOf } from '../../../domain/fields.ts';
import type { Integration, Overrides } from '../../../domain/integration.ts';
import { integrationFields, type Provider } from '../../../domain/provider.ts';
import type { IntegrationSettings } from '../../../ports/index.ts';
import type { IntegrationSetup } from './setup.ts';

/** Aliases that the provider does not have. */
export function hostIssues({ api }: Provider, overrides: Overrides): InputIssue[] {
  const known = Object.keys(api.other_hosts);
  return Object.keys(overrides).flatMap((name) => {
    const alias = /^host\.(.*)$/.exec(name)?.[1];
    if (alias === undefined || known.includes(alias)) return [];
    const message = `the provider has no host of this alias; it has: ${known.join(', ') || 'none'}`;
    return [{ path: `overrides.${name}`, message }];
  });
}

/**
 * Who may change where secrets go need not know them: what is sent elsewhere has to be given again. A secret that is removed
 * is not sent.
 */
export function keptSecretIssues(
  stored: Integration,
  { clientSecret, privateKey }: IntegrationSetup,
  redirected: Redirection[],
): InputIssue[] {
  const what = redirected.map(inWords).join(', ');
  const message = `give it again, or null: it is stored for another destination (${what}), and is not sent elsewhere`;
  const secrets = { client_secret: [stored.clientSecret, clientSecret], private_key: [stored.privateKey, privateKey] };
  return Object.entries(secrets).flatMap(([path, [had, now]]) =>
    had !== null && now === undefined ? [{ path, message }] : [],
  );
}

/** For messages and the audit log: URLs without a path. */
export const inWords = ({ name, from, to }: Redirection): string =>
  name === 'row' ? 'its row was changed by something else than a broker' : `${name}: ${from ?? 'none'} → ${to}`;

/** Without an issuer, whose metadata names the endpoints, those that are optional params are required. */
export function endpointIssues(
  provider: Provider,
  auth: AuthMode,
  { params = {}, overrides = {} }: IntegrationSetup,
): InputIssue[] {
  if (!('token_url' in auth)) return [];
  const fields = integrationFields(provider, auth);
  const values = valuesOf(fields, params);
  const missing = (template: string | undefined) =>
    placeholders(template ?? '').filter((name) => Object.hasOwn(fields, name) && !Object.hasOwn(values, name));
  const issuer = 'issuer' in auth ? auth.issuer : undefined;
  if (issuer !== undefined && missing(issuer).length === 0) return [];
  const required = [
    ...(isCode(auth) && overrides.authorization_url === undefined ? missing(auth.authorization_url) : []),
    ...(overrides.token_url === undefined ? missing(auth.token_url) : []),
  ];
  const unless = issuer === undefined ? '' : `, unless params.${missing(issuer).join(', ')} is given`;
  return required.map((name) => ({ path: `params.${name}`, message: `${fields[name]!.title} is required${unless}` }));
}

/** Which protected resource it is, the integration says; or else which ones there may be, each with a client of its own. */
export function resourceIssues(
  provider: Provider,
  auth: AuthMode,
  { params = {}, clientId }: IntegrationSetup,
): InputIssue[] {
  const rule = protectedResourceOf(auth);
  if (rule === undefined) return [];
  const fields = integrationFields(provider, auth);
  const values = valuesOf(fields, params);
  const missing = placeholders(rule.url).find((name) => Object.hasOwn(fields, name) && !Object.hasOwn(values, name));
  if (missing === undefined) return [];
  const { hosts } = rule;
  if (hosts === undefined || !Object.hasOwn(values, hosts)) {
    const unless = hosts === undefined ? '' : `, unless params.${hosts} says which ones connections may name`;
    return [{ path: `params.${missing}`, message: `${fields[missing]!.title} is required${unless}` }];
  }
  const message = `is that of one authorization server: leave it out, or give params.${missing}`;
  return clientId === undefined || clientId === '' ? [] : [{ path: 'client_id', message }];
}

/** The secrets that a method of client authentication needs, where a param chose it. */
export function secretIssues(
  auth: AuthMode | undefined,
  settings: IntegrationSettings,
  before: Integration | undefined,
): InputIssue[] {
  if (!auth || !('settings' in auth) || auth.settings.client_auth === undefined) return [];
  const param = auth.settings.client_auth;
  const [method] = settings.params[param] === undefined ? [] : (auth.client_auth ?? []);
  if (method === undefined || method === 'none') return [];
  const has = {
    client_secret: isThere(settings.clientSecret, before?.clientSecret),
    private_key: isThere(settings.privateKey, before?.privateKey),
    certificate: settings.certificate !== null,
  };
  const needed: (keyof typeof has)[] =
    method === 'tls_client_auth'
      ? ['certificate', 'private_key']
      : [method === 'private_key_jwt' ? 'private_key' : 'client_secret'];
  return needed
    .filter((secret) => !has[secret])
    .map((path) => ({ path, message: `is required by params.${param}: ${settings.params[param]}` }));
}

/** Whether there is one after the change; undefined keeps the stored one. */
const isThere = (now: unknown, stored: unknown): boolean =>
  now === undefined ? (stored ?? null) !== null : now !== null;

/** A client secret is for one authorization server, which the admin names and not the resource. */
export function issuerIssues(
  auth: AuthMode | undefined,
  { clientId, clientSecret, params }: IntegrationSettings,
  before: Integration | undefined,
): InputIssue[] {
  const rule = auth && protectedResourceOf(auth);
  if (rule === undefined || clientId === '' || !isThere(clientSecret, before?.clientSecret)) return [];
  const missing = placeholders(rule.issuer ?? '').find((name) => params[name] === undefined);
  if (missing === undefined && rule.issuer !== undefined) return [];
  const why = 'the secret would be sent to any authorization server that the resource names';
  return missing === undefined
    ? [{ path: 'client_secret', message: `cannot be used: ${why}, and the provider has no param that names one` }]
    : [{ path: `params.${missing}`, message: `is required with a client_secret: without it, ${why}` }];
}

const PRIVATE_KEY = /^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s/;
/** Nothing but certificates: they are shown, and a bundle may contain a private key. */
const CERTIFICATES = /^(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$/;

export function pemIssues({ privateKey, certificate }: IntegrationSetup): InputIssue[] {
  const issues: InputIssue[] = [];
  if (typeof privateKey === 'string' && !PRIVATE_KEY.test(privateKey.trim()))
    issues.push({ path: 'private_key', message: 'must be a private key in PEM form' });
  if (typeof certificate === 'string' && !CERTIFICATES.test(certificate.trim()))
    issues.push({ path: 'certificate', message: 'must be one or more certificates in PEM form, and nothing else' });
  return issues;
}
