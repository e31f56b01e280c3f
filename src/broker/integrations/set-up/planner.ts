// From what an admin or the declarative file says about an integration to what is stored: validated, with defaults, encrypted.
import { isDeepStrictEqual } from 'node:util';
import { type AuthMode, isCode } from '../../../domain/auth-modes.ts';
import { needsClient } from '../../../domain/client-needs.ts';
import type { Ciphertext } from '../../../domain/connection.ts';
import { type Redirection, redirections } from '../../../domain/destinations.ts';
import type { InputIssue } from '../../../domain/errors.ts';
import { asMeant, fieldIssues } from '../../../domain/fields.ts';
import type { Integration } from '../../../domain/integration.ts';
import { settingIssues } from '../../../domain/param-settings.ts';
import { authMode, integrationFields, type Provider } from '../../../domain/provider.ts';
import { NO_SECRETS, resolveTarget } from '../../../domain/target.ts';
import {
  type Clock,
  type ExpectedIntegration,
  type IntegrationSettings,
  type Logger,
  type Store,
  type Vault,
  VaultError,
} from '../../../ports/index.ts';
import { type OpenIdClient, openIdClient, shadowsWorkloads } from '../openid-clients.ts';
import { integrationContext } from '../targets.ts';
import {
  endpointIssues,
  hostIssues,
  issuerIssues,
  keptSecretIssues,
  pemIssues,
  resourceIssues,
  secretIssues,
} from './issues.ts';
import type { IntegrationSetup } from './setup.ts';

export interface PlannedIntegration {
  settings: IntegrationSettings;
  /** What is stored now. */
  before: Integration | undefined;
  /** What all of this was decided on: it is to be stored in place of nothing else. */
  expected: ExpectedIntegration;
  /** What is wrong with the set-up together with the secrets that are stored. */
  issues: InputIssue[];
  /** Where secrets and tokens would go that go elsewhere now. */
  redirected: Redirection[];
  /** Undefined: it gets no ID tokens. */
  client: OpenIdClient | undefined;
  /** It was not this client before: other ID tokens are accepted. */
  isNewClient: boolean;
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
        ...issuerIssues(target?.auth, settings, before),
        ...(stored && redirected.length > 0 ? keptSecretIssues(stored, setup, redirected) : []),
      ];
      const client = openIdClient(catalogue, settings);
      const isNewClient = client !== undefined && !isDeepStrictEqual(before && openIdClient(catalogue, before), client);
      const shadows = isNewClient && (await shadowsWorkloads(store, client));
      if (shadows)
        log.warn(
          { integration: id, issuer: client.issuer },
          'integration: its client id is the audience of a workload binding, whose tokens would be refused as ID tokens',
        );
      const expected = { version: stored?.version ?? 0, createdAt: stored?.createdAt };
      return { settings, before, expected, issues, redirected, client, isNewClient, shadowsWorkloads: shadows };
    },
  };
}

const defaultScopes = (auth: AuthMode | undefined): string[] =>
  auth && 'default_scopes' in auth ? auth.default_scopes : [];
