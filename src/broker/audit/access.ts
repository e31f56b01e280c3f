// The choke point: who may do it, and the record that they did. Every use case that serves a caller starts here.
import type { AuditEntry } from '../../domain/audit.ts';
import {
  type Action,
  type Extent,
  type MissingPermission,
  missingPermission,
  type Principal,
} from '../../domain/caller.ts';
import { type Refusal, refuse } from '../../domain/errors.ts';
import type { Clock } from '../../ports/index.ts';
import { newId } from '../secrets/index.ts';
import type { AuditBuffer } from './audit-buffer.ts';

/** One request of one caller: the first argument of every use case that serves callers. */
export interface Call {
  principal: Principal;
  address: string | null;
  requestId: string;
}

/** What a call or an event is about. `*` as integration or owner means all of them. */
export interface Subject {
  integration?: string | null;
  owner?: string | null;
  connectionId?: string | null;
  detail?: string | null;
}

export type Access = ReturnType<typeof createAccess>;

export function createAccess({ auditBuffer, clock }: { auditBuffer: AuditBuffer; clock: Clock }) {
  const entry = (
    who: Pick<AuditEntry, 'actor' | 'keyId' | 'subject' | 'address' | 'requestId'>,
    action: string,
    subject: Subject,
    outcome: AuditEntry['outcome'] = 'ok',
  ): AuditEntry => {
    const at = clock.now();
    return {
      id: newId('evt', at),
      at,
      action,
      outcome,
      ...who,
      integration: subject.integration ?? null,
      owner: subject.owner ?? null,
      connectionId: subject.connectionId ?? null,
      detail: subject.detail ?? null,
      count: 1,
    };
  };
  const by = ({ principal, address, requestId }: Call) => ({
    actor: principal.caller.id,
    keyId: principal.credential.id,
    subject: subjectOf(principal),
    address,
    requestId,
  });

  /** What makes two reads, or two refusals, alike: who, from where, what, and of which connection. */
  const alike = ({ principal, address }: Call, action: string, { connectionId, integration, owner }: Subject): string =>
    `${whoIs(principal)}\n${address}\n${action}\n${connectionId ?? `${integration}\n${owner}`}`;

  return {
    /** Refuses, and notes it, when no grant of the caller covers the action on this integration and owner, so far. */
    denied(
      call: Call,
      action: Action,
      integration: string,
      owner: string,
      connectionId?: string,
      extent?: Extent,
    ): Refusal | undefined {
      const missing = missingPermission(call.principal.caller.permissions, action, integration, owner, extent);
      if (!missing) return undefined;
      const subject = { integration, owner, connectionId: connectionId ?? null, detail: describe(missing) };
      const kind = `denied ${subject.detail}`;
      auditBuffer.note(alike(call, kind, subject), () => entry(by(call), 'access.denied', subject, 'denied'));
      return refuse({ code: 'forbidden', missing });
    },

    /** The record of an allowed change; the store commits it with the change. */
    record: (call: Call, action: string, subject: Subject): AuditEntry => entry(by(call), action, subject),

    /** Notes an allowed read, in memory: many reads of one second become one entry. */
    noteRead(call: Call, action: string, subject: Subject): void {
      auditBuffer.note(alike(call, action, subject), () => entry(by(call), action, subject));
    },

    /** Notes what was refused for another reason than a missing grant. */
    noteRefused(call: Call, action: string, subject: Subject): void {
      auditBuffer.note(alike(call, `refused ${action} ${subject.detail}`, subject), () =>
        entry(by(call), action, subject, 'denied'),
      );
    },

    /** The record of what the broker does of itself. */
    recordOwn: (action: string, subject: Subject, outcome: AuditEntry['outcome'] = 'ok'): AuditEntry =>
      entry({ actor: 'system', keyId: null, subject: null, address: null, requestId: null }, action, subject, outcome),

    /** The record of what an owner does in a browser. */
    recordBrowser: (
      from: { address: string | null; requestId: string },
      action: string,
      subject: Subject,
      outcome: AuditEntry['outcome'] = 'ok',
    ): AuditEntry => entry({ actor: 'browser', keyId: null, subject: null, ...from }, action, subject, outcome),
  };
}

/** One key is one service; of a workload's binding, each subject is. */
const whoIs = ({ credential }: Principal): string =>
  credential.kind === 'key' ? credential.id : `${credential.id}\n${credential.subject}`;

const subjectOf = ({ credential }: Principal): string | null =>
  credential.kind === 'workload' ? credential.subject : null;

/** Scopes are shown as far as an entry of the log has room for them. */
const describe = ({ action, scopes, min_ttl }: MissingPermission): string =>
  [
    `no grant for ${action}`,
    ...(scopes ? [`with ${scopes[0] === '*' ? 'unknown scopes' : scopes.join(' ').slice(0, 200)}`] : []),
    ...(min_ttl === undefined ? [] : [`with min_ttl ${min_ttl}`]),
  ].join(' ');
