// From what an admin or the declarative file says about an integration to what is stored: validated, with defaults, encrypted.
import { isDeepStrictEqual } from 'node:util';
import { type AuthMode, isCode, protectedResourceOf } from '../../domain/auth-modes.ts';
import { needsClient } from '../../domain/client-needs.ts';
import type { Ciphertext } from '../../domain/connection.ts';
import { type Redirection, redirections } from '../../domain/destinations.ts';
import type { InputIssue } from '../../domain/errors.ts';
import { asMeant, fieldIssues, placeholders, valuesOf } from '../../domain/fields.ts';
import type { Integration, Overrides, UpstreamRate } from '../../domain/integration.ts';
import { settingIssues } from '../../domain/param-settings.ts';
import { authMode, integrationFields, type Provider } from '../../domain/provider.ts';
import { NO_SECRETS, resolveTarget } from '../../domain/target.ts';
import type { Theme } from '../../domain/theme.ts';
import {
  type Clock,
  type IntegrationSettings,
  type Logger,
  type Store,
  type Vault,
  VaultError,
} from '../../ports/index.ts';
import { type OpenIdClient, openIdClient, shadowsWorkloads } from './openid-clients.ts';
import { integrationContext } from './targets.ts';

export interface IntegrationSetup {
  provider: string;
  /** Undefined where the mode has no client. */
  clientId?: string | undefined;
  /** Undefined keeps the stored one, null removes it. */
  clientSecret?: string | null | undefined;
  /** PEM. Undefined keeps the stored one, null removes it. */
  privateKey?: string | null | undefined;
  keyId?: string | undefined;
  certificate?: string | undefined;
  /** Undefined: the provider's default scopes. */
  scopes?: string[] | undefined;
  params?: Record<string, string> | undefined;
  overrides?: Overrides | undefined;
  returnOrigins?: string[] | undefined;
  requireFinish?: boolean | undefined;
  /** Undefined or null: as the catalogue has it. */
  rate?: UpstreamRate | null | undefined;
  /** Undefined or null: the deployment's. */
  theme?: Theme | null | undefined;
}

export interface PlannedIntegration {
  settings: IntegrationSettings;
  /** What is stored now. */
  before: Integration | undefined;
  /** What is wrong with the set-up together with the secrets that are stored. */
  issues: InputIssue[];
  /** Where secrets and tokens would go that go elsewhere now. */
  redirected: Redirection[];
  /** Undefined: it gets no ID tokens. */
  client: OpenIdClient | undefined;
  /** Workloads authenticate with tokens for this client, which it was not before: they would be refused as ID tokens. */
  shadowsWorkloads: boolean;
}

export interface IntegrationPlanner {
  /** Everything that is wrong with a set-up; undefined: nothing. */
  validate(id: string, setup: IntegrationSetup): { detail: string; issues: InputIssue[] } | undefined;
  /** What a valid set-up is to be stored as. A secret that equals the stored one stays as it is (undefined). */
  plan(id: string, setup: IntegrationSetup): Promise<PlannedIntegration>;
}

export interface PlannerParts {
  store: Pick<Store, 'integration' | 'callers'>;
  vault: Vault;
  catalogue: ReadonlyMap<string, Provider>;
  clock: Pick<Clock, 'now'>;
  /** What is wrong with a URL that requests would go to; undefined: nothing. */
  checkUrl: (url: string) => string | undefined;
  log: Pick<Logger, 'warn'>;
}

export function createIntegrationPlanner({
  store,
  vault,
  catalogue,
  clock,
  checkUrl,
  log,
}: PlannerParts): IntegrationPlanner {
  function issuesOf(id: string, provider: Provider, setup: IntegrationSetup): InputIssue[] {
    const params = setup.params ?? {};
    const auth = authMode(provider, params);
    const issues = fieldIssues('params', integrationFields(provider, auth), params);
    if (setup.clientId === undefined && auth && needsClient(auth))
      issues.push({ path: 'client_id', message: `is required in the mode ${auth.mode}` });
    if (auth && issues.length === 0) issues.push(...settingIssues(auth, integrationFields(provider, auth), params));
    if (auth && issues.length === 0)
      issues.push(...endpointIssues(provider, auth, setup), ...resourceIssues(provider, auth, setup));
    issues.push(...pemIssues(setup));
    return issues.length > 0 ? issues : urlIssues(id, provider, setup);
  }

  function urlIssues(id: string, provider: Provider, setup: IntegrationSetup): InputIssue[] {
    const { keyId = null, overrides = {}, params = {} } = setup;
    const settings = { id, version: 0, clientId: setup.clientId ?? '', keyId, params, overrides };
    // Connections have parameters of their own: only URLs that are complete without them can be checked now.
    const target = resolveTarget(provider, settings, NO_SECRETS, {});
    // A URL that was given is reported where it was given; one that the catalogue makes of it, by its endpoint.
    const urls = [
      ...Object.entries(overrides).map(([name, url]) => [`overrides.${name}`, url] as const),
      ...Object.entries(params).flatMap(([name, text]) =>
        /^https?:/.test(text) ? [[`params.${name}`, text] as const] : [],
      ),
      ...Object.entries({ ...target.endpoints, issuer: target.issuer }),
    ];
    const reported = new Set<string>();
    const faulty = urls.flatMap(([path, url]) => {
      const fault = url ? checkUrl(url) : undefined;
      if (fault === undefined || reported.has(url!)) return [];
      reported.add(url!);
      return [{ path, message: fault }];
    });
    return [...faulty, ...hostIssues(provider, overrides)];
  }

  /** Undefined: the stored ciphertext stays, since it holds this secret already. */
  function newCiphertext(
    id: string,
    column: Parameters<typeof integrationContext>[1],
    secret: string | null | undefined,
    stored: Ciphertext | null,
  ): Ciphertext | null | undefined {
    if (secret === undefined || secret === null) return secret;
    const context = integrationContext(id, column);
    try {
      if (stored !== null && vault.decrypt(stored, context) === secret) return undefined;
    } catch (error) {
      // A stored secret that cannot be decrypted is replaced.
      if (!(error instanceof VaultError)) throw error;
    }
    return vault.encrypt(secret, context);
  }

  function redirectionsFrom(
    stored: Integration | undefined,
    provider: Provider | undefined,
    settings: IntegrationSettings,
  ): Redirection[] {
    if (!stored || !provider) return [];
    if (stored.isAuthentic === false) return [{ name: 'row', from: null, to: settings.provider }];
    return redirections({ provider: catalogue.get(stored.provider), settings: stored }, { provider, settings });
  }

  /** With params as people mean them. */
  function read(setup: IntegrationSetup): IntegrationSetup {
    const provider = catalogue.get(setup.provider);
    if (!provider || setup.params === undefined) return setup;
    const fields = integrationFields(provider, authMode(provider, setup.params));
    return { ...setup, params: asMeant(fields, setup.params) };
  }

  return {
    validate(id, given) {
      const setup = read(given);
      const provider = catalogue.get(setup.provider);
      if (!provider) {
        const message = `no such provider in the catalogue; GET /v1/providers lists them`;
        return { detail: `provider "${setup.provider}" is not known`, issues: [{ path: 'provider', message }] };
      }
      const issues = issuesOf(id, provider, setup);
      return issues.length === 0 ? undefined : { detail: `integration "${id}" has invalid settings`, issues };
    },

    async plan(id, given) {
      const setup = read(given);
      const provider = catalogue.get(setup.provider);
      const now = clock.now();
      const stored = await store.integration(id);
      // A row that something else has changed says nothing of what it was.
      const before = stored?.isAuthentic === false ? undefined : stored;
      const settings = {
        id,
        provider: setup.provider,
        clientId: setup.clientId ?? '',
        clientSecret: newCiphertext(id, 'client_secret', setup.clientSecret, before?.clientSecret ?? null),
        privateKey: newCiphertext(id, 'private_key', setup.privateKey, before?.privateKey ?? null),
        keyId: setup.keyId ?? null,
        certificate: setup.certificate ?? null,
        scopes: setup.scopes ?? defaultScopes(provider && authMode(provider, setup.params ?? {})),
        scopesNamed: setup.scopes !== undefined,
        params: setup.params ?? {},
        overrides: setup.overrides ?? {},
        returnOrigins: setup.returnOrigins ?? [],
        requireFinish: setup.requireFinish ?? false,
        rate: setup.rate ?? null,
        theme: setup.theme ?? null,
        createdAt: now,
        updatedAt: now,
      };
      const target = provider && resolveTarget(provider, { ...settings, version: 0 }, NO_SECRETS, {});
      if (target && isCode(target.auth) && target.auth.pkce === 'none' && target.auth.settings.pkce !== undefined)
        log.warn(
          { integration: id },
          'integration: PKCE is switched off by its params. Use it if the provider allows it',
        );
      const redirected = redirectionsFrom(stored, provider, settings);
      const issues = [
        ...secretIssues(target?.auth, settings, before),
        ...(stored && redirected.length > 0 ? keptSecretIssues(stored, setup, redirected) : []),
      ];
      const client = openIdClient(catalogue, settings);
      const isNew = client && !isDeepStrictEqual(before && openIdClient(catalogue, before), client);
      const shadows = isNew === true && (await shadowsWorkloads(store, client));
      if (shadows)
        log.warn(
          { integration: id, issuer: client.issuer },
          'integration: its client id is the audience of a workload binding, whose tokens would be refused as ID tokens',
        );
      return { settings, before, issues, redirected, client, shadowsWorkloads: shadows };
    },
  };
}

/** Aliases that the provider does not have. */
function hostIssues({ api }: Provider, overrides: Overrides): InputIssue[] {
  const known = Object.keys(api.other_hosts);
  return Object.keys(overrides).flatMap((name) => {
    const alias = /^host\.(.*)$/.exec(name)?.[1];
    if (alias === undefined || known.includes(alias)) return [];
    const message = `the provider has no host of this alias; it has: ${known.join(', ') || 'none'}`;
    return [{ path: `overrides.${name}`, message }];
  });
}

const defaultScopes = (auth: AuthMode | undefined): string[] =>
  auth && 'default_scopes' in auth ? auth.default_scopes : [];

/**
 * Who may change where secrets go need not know them: what is sent elsewhere has to be given again. A secret that is removed
 * is not sent.
 */
function keptSecretIssues(
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
function endpointIssues(
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
function resourceIssues(provider: Provider, auth: AuthMode, { params = {}, clientId }: IntegrationSetup): InputIssue[] {
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
function secretIssues(
  auth: AuthMode | undefined,
  settings: IntegrationSettings,
  before: Integration | undefined,
): InputIssue[] {
  if (!auth || !('settings' in auth) || auth.settings.client_auth === undefined) return [];
  const param = auth.settings.client_auth;
  const [method] = settings.params[param] === undefined ? [] : (auth.client_auth ?? []);
  if (method === undefined || method === 'none') return [];
  const stays = (now: unknown, stored: unknown) => (now === undefined ? (stored ?? null) !== null : now !== null);
  const has = {
    client_secret: stays(settings.clientSecret, before?.clientSecret),
    private_key: stays(settings.privateKey, before?.privateKey),
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

const PRIVATE_KEY = /^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s/;
/** Nothing but certificates: they are shown, and a bundle may contain a private key. */
const CERTIFICATES = /^(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$/;

function pemIssues({ privateKey, certificate }: IntegrationSetup): InputIssue[] {
  const issues: InputIssue[] = [];
  if (typeof privateKey === 'string' && !PRIVATE_KEY.test(privateKey.trim()))
    issues.push({ path: 'private_key', message: 'must be a private key in PEM form' });
  if (typeof certificate === 'string' && !CERTIFICATES.test(certificate.trim()))
    issues.push({ path: 'certificate', message: 'must be one or more certificates in PEM form, and nothing else' });
  return issues;
}
