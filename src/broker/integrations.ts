// Integrations, as admins manage them.
import { isDeepStrictEqual } from 'node:util';
import type { AuditEntry } from '../domain/audit.ts';
import { type Action, matches } from '../domain/caller.ts';
import type { Sealed } from '../domain/connection.ts';
import { type InputIssue, type Refusal, refuse } from '../domain/errors.ts';
import type { Integration, Overrides } from '../domain/integration.ts';
import type { Provider } from '../domain/provider.ts';
import { authMode, integrationFields, paramIssues, resolveTarget } from '../domain/target.ts';
import { type Clock, type Page, type PageRequest, type Store, type Vault, VaultError } from '../ports.ts';
import type { Access, Call } from './access.ts';
import { clientSecretContext } from './targets.ts';

export interface Setup {
  provider: string;
  clientId: string;
  /** Undefined keeps the one that is stored, null removes it. */
  clientSecret?: string | null | undefined;
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
  /** What is wrong with a set-up, all at once. */
  function issuesOf(id: string, provider: Provider, setup: Setup): InputIssue[] {
    const params = setup.params ?? {};
    const issues = paramIssues(integrationFields(provider), params);
    if (issues.length > 0) return issues;
    const settings = { id, version: 0, clientId: setup.clientId, params, overrides: setup.overrides ?? {} };
    // Connections bring parameters of their own: only what is complete without them can be checked now.
    const target = resolveTarget(provider, settings, null, {});
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
  function newSecret(id: string, secret: string | null | undefined, stored: Sealed | null): Sealed | null | undefined {
    if (secret === undefined || secret === null) return secret;
    const context = clientSecretContext(id);
    try {
      if (stored !== null && vault.open(stored, context) === secret) return undefined;
    } catch (error) {
      // What is damaged is what this mends.
      if (!(error instanceof VaultError)) throw error;
    }
    return vault.seal(secret, context);
  }

  /**
   * `by` is told the store's way, so that the declarative file can do the same; being applied at every start, it leaves
   * alone what it does not change.
   */
  async function save(
    id: string,
    setup: Setup,
    by: AuditEntry,
    unchanged: 'written' | 'left' = 'written',
  ): Promise<{ integration: Integration; made: boolean } | Refusal> {
    const provider = catalogue.get(setup.provider);
    if (!provider) {
      const message = `no such provider in the catalogue; GET /v1/providers lists them`;
      return refuse({
        code: 'invalid_request',
        detail: `provider "${setup.provider}" is not known`,
        issues: [{ path: 'provider', message }],
      });
    }
    const issues = issuesOf(id, provider, setup);
    if (issues.length > 0) {
      return refuse({ code: 'invalid_request', detail: `integration "${id}" cannot be set up so`, issues });
    }
    const now = clock.now();
    const before = await store.integration(id);
    const settings = {
      id,
      provider: setup.provider,
      clientId: setup.clientId,
      clientSecret: newSecret(id, setup.clientSecret, before?.clientSecret ?? null),
      scopes: setup.scopes ?? authMode(provider, setup.params ?? {})?.default_scopes ?? [],
      params: setup.params ?? {},
      overrides: setup.overrides ?? {},
      returnOrigins: setup.returnOrigins ?? [],
    };
    if (before && unchanged === 'left') {
      const { version: _v, createdAt: _c, updatedAt: _u, ...stored } = before;
      const wanted = {
        ...settings,
        clientSecret: settings.clientSecret === undefined ? stored.clientSecret : settings.clientSecret,
      };
      if (isDeepStrictEqual(wanted, stored)) return { integration: before, made: false };
    }
    const outcome = await store.putIntegration({ ...settings, createdAt: now, updatedAt: now }, by);
    changed(id);
    const integration = await store.integration(id);
    if (!integration) return refuse({ code: 'not_found', what: 'integration', id });
    return { integration, made: outcome === 'created' };
  }

  /** Integrations are shown to whoever administers them or reads connections of them. */
  const mayRead = (call: Call, id: string): boolean =>
    call.principal.caller.grants.some(
      (g) =>
        (['*', 'admin', 'connections:read', 'connections:write'] satisfies (Action | '*')[]).some((a) =>
          g.actions.includes(a),
        ) && g.integrations.some((pattern) => matches(pattern, id)),
    );

  return {
    save,

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
