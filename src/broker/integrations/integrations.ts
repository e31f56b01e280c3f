// Integrations, as admins manage them.
import type { AuditEntry } from '../../domain/audit.ts';
import { type AuthMode, isCode } from '../../domain/auth-modes.ts';
import { type Action, matches } from '../../domain/caller.ts';
import type { Ciphertext } from '../../domain/connection.ts';
import { type InputIssue, type Refusal, refuse } from '../../domain/errors.ts';
import { fieldIssues } from '../../domain/fields.ts';
import type { Integration, Overrides } from '../../domain/integration.ts';
import { authMode, integrationFields, type Provider } from '../../domain/provider.ts';
import { NO_SECRETS, resolveTarget } from '../../domain/target.ts';
import {
  type Clock,
  type IntegrationSettings,
  type Page,
  type PageRequest,
  type Store,
  type Vault,
  VaultError,
} from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { integrationContext } from './targets.ts';

export interface Setup {
  provider: string;
  /** Left out where the mode knows no client. */
  clientId?: string | undefined;
  /** Undefined keeps the one that is stored, null removes it. */
  clientSecret?: string | null | undefined;
  /** PEM. As with the secret. */
  privateKey?: string | null | undefined;
  keyId?: string | undefined;
  certificate?: string | undefined;
  scopes?: string[] | undefined;
  params?: Record<string, string> | undefined;
  overrides?: Overrides | undefined;
  returnOrigins?: string[] | undefined;
}

interface Parts {
  store: Store;
  vault: Vault;
  catalogue: ReadonlyMap<string, Provider>;
  access: Access;
  clock: Clock;
  /** Told of every change: what was derived from the integration is stale. */
  changed: (id: string) => void;
  /** What is wrong with a URL that requests would go to; undefined when nothing is. */
  checkUrl: (url: string) => string | undefined;
}

export type Integrations = ReturnType<typeof createIntegrations>;

export function createIntegrations({ store, vault, catalogue, access, clock, changed, checkUrl }: Parts) {
  function issuesOf(id: string, provider: Provider, setup: Setup): InputIssue[] {
    const params = setup.params ?? {};
    const auth = authMode(provider, params);
    const issues = fieldIssues('params', integrationFields(provider, auth), params);
    if (setup.clientId === undefined && auth && needsClient(auth))
      issues.push({ path: 'client_id', message: `is required in the mode ${auth.mode}` });
    for (const [path, pem] of [
      ['private_key', setup.privateKey],
      ['certificate', setup.certificate],
    ] as const)
      if (typeof pem === 'string' && !isPem(path, pem))
        issues.push({
          path,
          message:
            path === 'certificate'
              ? 'must be one or more certificates in PEM form, and nothing else'
              : 'must be a private key in PEM form',
        });
    if (issues.length > 0) return issues;
    const { keyId = null, overrides = {} } = setup;
    const settings = { id, version: 0, clientId: setup.clientId ?? '', keyId, params, overrides };
    // Connections bring parameters of their own: only what is complete without them can be checked now.
    const target = resolveTarget(provider, settings, NO_SECRETS, {});
    // What was given is named as it was given; then what the catalogue made of it.
    const urls = [
      ...Object.entries(setup.overrides ?? {}).map(([name, url]) => [`overrides.${name}`, url] as const),
      ...Object.entries(params).flatMap(([name, text]) =>
        /^https?:/.test(text) ? [[`params.${name}`, text] as const] : [],
      ),
      ...Object.entries({ ...target.endpoints, issuer: target.issuer }),
    ];
    const told = new Set<string>();
    return urls.flatMap(([path, url]) => {
      const fault = url ? checkUrl(url) : undefined;
      if (fault === undefined || told.has(url!)) return [];
      told.add(url!);
      return [{ path, message: fault }];
    });
  }

  /** Sealed anew only when it is another one than is stored; undefined: as it is. */
  function newSecret(
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
      // What is damaged is what this mends.
      if (!(error instanceof VaultError)) throw error;
    }
    return vault.encrypt(secret, context);
  }

  /** What is wrong with a set-up, all at once; undefined when nothing is. */
  function faultsOf(id: string, setup: Setup): { detail: string; issues: InputIssue[] } | undefined {
    const provider = catalogue.get(setup.provider);
    if (!provider) {
      const message = `no such provider in the catalogue; GET /v1/providers lists them`;
      return { detail: `provider "${setup.provider}" is not known`, issues: [{ path: 'provider', message }] };
    }
    const issues = issuesOf(id, provider, setup);
    return issues.length === 0 ? undefined : { detail: `integration "${id}" cannot be set up so`, issues };
  }

  /** What a set-up without faults would be stored as, beside what is stored now; and whose tokens it has believed. */
  async function settle(
    id: string,
    setup: Setup,
  ): Promise<{ settings: IntegrationSettings; before: Integration | undefined; issuer: string | null }> {
    const provider = catalogue.get(setup.provider);
    const now = clock.now();
    const before = await store.integration(id);
    const settings = {
      id,
      provider: setup.provider,
      clientId: setup.clientId ?? '',
      clientSecret: newSecret(id, 'client_secret', setup.clientSecret, before?.clientSecret ?? null),
      privateKey: newSecret(id, 'private_key', setup.privateKey, before?.privateKey ?? null),
      keyId: setup.keyId ?? null,
      certificate: setup.certificate ?? null,
      scopes: setup.scopes ?? defaultScopes(provider && authMode(provider, setup.params ?? {})),
      params: setup.params ?? {},
      overrides: setup.overrides ?? {},
      returnOrigins: setup.returnOrigins ?? [],
      createdAt: now,
      updatedAt: now,
    };
    const { issuer } = provider
      ? resolveTarget(provider, { ...settings, version: 0 }, NO_SECRETS, {})
      : { issuer: null };
    return { settings, before, issuer };
  }

  async function save(
    id: string,
    setup: Setup,
    by: AuditEntry,
  ): Promise<{ integration: Integration; made: boolean } | Refusal> {
    const faults = faultsOf(id, setup);
    if (faults) return refuse({ code: 'invalid_request', ...faults });
    const { settings } = await settle(id, setup);
    const outcome = await store.putIntegration(settings, by);
    changed(id);
    const integration = await store.integration(id);
    if (!integration) return refuse({ code: 'not_found', what: 'integration', id });
    return { integration, made: outcome === 'created' };
  }

  /** Integrations are shown to whoever administers them or reads connections of them. */
  const mayRead = (call: Call, id: string): boolean =>
    call.principal.caller.permissions.some(
      (g) =>
        (['*', 'admin', 'connections:read', 'connections:write'] satisfies (Action | '*')[]).some((a) =>
          g.actions.includes(a),
        ) && g.integrations.some((pattern) => matches(pattern, id)),
    );

  return {
    faultsOf,
    settle,
    /** To be called for each that was written otherwise than by `put`. */
    changed,

    async put(call: Call, id: string, setup: Setup): Promise<{ integration: Integration; made: boolean } | Refusal> {
      const denied = access.denied(call, 'admin', id, '*');
      if (denied) return denied;
      return save(id, setup, access.record(call, 'integration.put', { integration: id, detail: setup.provider }));
    },

    async get(call: Call, id: string): Promise<Integration | Refusal> {
      if (!mayRead(call, id))
        return access.denied(call, 'admin', id, '*') ?? refuse({ code: 'not_found', what: 'integration', id });
      return (await store.integration(id)) ?? refuse({ code: 'not_found', what: 'integration', id });
    },

    async list(call: Call, page: PageRequest): Promise<Page<Integration>> {
      const { data, next } = await store.integrations(page);
      return { data: data.filter((one) => mayRead(call, one.id)), next };
    },

    async remove(call: Call, id: string): Promise<undefined | Refusal> {
      const denied = access.denied(call, 'admin', id, '*');
      if (denied) return denied;
      const deleted = await store.deleteIntegration(
        id,
        access.record(call, 'integration.deleted', { integration: id }),
      );
      if (deleted === 'absent') return refuse({ code: 'not_found', what: 'integration', id });
      if (deleted === 'deleted') {
        changed(id);
        return undefined;
      }
      const { connections, pendingRevocations } = deleted;
      return refuse({
        code: 'integration_in_use',
        integration: id,
        connections,
        pending_revocations: pendingRevocations,
      });
    },
  };
}

/** Every mode that asks a provider in the client's name; an import may bring a client of its own. */
const needsClient = (auth: AuthMode): boolean =>
  isCode(auth) ||
  auth.mode === 'aws_sts_assume_role' ||
  (auth.mode === 'oauth2_client_credentials' && !Object.hasOwn(auth.credentials, 'client_id'));

const defaultScopes = (auth: AuthMode | undefined): string[] =>
  auth && 'default_scopes' in auth ? auth.default_scopes : [];

const PRIVATE_KEY = /^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s/;
/** Nothing but certificates: a key that a bundle brings along would be shown. */
const CERTIFICATES = /^(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$/;

const isPem = (what: 'private_key' | 'certificate', text: string): boolean =>
  (what === 'private_key' ? PRIVATE_KEY : CERTIFICATES).test(text.trim());
