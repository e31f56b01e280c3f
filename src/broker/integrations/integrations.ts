// Integrations, as admins manage them.
import { type Action, allows, matches } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { Integration } from '../../domain/integration.ts';
import type { IntegrationInUse, Page, PageRequest, ReceiverChange, Store } from '../../ports/index.ts';
import { type Access, type Call, changedNames, integrationChanges } from '../audit/index.ts';
import type { Cache } from '../cache/index.ts';
import type { OpenIdClient } from './openid-clients.ts';
import { decidedAgain } from './set-up/decided-again.ts';
import { inWords } from './set-up/issues.ts';
import type { IntegrationPlanner } from './set-up/planner.ts';
import type { IntegrationSetup } from './set-up/setup.ts';
import { notAuthentic } from './targets.ts';

export interface IntegrationAdmin {
  /**
   * Creates it, or replaces all but the secrets that the set-up leaves out. What sends secrets elsewhere needs all of them
   * again, and the permission `token` on all owners. Refused where it is not `ofVersion` any more. `receivers`: how it receives, in the same commit. Waits for the
   * other replicas.
   */
  put(
    call: Call,
    id: string,
    setup: IntegrationSetup,
    receivers?: readonly ReceiverChange[],
  ): Promise<{ integration: Integration; created: boolean } | Refusal>;
  /** For admins, and for callers that may read connections of it. */
  get(call: Call, id: string): Promise<Integration | Refusal>;
  /** Those that the caller may get, in full pages: neither their number nor a cursor tells of the others. */
  list(call: Call, page: PageRequest): Promise<Page<Integration>>;
  /** Refuses with `integration_in_use` while there are connections or pending revocations. Waits for the other replicas. */
  remove(call: Call, id: string): Promise<undefined | Refusal>;
}

const EXAMINED_PER_STEP = 500;

/**
 * The refresh tokens of its connections, and codes of flows in flight, would be sent to the new destination: for that a caller
 * must be allowed to have every token of the integration. Without connections, it can be deleted and set up again.
 */
export const mayRedirect = (access: Pick<Access, 'denied'>, call: Call, id: string): Refusal | undefined =>
  access.denied(call, 'token', id, '*', undefined, { scopes: [] });

export const integrationInUse = ({ integration, connections, pendingRevocations }: IntegrationInUse): Refusal =>
  refuse({ code: 'integration_in_use', integration, connections, pending_revocations: pendingRevocations });

const changedMeanwhile = (id: string): Refusal =>
  refuse({
    code: 'invalid_request',
    detail: `integration "${id}" was changed meanwhile`,
    issues: [{ path: 'version', message: 'the integration was changed meanwhile by someone else' }],
  });

/** Who manages the callers may do it: workloads that authenticate with tokens for this client would be locked out. */
function mayShadow(
  access: Pick<Access, 'noteRefused'>,
  call: Call,
  id: string,
  { issuer, clientId }: OpenIdClient,
): Refusal | undefined {
  if (allows(call.principal.caller.permissions, 'admin', '*', '*')) return undefined;
  const detail = 'client_id is the audience of a workload binding at its issuer';
  access.noteRefused(call, 'access.denied', { integration: id, owner: '*', detail });
  const message = `"${clientId}" is the audience of a workload binding at ${issuer}, whose tokens would be taken for ID tokens of this integration and refused: use another client, or ask an admin of everything`;
  return refuse({
    code: 'invalid_request',
    detail: `integration "${id}" would lock out workloads`,
    issues: [{ path: 'client_id', message }],
  });
}

interface Parts {
  store: Pick<Store, 'integration' | 'integrations' | 'putIntegration' | 'deleteIntegration'>;
  planner: IntegrationPlanner;
  access: Access;
  /** Called after every change. */
  changed: (id: string) => void;
  untilApplied: Cache['untilApplied'];
}

export function createIntegrationAdmin({ store, planner, access, changed, untilApplied }: Parts): IntegrationAdmin {
  const mayRead = (call: Call, id: string): boolean =>
    call.principal.caller.permissions.some(
      (g) =>
        (['*', 'admin', 'admin:read', 'connections:read', 'connections:write'] satisfies (Action | '*')[]).some((a) =>
          g.actions.includes(a),
        ) && g.integrations.some((pattern) => matches(pattern, id)),
    );
  const notFound = (id: string) => refuse({ code: 'not_found', what: 'integration', id });

  async function putOnce(
    call: Call,
    id: string,
    setup: IntegrationSetup,
    receivers: readonly ReceiverChange[] | undefined,
  ): Promise<'created' | 'updated' | 'changed' | Refusal> {
    const { settings, before, expected, issues, redirected, client, shadowsWorkloads } = await planner.plan(id, setup);
    const mayNot =
      (redirected.length > 0 ? mayRedirect(access, call, id) : undefined) ??
      (client && shadowsWorkloads ? mayShadow(access, call, id, client) : undefined);
    if (mayNot) return mayNot;
    if (issues.length > 0)
      return refuse({ code: 'invalid_request', detail: `integration "${id}" has invalid settings`, issues });
    const detail = [setup.provider, ...redirected.map(inWords)].join('; ');
    const by = access.record(call, 'integration.put', {
      integration: id,
      detail,
      changed: changedNames(integrationChanges(before, settings)),
    });
    if (setup.ofVersion !== undefined && setup.ofVersion !== expected.version) return 'changed';
    return store.putIntegration(settings, by, receivers, expected);
  }

  return {
    async put(call, id, setup, receivers) {
      const denied = access.denied(call, 'admin', id, '*');
      if (denied) return denied;
      const faults = planner.validate(id, setup);
      if (faults) return refuse({ code: 'invalid_request', ...faults });
      const attempt = () => putOnce(call, id, setup, receivers);
      const outcome = await (setup.ofVersion === undefined ? decidedAgain(attempt) : attempt());
      if (outcome instanceof Refusal) return outcome;
      if (outcome === 'changed') return changedMeanwhile(id);
      changed(id);
      // Its tokens may be trusted no longer, if its issuer or client has changed. Of a new one, each replica takes the webhooks,
      // which its sender would be told are for no one.
      await untilApplied();
      const integration = await store.integration(id);
      return integration ? { integration, created: outcome === 'created' } : notFound(id);
    },

    async get(call, id) {
      if (!mayRead(call, id)) return access.denied(call, 'admin', id, '*') ?? notFound(id);
      const integration = await store.integration(id);
      if (integration?.isAuthentic === false) return refuse(notAuthentic(id));
      return integration ?? notFound(id);
    },

    async list(call, page) {
      const visible: Integration[] = [];
      let after = page.after;
      do {
        const { data, next } = await store.integrations({ limit: EXAMINED_PER_STEP, after });
        visible.push(...data.filter((one) => one.isAuthentic !== false && mayRead(call, one.id)));
        after = next ?? undefined;
      } while (after !== undefined && visible.length <= page.limit);
      const data = visible.slice(0, page.limit);
      return { data, next: visible.length > page.limit ? data.at(-1)!.id : null };
    },

    async remove(call, id) {
      const denied = access.denied(call, 'admin', id, '*');
      if (denied) return denied;
      const by = access.record(call, 'integration.deleted', { integration: id });
      const deleted = await store.deleteIntegration(id, by);
      if (deleted === 'absent') return notFound(id);
      if (deleted === 'deleted') {
        changed(id);
        await untilApplied();
        return undefined;
      }
      return integrationInUse(deleted);
    },
  };
}
