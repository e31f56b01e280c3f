// Applies declared integrations and callers, from the file at start or over HTTP: validates all, compares, writes at once.
import { isDeepStrictEqual } from 'node:util';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import type { SignalSettings } from '../../domain/signal-receivers.ts';
import type { Theme } from '../../domain/theme.ts';
import type { WebhookSetup } from '../../domain/webhook-settings.ts';
import type { Clock, DeclaredRows, ReceiverChange, Store } from '../../ports/index.ts';
import { type Access, type Call, changedNames, type FieldChange, integrationChanges } from '../audit/index.ts';
import type { Cache, CallerCache } from '../cache/index.ts';
import { mayNotDelegate, mayNotName, mayNotReplace } from '../callers/index.ts';
import {
  decidedAgain,
  type Integrations,
  integrationInUse,
  inWords,
  type OpenIdClient,
} from '../integrations/index.ts';
import {
  type Declared,
  type DeclaredChange,
  type Deletions,
  type Limits,
  NO_LIMITS,
  type Recorder,
} from './declared.ts';
import { createCallerPlanner, idFor } from './declared-callers.ts';
import { planDeletions } from './deletions.ts';

/** Settings that a process reads only when it starts. Undefined: not declared. */
export interface ProcessSettings {
  trusted_issuers?: readonly { issuer: string }[] | undefined;
  return_origins?: readonly string[] | undefined;
  console?: object | undefined;
  theme?: Theme | undefined;
}

interface ReceivingSetup {
  webhook?: WebhookSetup | null | undefined;
  signals?: SignalSettings | null | undefined;
}

/** How integrations receive webhooks and signals. */
interface DeclaredReceiving {
  issues(provider: string, wanted: ReceivingSetup): Refusal | undefined;
  /** What is to be stored, `inTurn`, and what would be different, by name. Rejects with `StoreError`. */
  plan(
    integration: { id: string; provider: string },
    wanted: ReceivingSetup,
    record: Recorder,
  ): Promise<{ changes: ReceiverChange[]; differences: string[] }>;
  inTurn<T>(work: () => Promise<T>): Promise<T>;
}

/** Everything is validated before anything is written. Rejects with `StoreError`. */
export interface Apply {
  /** Applies the file when the process starts. What the file does not name stays as it is. */
  atStart(declared: Declared): Promise<DeclaredChange[] | Refusal>;
  /**
   * Applies it while the process runs. `needsRestart`: the settings that are declared otherwise than this process was
   * started with. All of it is one operation of the store, deletions too; `integration_in_use` where one is needed still. A dry
   * run writes nothing.
   */
  apply(
    call: Call,
    declared: Declared & ProcessSettings & { deleted?: Deletions | undefined },
    dryRun: boolean,
  ): Promise<{ changes: DeclaredChange[]; needsRestart: (keyof ProcessSettings)[] } | Refusal>;
}

export interface ApplyParts {
  store: Pick<Store, 'integration' | 'callers' | 'putDeclared'>;
  integrations: Pick<Integrations, 'planner' | 'mayNotChange' | 'trustedIssuers' | 'changed'>;
  callerCache: Pick<CallerCache, 'reload'>;
  receiving: DeclaredReceiving;
  /** Waits for the other replicas. */
  untilApplied: Cache['untilApplied'];
  access: Pick<Access, 'denied' | 'deniedDelegation' | 'record' | 'recordSystem'>;
  clock: Clock;
  /** What this process was started with. */
  running: ProcessSettings;
}

export function createApply({
  store,
  integrations,
  callerCache,
  receiving,
  untilApplied,
  access,
  clock,
  running,
}: ApplyParts): Apply {
  const { planner, mayNotChange, trustedIssuers } = integrations;
  const planCallers = createCallerPlanner({ store, trustedIssuers, clock });

  /** Adds to `rows` what is to be written. */
  async function planIntegrations(
    wanted: Declared['integrations'],
    record: Recorder,
    rows: DeclaredRows,
    mayNot: Limits['integration'],
  ) {
    const changes: DeclaredChange[] = [];
    const issues: InputIssue[] = [];
    const receivers: ReceiverChange[] = [];
    const clients: OpenIdClient[] = [];
    for (const [i, { id, setup, webhook, signals }] of wanted.entries()) {
      const faults = planner.validate(id, setup);
      if (faults) {
        issues.push(...faults.issues.map(({ path, message }) => ({ path: `integrations.${i}.${path}`, message })));
        continue;
      }
      const planned = await planner.plan(id, setup);
      const { settings, before, expected, issues: more, redirected, client } = planned;
      if (client) clients.push(client);
      const refusal = mayNot(id, planned);
      if (refusal) return refusal;
      if (more.length > 0) {
        issues.push(...more.map(({ path, message }) => ({ path: `integrations.${i}.${path}`, message })));
        continue;
      }
      const faulty = receivingIssues(setup.provider, webhook, signals);
      if (faulty.length > 0) {
        issues.push(...faulty.map(({ path, message }) => ({ path: `integrations.${i}.${path}`, message })));
        continue;
      }
      const both = { webhook: webhook instanceof Refusal ? undefined : webhook, signals };
      const received = await receiving.plan({ id, provider: setup.provider }, both, record);
      const differences: FieldChange[] = received.differences.map((path) => ({ path, secret: 'changed' }));
      receivers.push(...received.changes);
      const fields = integrationChanges(before, settings);
      if (before && fields.length === 0 && differences.length === 0) continue;
      changes.push({
        kind: 'integration',
        id,
        name: null,
        action: before ? 'update' : 'create',
        fields: [...fields, ...differences],
      });
      if (before && fields.length === 0) continue;
      const detail = [setup.provider, ...redirected.map(inWords)].join('; ');
      const by = record('integration.declared', { integration: id, detail, changed: changedNames(fields) });
      rows.integrations.push({ settings, audit: by, expected });
    }
    rows.receivers = receivers;
    return { changes, issues, clients };
  }

  function receivingIssues(
    provider: string,
    webhook: Declared['integrations'][number]['webhook'],
    signals: SignalSettings | null | undefined,
  ): InputIssue[] {
    const refusal = webhook instanceof Refusal ? webhook : receiving.issues(provider, { webhook, signals });
    if (refusal) return refusal.fault.code === 'invalid_request' ? (refusal.fault.issues ?? []) : [];
    const message = 'is shown once, when it is made: make it with PUT, and leave it out here';
    return webhook && !(webhook instanceof Refusal) && webhook.hook ? [{ path: 'webhook.hook', message }] : [];
  }

  async function put(...args: Parameters<typeof putOnce>): Promise<DeclaredChange[] | Refusal> {
    const outcome = await decidedAgain(() => putOnce(...args));
    if (outcome !== 'changed') return outcome;
    const detail =
      'Nothing was applied: an integration or a caller was changed meanwhile by someone else, again and again. Try again later.';
    return refuse({ code: 'invalid_request', detail });
  }

  async function putOnce(
    declared: Declared,
    record: Recorder,
    dryRun: boolean,
    limits: Limits = NO_LIMITS,
    removed: { deletions: Deletions; self: string } | undefined = undefined,
  ): Promise<DeclaredChange[] | 'changed' | Refusal> {
    const rows: DeclaredRows = { integrations: [], callers: [] };
    const callerIds = new Set(declared.callers.map(({ id, name }) => id ?? idFor(name)));
    const deleted =
      removed &&
      (await planDeletions(removed.deletions, {
        store,
        record,
        declared: { integrations: declared.integrations, callerIds },
        self: removed.self,
      }));
    const isDeleted = (id: string) => deleted?.rows.callers.some((one) => one.id === id) ?? false;
    const planned = await planIntegrations(declared.integrations, record, rows, limits.integration);
    if (planned instanceof Refusal) return planned;
    const callers = await planCallers(declared.callers, record, rows, limits.caller, planned.clients, isDeleted);
    if (callers instanceof Refusal) return callers;
    const issues = [...planned.issues, ...callers.issues, ...(deleted?.issues ?? [])];
    if (issues.length > 0)
      return refuse({ code: 'invalid_request', detail: 'Nothing was applied: some of it is invalid.', issues });
    const changes = [...planned.changes, ...callers.changes, ...(deleted?.deletions ?? [])];
    if (dryRun || changes.length === 0) return changes;
    const outcome = await store.putDeclared({ ...rows, ...(deleted && { deleted: deleted.rows }) });
    if (outcome === 'changed') return outcome;
    if (outcome !== 'stored') return integrationInUse(outcome);
    const written = [...rows.integrations, ...(rows.receivers ?? [])].map(({ settings }) =>
      'id' in settings ? settings.id : settings.integration,
    );
    const removedIds = deleted?.rows.integrations.map(({ id }) => id) ?? [];
    for (const id of new Set([...written, ...removedIds])) integrations.changed(id);
    await Promise.all([callerCache.reload(), untilApplied()]);
    return changes;
  }

  return {
    atStart: (declared) => receiving.inTurn(() => put(declared, access.recordSystem, false)),

    async apply(call, declared, dryRun) {
      const denied = access.denied(call, 'admin', '*', '*');
      if (denied) return denied;
      const record: Recorder = (action, subject) => access.record(call, action, subject);
      const limits: Limits = {
        integration: (id, change) => mayNotChange(call, id, change),
        caller: (before, after, hasNewKey) =>
          before && !hasNewKey
            ? mayNotReplace(access, call, before, after)
            : (mayNotDelegate(access, call, [...after.permissions, ...(before?.permissions ?? [])]) ??
              mayNotName(access, call, [...(after.audiences ?? []), ...(before?.audiences ?? [])])),
      };
      const self = call.principal.caller.id;
      const removed = declared.deleted && { deletions: declared.deleted, self };
      const changes = await receiving.inTurn(() => put(declared, record, dryRun, limits, removed));
      if (changes instanceof Refusal) return changes;
      const settings = ['trusted_issuers', 'return_origins', 'console', 'theme'] as const;
      const needsRestart = settings.filter(
        (name) => declared[name] !== undefined && !isDeepStrictEqual(declared[name], running[name]),
      );
      return { changes, needsRestart };
    },
  };
}
