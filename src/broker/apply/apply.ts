// What a deployment declares, in a file at its start or over HTTP: compared with what is stored, checked wholly, and then
// applied as one.
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { AuditEntry } from '../../domain/audit.ts';
import type { AuditAction } from '../../domain/audit-actions.ts';
import type { Caller, CallerKey } from '../../domain/caller.ts';
import { type InputIssue, Refusal, refuse } from '../../domain/errors.ts';
import type { Integration } from '../../domain/integration.ts';
import type { Clock, DeclaredRows, IntegrationSettings, Store } from '../../ports/index.ts';
import type { Access, Call, Subject } from '../audit/index.ts';
import type { CallerCache } from '../cache/index.ts';
import { type CallerSetup, callerOf, keyOf, workloadIssues } from '../callers/index.ts';
import type { Integrations, Setup, TrustedIssuers } from '../integrations/index.ts';
import { type Difference, diff } from './diff.ts';

export interface Declared {
  integrations: { id: string; setup: Setup }[];
  /** Without keys, it keeps those that it has. */
  callers: (CallerSetup & { id?: string | undefined; keys?: string[] | undefined })[];
}

/** What a process is started with, and nothing else changes. Undefined: not declared. */
export interface ProcessSettings {
  trusted_issuers?: readonly { issuer: string }[] | undefined;
  return_origins?: readonly string[] | undefined;
}

/** Of a secret, only what becomes of it. */
export type FieldChange = Difference | { path: string; secret: 'set' | 'changed' | 'removed' };

export interface Change {
  kind: 'integration' | 'caller';
  id: string;
  /** Of a caller. */
  name: string | null;
  action: 'create' | 'update';
  fields: FieldChange[];
}

type Recorder = (action: AuditAction, subject: Subject) => AuditEntry;

interface Parts {
  store: Pick<Store, 'callers' | 'putDeclared'>;
  integrations: Pick<Integrations, 'faultsOf' | 'settle' | 'changed'>;
  callerCache: Pick<CallerCache, 'reload'>;
  trustedIssuers: Pick<TrustedIssuers, 'find'>;
  access: Pick<Access, 'denied' | 'record' | 'recordSystem'>;
  clock: Clock;
  /** What this process was started with. */
  running: Required<ProcessSettings>;
}

export type Apply = ReturnType<typeof createApply>;

export function createApply({ store, integrations, callerCache, trustedIssuers, access, clock, running }: Parts) {
  /** Adds to `rows` what is to be written. `issuers`: whom the deployment will trust for what is declared here. */
  async function planIntegrations(wanted: Declared['integrations'], record: Recorder, rows: DeclaredRows) {
    const changes: Change[] = [];
    const issues: InputIssue[] = [];
    const issuers = new Set<string>();
    for (const [i, { id, setup }] of wanted.entries()) {
      const faults = integrations.faultsOf(id, setup);
      if (faults) {
        issues.push(...faults.issues.map(({ path, message }) => ({ path: `integrations.${i}.${path}`, message })));
        continue;
      }
      const { settings, before, issuer } = await integrations.settle(id, setup);
      if (issuer !== null) issuers.add(issuer);
      const fields = [
        ...diff(before && described(before), described(settings)),
        ...secretChange('client_secret', before?.clientSecret, settings.clientSecret),
        ...secretChange('private_key', before?.privateKey, settings.privateKey),
      ];
      if (before && fields.length === 0) continue;
      changes.push({ kind: 'integration', id, name: null, action: before ? 'update' : 'create', fields });
      const by = record('integration.declared', { integration: id, detail: setup.provider });
      rows.integrations.push({ settings, by });
    }
    return { changes, issues, issuers };
  }

  async function planCallers(
    wanted: Declared['callers'],
    trusted: Pick<TrustedIssuers, 'find'>,
    record: Recorder,
    rows: DeclaredRows,
  ): Promise<{ changes: Change[]; issues: InputIssue[] }> {
    const changes: Change[] = [];
    const issues: InputIssue[] = [];
    const stored = await store.callers();
    for (const [i, { id, keys: secrets, ...setup }] of wanted.entries()) {
      const now = clock.now();
      const unbound = await workloadIssues(setup, trusted);
      issues.push(...unbound.map(({ path, message }) => ({ path: `callers.${i}.${path}`, message })));
      const caller = callerOf(id ?? idFor(setup.name), setup, now);
      const keys = secrets?.map((secret) => keyOf(secret, caller.id, now, null));
      const digests = new Set(keys?.map(({ digest }) => digest));
      const other = stored.find((s) => s.caller.id !== caller.id && s.keys.some(({ digest }) => digests.has(digest)));
      if (other) {
        // After a change of name, the same key stands for the caller of the old one.
        const who = `${other.caller.id} ("${other.caller.name}")`;
        const message = `a key of "${caller.name}" is that of ${who}: give it that id, or delete that one`;
        issues.push({ path: `callers.${i}.keys`, message });
        continue;
      }
      const before = stored.find((s) => s.caller.id === caller.id);
      const fields = [
        ...diff(before && callerInWords(before.caller), callerInWords(caller)),
        ...(keys ? keyChanges(before?.keys ?? [], keys) : []),
      ];
      if (before && fields.length === 0) continue;
      const action = before ? 'update' : 'create';
      changes.push({ kind: 'caller', id: caller.id, name: caller.name, action, fields });
      rows.callers.push({ caller, keys, by: record('caller.declared', { detail: caller.id }) });
    }
    return { changes, issues };
  }

  /** Nothing is written before all of it is known to hold. */
  async function put(declared: Declared, record: Recorder, dryRun: boolean): Promise<Change[] | Refusal> {
    const rows: DeclaredRows = { integrations: [], callers: [] };
    const planned = await planIntegrations(declared.integrations, record, rows);
    const trusted: Pick<TrustedIssuers, 'find'> = {
      find: async (issuer) => (planned.issuers.has(issuer) ? { issuer, audiences: [] } : trustedIssuers.find(issuer)),
    };
    const callers = await planCallers(declared.callers, trusted, record, rows);
    const issues = [...planned.issues, ...callers.issues];
    if (issues.length > 0)
      return refuse({ code: 'invalid_request', detail: 'Nothing of it was applied: parts of it cannot be.', issues });
    const changes = [...planned.changes, ...callers.changes];
    if (dryRun || changes.length === 0) return changes;
    await store.putDeclared(rows);
    for (const { settings } of rows.integrations) integrations.changed(settings.id);
    await callerCache.reload();
    return changes;
  }

  return {
    /** As the process starts; what is not named is left as it is. */
    atStart: (declared: Declared): Promise<Change[] | Refusal> => put(declared, access.recordSystem, false),

    /** The same while it runs. `needsRestart`: what is declared otherwise than this process was started with. */
    async apply(
      call: Call,
      declared: Declared & ProcessSettings,
      dryRun: boolean,
    ): Promise<{ changes: Change[]; needsRestart: (keyof ProcessSettings)[] } | Refusal> {
      const denied = access.denied(call, 'admin', '*', '*');
      if (denied) return denied;
      const changes = await put(declared, (action, subject) => access.record(call, action, subject), dryRun);
      if (changes instanceof Refusal) return changes;
      const settings = ['trusted_issuers', 'return_origins'] as const;
      const needsRestart = settings.filter(
        (name) => declared[name] !== undefined && !isDeepStrictEqual(declared[name], running[name]),
      );
      return { changes, needsRestart };
    },
  };
}

/** By its public names, and without secrets. */
const described = (i: Integration | IntegrationSettings) => ({
  provider: i.provider,
  client_id: i.clientId,
  key_id: i.keyId,
  certificate: i.certificate,
  scopes: i.scopes,
  params: i.params,
  overrides: i.overrides,
  return_origins: i.returnOrigins,
});

const callerInWords = ({ name, permissions: grants, workloads, rateLimit }: Caller) => ({
  name,
  grants,
  workloads: workloads.map(({ id: _, ...workload }) => workload),
  rate_limit: rateLimit,
});

/** `after` undefined: as it is. Null: none. */
function secretChange(path: string, before: string | null | undefined, after: string | null | undefined) {
  const had = before !== undefined && before !== null;
  if (after === undefined || (after === null && !had)) return [];
  return [{ path, secret: after === null ? ('removed' as const) : had ? ('changed' as const) : ('set' as const) }];
}

/** A key is named by its prefix, as it is where keys are listed. */
function keyChanges(before: CallerKey[], after: CallerKey[]): FieldChange[] {
  const has = (keys: CallerKey[], { digest }: CallerKey) => keys.some((key) => key.digest === digest);
  return [
    ...before
      .filter((key) => !has(after, key))
      .map(({ prefix }) => ({ path: `keys.${prefix}`, secret: 'removed' as const })),
    ...before
      .filter((key) => has(after, key) && key.expiresAt !== null)
      .map(({ prefix, expiresAt }) => ({
        path: `keys.${prefix}.expires_at`,
        before: new Date(expiresAt!).toISOString(),
        after: null,
      })),
    ...after
      .filter((key) => !has(before, key))
      .map(({ prefix }) => ({ path: `keys.${prefix}`, secret: 'set' as const })),
  ];
}

/** The same name is the same caller at every start. */
const idFor = (name: string): string => `clr_${createHash('sha256').update(name).digest('hex').slice(0, 26)}`;
