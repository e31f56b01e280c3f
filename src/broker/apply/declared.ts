// What a deployment declares, what would change, and what the caller that applies it may do.
import type { AuditEntry } from '../../domain/audit.ts';
import type { AuditAction } from '../../domain/audit-actions.ts';
import type { Caller } from '../../domain/caller.ts';
import type { Refusal } from '../../domain/errors.ts';
import type { SignalSettings } from '../../domain/signal-receivers.ts';
import type { WebhookSetup } from '../../domain/webhook-settings.ts';
import type { FieldChange, Subject } from '../audit/index.ts';
import type { CallerSetup } from '../callers/index.ts';
import type { IntegrationSetup, PlannedIntegration } from '../integrations/index.ts';

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

/** Ids. What is not there is passed over. */
export interface Deletions {
  integrations: readonly string[];
  callers: readonly string[];
}

export interface DeclaredChange {
  kind: 'integration' | 'caller';
  id: string;
  /** Of a caller; null for an integration. */
  name: string | null;
  action: 'create' | 'update' | 'delete';
  fields: FieldChange[];
}

export type Recorder = (action: AuditAction, subject: Subject) => AuditEntry;

/** Why the caller that applies a declaration may not do this; undefined: it may. */
export interface Limits {
  integration(id: string, change: PlannedIntegration): Refusal | undefined;
  caller(before: Caller | undefined, after: Caller, hasNewKey: boolean): Refusal | undefined;
}

/** The file of the deployment may do everything. */
export const NO_LIMITS: Limits = { integration: () => undefined, caller: () => undefined };
