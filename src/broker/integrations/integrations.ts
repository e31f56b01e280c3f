// Integrations, as admins manage them.
import { type Action, matches } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { Integration } from '../../domain/integration.ts';
import type { IntegrationInUse, Page, PageRequest, ReceiverChange, Store } from '../../ports/index.ts';
import { type Access, type Call, changedNames, integrationChanges } from '../audit/index.ts';
import type { Cache } from '../cache/index.ts';
import type { MayNotChange } from './set-up/change-permissions.ts';
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

export const integrationInUse = ({ integration, connections, pendingRevocations }: IntegrationInUse): Refusal =>
  refuse({ code: 'integration_in_use', integration, connections, pending_revocations: pendingRevocations });

const changedMeanwhile = (id: string): Refusal =>
  refuse({
    code: 'invalid_request',
    detail: `integration "${id}" was changed meanwhile`,
    issues: [{ path: 'version', message: 'the integration was changed meanwhile by someone else' }],
  });

interface Parts {
  store: Pick<Store, 'integration' | 'integrations' | 'putIntegration' | 'deleteIntegration'>;
  planner: IntegrationPlanner;
  access: Access;
  mayNotChange: MayNotChange;
  /** Called after every change. */
  changed: (id: string) => void;
  untilApplied: Cache['untilApplied'];
}

export function createIntegrationAdmin(parts: Parts): IntegrationAdmin {
  const { store, planner, access, mayNotChange, changed, untilApplied } = parts;
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
    const planned = await planner.plan(id, setup);
    const mayNot = mayNotChange(call, id, planned);
    if (mayNot) return mayNot;
    const { settings, before, expected, issues, redirected } = planned;
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
