// Applies declared integrations and callers, from the file at start or over HTTP: validates all, compares, writes at once.
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { AuditEntry } from '../../domain/audit.ts';
import type { AuditAction } from '../../domain/audit-actions.ts';
import type { Caller } from '../../domain/caller.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import type { SignalSettings } from '../../domain/signal-receivers.ts';
import type { WebhookSetup } from '../../domain/webhook-settings.ts';
import type { Clock, DeclaredRows, ReceiverChange, Store } from '../../ports/index.ts';
import {
  type Access,
  type Call,
  callerChanges,
  changedNames,
  type FieldChange,
  integrationChanges,
  type Subject,
} from '../audit/index.ts';
import type { Cache, CallerCache } from '../cache/index.ts';
import {
  type CallerSetup,
  callerOf,
  keyOf,
  mayNotDelegate,
  mayNotReplace,
  nameIssues,
  ofClient,
  workloadIssues,
} from '../callers/index.ts';
import {
  type IntegrationSetup,
  type Integrations,
  inWords,
  isShadowedBy,
  mayRedirect,
  type OpenIdClient,
} from '../integrations/index.ts';

export interface Declared {
  integrations: {
    id: string;
    setup: IntegrationSetup;
    /** Undefined: how it receives webhooks stays. A refusal: what was declared of it is not valid. */
    webhook?: WebhookSetup | null | Refusal | undefined;
    /** Undefined: where its signals come from stays. */
    signals?: SignalSettings | null | undefined;
  }[];
  /** Undefined keys: the stored ones stay. */
  callers: (CallerSetup & { id?: string | undefined; keys?: string[] | undefined })[];
}

/** Settings that a process reads only when it starts. Undefined: not declared. */
export interface ProcessSettings {
  trusted_issuers?: readonly { issuer: string }[] | undefined;
  return_origins?: readonly string[] | undefined;
}

export interface DeclaredChange {
  kind: 'integration' | 'caller';
  id: string;
  /** Of a caller; null for an integration. */
  name: string | null;
  action: 'create' | 'update';
  fields: FieldChange[];
}

/** Why the caller that applies a declaration may not do this; undefined: it may. */
interface Limits {
  /** Send the secrets of an integration elsewhere. */
  redirect(id: string): Refusal | undefined;
  caller(before: Caller | undefined, after: Caller, hasNewKey: boolean): Refusal | undefined;
}

/** The file of the deployment may do everything. */
const NO_LIMITS: Limits = { redirect: () => undefined, caller: () => undefined };

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

export type Recorder = (action: AuditAction, subject: Subject) => AuditEntry;

/** Everything is validated before anything is written. Rejects with `StoreError`. */
export interface Apply {
  /** Applies the file when the process starts. What the file does not name stays as it is. */
  atStart(declared: Declared): Promise<DeclaredChange[] | Refusal>;
  /**
   * Applies it while the process runs. `needsRestart`: the settings that are declared otherwise than this process was
   * started with. A dry run writes nothing.
   */
  apply(
    call: Call,
    declared: Declared & ProcessSettings,
    dryRun: boolean,
  ): Promise<{ changes: DeclaredChange[]; needsRestart: (keyof ProcessSettings)[] } | Refusal>;
}

export interface ApplyParts {
  store: Pick<Store, 'callers' | 'putDeclared'>;
  integrations: Pick<Integrations, 'planner' | 'trustedIssuers' | 'changed'>;
  callerCache: Pick<CallerCache, 'reload'>;
  receiving: DeclaredReceiving;
  /** Waits for the other replicas. */
  untilApplied: Cache['untilApplied'];
  access: Pick<Access, 'denied' | 'deniedDelegation' | 'record' | 'recordSystem'>;
  clock: Clock;
  /** What this process was started with. */
  running: Required<ProcessSettings>;
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
  const { planner, trustedIssuers } = integrations;

  /** Adds to `rows` what is to be written. */
  async function planIntegrations(
    wanted: Declared['integrations'],
    record: Recorder,
    rows: DeclaredRows,
    mayNot: Limits['redirect'],
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
      const { settings, before, issues: more, redirected, client } = await planner.plan(id, setup);
      if (client) clients.push(client);
      const refusal = redirected.length > 0 ? mayNot(id) : undefined;
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
      rows.integrations.push({ settings, audit: by });
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

  async function planCallers(
    wanted: Declared['callers'],
    record: Recorder,
    rows: DeclaredRows,
    mayNot: Limits['caller'],
    clients: readonly OpenIdClient[],
  ): Promise<{ changes: DeclaredChange[]; issues: InputIssue[] } | Refusal> {
    const changes: DeclaredChange[] = [];
    const issues: InputIssue[] = [];
    const stored = await store.callers();
    for (const [i, { id, keys: secrets, ...setup }] of wanted.entries()) {
      const now = clock.now();
      const caller = callerOf(id ?? idFor(setup.name), setup, now);
      const before = stored.find((s) => s.caller.id === caller.id);
      const bindingIssues = [
        ...nameIssues(setup, id),
        ...(await workloadIssues(setup, trustedIssuers, before?.caller.workloads)),
        ...shadowed(caller, before?.caller, clients),
      ];
      issues.push(...bindingIssues.map(({ path, message }) => ({ path: `callers.${i}.${path}`, message })));
      const keys = secrets?.map((secret) => keyOf(secret, caller.id, now, null));
      const digests = new Set(keys?.map(({ digest }) => digest));
      const other = stored.find((s) => s.caller.id !== caller.id && s.keys.some(({ digest }) => digests.has(digest)));
      if (other) {
        // The caller may have been renamed: the id comes from the name.
        const who = `${other.caller.id} ("${other.caller.name}")`;
        const message = `a key of "${caller.name}" belongs to ${who}: declare that id, or delete that caller`;
        issues.push({ path: `callers.${i}.keys`, message });
        continue;
      }
      const fields = callerChanges(before, caller, keys);
      if (before && fields.length === 0) continue;
      const hasNewKey = keys?.some(({ digest }) => !before?.keys.some((one) => one.digest === digest)) ?? false;
      const refusal = mayNot(before?.caller, caller, hasNewKey);
      if (refusal) return refusal;
      const action = before ? 'update' : 'create';
      changes.push({ kind: 'caller', id: caller.id, name: caller.name, action, fields });
      const audit = record('caller.declared', { detail: caller.id, changed: changedNames(fields) });
      rows.callers.push({ caller, keys, audit });
    }
    return { changes, issues };
  }

  async function put(
    declared: Declared,
    record: Recorder,
    dryRun: boolean,
    limits: Limits = NO_LIMITS,
  ): Promise<DeclaredChange[] | Refusal> {
    const rows: DeclaredRows = { integrations: [], callers: [] };
    const planned = await planIntegrations(declared.integrations, record, rows, limits.redirect);
    if (planned instanceof Refusal) return planned;
    const callers = await planCallers(declared.callers, record, rows, limits.caller, planned.clients);
    if (callers instanceof Refusal) return callers;
    const issues = [...planned.issues, ...callers.issues];
    if (issues.length > 0)
      return refuse({ code: 'invalid_request', detail: 'Nothing was applied: some of it is invalid.', issues });
    const changes = [...planned.changes, ...callers.changes];
    if (dryRun || changes.length === 0) return changes;
    await store.putDeclared(rows);
    const changed = [...rows.integrations, ...(rows.receivers ?? [])].map(({ settings }) =>
      'id' in settings ? settings.id : settings.integration,
    );
    for (const id of new Set(changed)) integrations.changed(id);
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
        redirect: (id) => mayRedirect(access, call, id),
        caller: (before, after, hasNewKey) =>
          before && !hasNewKey
            ? mayNotReplace(access, call, before, after)
            : mayNotDelegate(access, call, [...after.permissions, ...(before?.permissions ?? [])]),
      };
      const changes = await receiving.inTurn(() => put(declared, record, dryRun, limits));
      if (changes instanceof Refusal) return changes;
      const settings = ['trusted_issuers', 'return_origins'] as const;
      const needsRestart = settings.filter(
        (name) => declared[name] !== undefined && !isDeepStrictEqual(declared[name], running[name]),
      );
      return { changes, needsRestart };
    },
  };
}

/** New bindings whose tokens would be taken for ID tokens of an integration that is declared with them. */
const shadowed = (after: Caller, before: Caller | undefined, clients: readonly OpenIdClient[]): InputIssue[] =>
  after.workloads.flatMap((workload, i) =>
    clients.some((client) => isShadowedBy(workload, client)) && !before?.workloads.some(({ id }) => id === workload.id)
      ? [{ path: `workloads.${i}.audience`, message: ofClient(workload) }]
      : [],
  );

/** Derived from the name, so that the same name is the same caller at every start. */
const idFor = (name: string): string => `clr_${createHash('sha256').update(name).digest('hex').slice(0, 26)}`;
