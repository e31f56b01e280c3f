// The choke point: every use case that serves a caller authorises here, and makes its audit entries here.

import { LRUCache } from 'lru-cache';
import type { AgentSession } from '../../domain/agent-session.ts';
import type { AuditEntry } from '../../domain/audit.ts';
import type { AuditAction } from '../../domain/audit-actions.ts';
import { isReadAction, type ReadsInCommon } from '../../domain/audit-reads.ts';
import { upTo } from '../../domain/cache-bounds.ts';
import {
  type Action,
  type Extent,
  type MissingPermission,
  missingPermission,
  type Permission,
  type Principal,
  touches,
} from '../../domain/caller.ts';
import { type Fault, type Refusal, refuse } from '../../domain/errors.ts';
import { pathTemplate } from '../../domain/request-path.ts';
import { AUDIT_FAILURE_WINDOW_MS } from '../../domain/time-limits.ts';
import type { Clock } from '../../ports/index.ts';
import { newId } from '../secrets/index.ts';
import type { AuditBuffer, ReadGroup } from './log/audit-buffer.ts';

/** One request of one caller: the first argument of every use case that serves callers. */
export interface Call {
  principal: Principal;
  address: string | null;
  /** Of our own making. */
  requestId: string;
  /** What the client says of its request. */
  client?: ClientContext | undefined;
  /** An owner's, in a browser, on a page that the caller has permitted: the id of its portal session. */
  portalSession?: string | undefined;
}

/** What the client calls its request, and the trace that it belongs to. Validated and bounded; null: not told. */
export interface ClientContext {
  requestId: string | null;
  traceId: string | null;
}

/** What an audit entry is about. `*` as integration or owner means all of them. */
export interface Subject {
  integration?: string | null;
  owner?: string | null;
  connectionId?: string | null;
  detail?: string | null;
  /** The names of the members that were changed. */
  changed?: readonly string[];
  /** The agent session that is made or ended. Undefined: that of the request, if any. */
  session?: SessionOfEntry | undefined;
}

/** What an entry says of an agent session: who acts with it, and what for. */
export type SessionOfEntry = Pick<AgentSession, 'id' | 'agent' | 'purpose'>;

export interface Access {
  /**
   * Undefined if the caller has a permission for the action on this integration and owner. Otherwise a refusal, which is
   * also noted in the audit log: `forbidden`; or `not_found` where no permission of the caller touches them, in the same
   * words as for what does not exist. Pass `extent` once it is known how much is asked for.
   */
  denied(
    call: Call,
    action: Action,
    integration: string,
    owner: string,
    connectionId?: string,
    extent?: Extent,
  ): Refusal | undefined;
  /** The refusal to pass on a permission that the caller does not have; noted as well. */
  deniedDelegation(call: Call, missing: MissingPermission): Refusal;
  /** Makes the entry of an allowed change; the store commits it together with the change. */
  record(call: Call, action: AuditAction, subject: Subject): AuditEntry;
  /** Makes the entry of something that the broker does by itself; the store commits it together with the change. */
  recordSystem(action: AuditAction, subject: Subject, outcome?: AuditEntry['outcome']): AuditEntry;
  /** Makes the entry of something that an owner does in a browser. */
  recordBrowser(
    from: Pick<Call, 'address' | 'requestId' | 'client'>,
    action: AuditAction,
    subject: Subject,
    outcome?: AuditEntry['outcome'],
  ): AuditEntry;
  /** Notes an allowed read in the buffer: equal reads within one second become one entry; `detail` counts too. */
  noteRead(call: Call, action: AuditAction, subject: Subject): void;
  /** Makes the entry of requests of someone who is not known. They are counted first: see `stranger-log.ts`. */
  recordStranger(
    from: { address: string | null; requestId: string | null },
    action: AuditAction,
    subject: Subject,
  ): AuditEntry;
  /** Notes a refusal that has another reason than a missing permission. */
  noteRefused(call: Call, action: AuditAction, subject: Subject): void;
}

export function createAccess({ auditBuffer, clock }: { auditBuffer: AuditBuffer; clock: Clock }): Access {
  const entry = (
    { client, ...who }: Who,
    action: AuditAction,
    subject: Subject,
    outcome: AuditEntry['outcome'] = 'ok',
  ): AuditEntry => {
    const at = clock.now();
    return {
      id: newId('evt', at),
      at,
      ...commonOf(who, action, subject, outcome),
      owner: subject.owner ?? null,
      connectionId: subject.connectionId ?? null,
      requestId: who.requestId,
      detail: bounded(subject.detail, MAX_DETAIL),
      clientRequestId: client?.requestId ?? null,
      traceId: client?.traceId ?? null,
      changed: subject.changed ? bounded(subject.changed.join(' '), MAX_CHANGED) : null,
      count: 1,
    };
  };
  const by = ({ principal, address, requestId, client, portalSession }: Call): Who => ({
    ...(portalSession === undefined
      ? { actor: principal.caller.id, keyId: principal.credential.id, subject: subjectOf(principal) }
      : { actor: 'browser', keyId: null, subject: portalSession }),
    address,
    requestId,
    client,
    session: principal.session,
  });

  /** Events with the same key within one second are counted in one entry. */
  const groupKey = (
    { principal, address }: Call,
    kind: string,
    { connectionId, integration, owner }: Subject,
  ): string => `${identityOf(principal)}\n${address}\n${kind}\n${connectionId ?? `${integration}\n${owner}`}`;

  let last: (ReadsOf & { group: ReadGroup }) | undefined;

  /** Most reads are of the caller of the one before, which is quicker to see than to look up. */
  function readsOf({ principal, address, portalSession }: Call, action: AuditAction, integration: string): ReadGroup {
    if (
      last?.principal === principal &&
      last.address === address &&
      last.portalSession === portalSession &&
      last.action === action &&
      last.integration === integration
    )
      return last.group;
    const of = { principal, address, portalSession, action, integration };
    const key = `${identityOf(principal)}\n${address}\n${portalSession}\n${action}\n${integration}`;
    const who = by({ ...of, requestId: '' });
    last = { ...of, group: auditBuffer.reads(key, () => commonOf(who, action, { integration }, 'ok')) };
    return last.group;
  }

  /** What each caller was refused within a minute. */
  const refused = new LRUCache<string, { until: number; told: Set<string> }>(upTo(MAX_REFUSED_CALLERS));

  /** A caller may name any owner: beyond a number of refusals that are told apart, the others are counted in one entry. */
  function noteRefusal(call: Call, action: AuditAction, subject: Subject): void {
    const { id } = call.principal.caller;
    const now = clock.monotonic();
    const known = refused.get(id);
    const mine = known && known.until > now ? known : { until: now + AUDIT_FAILURE_WINDOW_MS, told: new Set<string>() };
    refused.set(id, mine);
    const key = groupKey(call, `refused ${action} ${subject.detail}`, subject);
    if (mine.told.size < MAX_REFUSALS || mine.told.has(key)) {
      mine.told.add(key);
      auditBuffer.note(key, () => entry(by(call), action, subject, 'denied'));
      return;
    }
    const folded = { integration: '*', owner: '*', detail: 'more refusals than are told apart' };
    auditBuffer.note(groupKey(call, action, folded), () => entry(by(call), action, folded, 'denied'));
  }

  function noted(call: Call, missing: MissingPermission, connectionId?: string): void {
    const { integration, owner } = missing;
    const subject = { integration, owner, connectionId: connectionId ?? null, detail: describe(missing) };
    noteRefusal(call, 'access.denied', subject);
  }

  return {
    denied(call, action, integration, owner, connectionId, extent) {
      const missing = missingPermission(call.principal.caller.permissions, action, integration, owner, extent);
      if (!missing) return undefined;
      noted(call, missing, connectionId);
      return refuse(
        unseen(call.principal.caller.permissions, integration, owner, connectionId) ?? { code: 'forbidden', missing },
      );
    },

    deniedDelegation(call, missing) {
      noted(call, missing);
      return refuse({ code: 'forbidden', missing });
    },

    record: (call, action, subject) => entry(by(call), action, subject),

    recordSystem: (action, subject, outcome = 'ok') =>
      entry({ actor: 'system', keyId: null, subject: null, address: null, requestId: null }, action, subject, outcome),

    recordBrowser: (from, action, subject, outcome = 'ok') =>
      entry({ actor: 'browser', keyId: null, subject: null, ...from }, action, subject, outcome),

    recordStranger: (from, action, subject) =>
      entry({ actor: 'stranger', keyId: null, subject: null, ...from }, action, subject, 'denied'),

    noteRead(call, action, subject) {
      const { integration, owner, connectionId, detail } = subject;
      if (integration && owner && connectionId && !detail && isReadAction(action)) {
        readsOf(call, action, integration).note(connectionId, owner, call, clock.now);
        return;
      }
      const kind = subject.detail ? `${action} ${subject.detail}` : action;
      auditBuffer.note(groupKey(call, kind, subject), () => entry(by(call), action, subject));
    },

    noteRefused: noteRefusal,
  };
}

/** Whether any permission of the caller touches them: otherwise they do not exist for it. */
export const sees = (
  { principal }: Pick<Call, 'principal'>,
  { integration, owner }: { integration: string; owner: string },
): boolean => touches(principal.caller.permissions, integration, owner);

/** Undefined: a permission touches them. A request for everything names nothing that could be hidden. */
function unseen(
  permissions: readonly Permission[],
  integration: string,
  owner: string,
  connectionId: string | undefined,
): Fault | undefined {
  if ((integration === '*' && owner === '*') || touches(permissions, integration, owner)) return undefined;
  if (connectionId !== undefined) return { code: 'not_found', what: 'connection', id: connectionId };
  if (integration !== '*' && !touches(permissions, integration, '*'))
    return { code: 'not_found', what: 'integration', id: integration };
  const id = integration === '*' ? owner : `${owner} at ${integration}`;
  return { code: 'not_found', what: 'connection', id };
}

/** Of one caller in a minute. */
const MAX_REFUSALS = 100;
/** Callers come and go. */
const MAX_REFUSED_CALLERS = 1_000;

type Who = Pick<AuditEntry, 'actor' | 'keyId' | 'subject' | 'address' | 'requestId'> & {
  client?: ClientContext | undefined;
  session?: SessionOfEntry | undefined;
};

/** What tells the reads of one group from those of another. */
interface ReadsOf extends Pick<Call, 'principal' | 'address' | 'portalSession'> {
  action: AuditAction;
  integration: string;
}

function commonOf(
  { actor, keyId, subject, address, session: acting }: Who,
  action: AuditAction,
  about: Pick<Subject, 'integration' | 'session'>,
  outcome: AuditEntry['outcome'],
): ReadsInCommon {
  const session = about.session ?? acting;
  return {
    action,
    outcome,
    actor,
    keyId,
    subject,
    address,
    integration: about.integration ?? null,
    session: session?.id ?? null,
    agentId: bounded(session?.agent?.id, MAX_DETAIL),
    agentName: bounded(session?.agent?.name, MAX_DETAIL),
    purpose: bounded(session?.purpose, MAX_DETAIL),
  };
}

/** Characters. Some of it comes from providers and strangers. */
const MAX_DETAIL = 1_000;
const MAX_CHANGED = 2_000;

/** As text that every store keeps as it is: the entry is hashed. */
const bounded = (text: string | null | undefined, max: number): string | null =>
  text == null ? null : text.slice(0, max).toWellFormed().replaceAll('\0', '\uFFFD');

/** A key stands for one service; a workload binding may match several, which differ by `sub`. */
const identityOf = ({ credential }: Principal): string =>
  credential.kind === 'workload' ? `${credential.id}\n${credential.subject}` : credential.id;

const subjectOf = ({ credential }: Principal): string | null =>
  credential.kind === 'workload' ? credential.subject : null;

/** Scopes are cut off at 200 characters. */
const describe = ({ action, scopes, min_ttl, method, path, tool, audience }: MissingPermission): string =>
  [
    `no grant for ${action}`,
    ...(scopes ? [`with ${scopes[0] === '*' ? 'unknown scopes' : scopes.join(' ').slice(0, 200)}`] : []),
    ...(min_ttl === undefined ? [] : [`with min_ttl ${min_ttl}`]),
    ...(method === undefined ? [] : [`with method ${method.slice(0, 20)}`]),
    ...(path === undefined ? [] : [`at ${pathTemplate(path)}`]),
    ...(tool === undefined ? [] : [`with tool ${tool.slice(0, 60)}`]),
    ...(audience === undefined ? [] : [`for the audience ${audience.slice(0, 200)}`]),
  ].join(' ');
