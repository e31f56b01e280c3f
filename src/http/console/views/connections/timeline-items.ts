// The timeline of a connection, made of its audit entries and received webhooks: the newest first, and what is dull in one line.

import type { StoredAuditEntry } from '../../../../domain/audit.ts';
import type { AuditAction } from '../../../../domain/audit-actions.ts';
import { HOUR } from '../../../../domain/durations.ts';
import type { ReceivedWebhook } from '../../../../domain/received-webhook.ts';
import type { Tone } from '../../parts/status.ts';
import { exactly } from '../../parts/when.ts';

export interface TimelineItem {
  /** Ms since the epoch; of several, the newest. */
  at: number;
  tone: Tone;
  text: string;
  /** A code or a few words, as they are stored. */
  detail: string | null;
  actor: string | null;
  requestId: string | null;
  /** What it stands for; empty: itself. */
  entries: readonly Pick<StoredAuditEntry, 'id' | 'at' | 'requestId'>[];
}

type Received = Pick<ReceivedWebhook, 'id' | 'kind' | 'status' | 'receivedAt' | 'reason' | 'items'>;

const WORDS: Partial<Record<AuditAction, readonly [Tone, string]>> = {
  'connection.created': ['good', 'Connected'],
  'connection.imported': ['good', 'Imported'],
  'connection.renewed': ['good', 'Connected again'],
  'connection.connect_failed': ['bad', 'A connect link failed'],
  'connection.refreshed': ['good', 'Token refreshed'],
  'connection.refresh_failed': ['bad', 'Refresh failed'],
  'connection.needs_reauth': ['bad', 'Needs its owner'],
  'connection.reactivated': ['good', 'Active again'],
  'connection.retried': ['busy', 'The dead grant was tried once more'],
  'connection.held': ['busy', 'Put on hold: the provider has suspended the account'],
  'connection.released': ['good', 'The provider has enabled the account again'],
  'connection.refresh_requested': ['off', 'A refresh was asked for'],
  'connection.checked': ['good', 'Checked at its API'],
  'connection.check_failed': ['bad', 'The check at its API failed'],
  'connection.capture_started': ['busy', 'Calls are captured until'],
  'connection.capture_stopped': ['off', 'The capture of calls was ended'],
  'connection.captures_read': ['off', 'Captured calls were read'],
  'connection.revoked': ['off', 'Revoked'],
  'connection.revoked_upstream': ['off', 'The revocation at the provider ended'],
  'connection.deauthorized': ['bad', 'The provider says that the owner has withdrawn the grant'],
  'connection.reauth_due': ['busy', 'The grant ends soon: its owner should connect again'],
  'connection.unreadable_response_read': ['off', 'An unreadable answer of the provider was read'],
  'connect_session.created': ['off', 'A connect link was made'],
  'connect_session.awaiting_finish': ['busy', 'The owner has consented; a caller has to finish'],
  'connect_session.finish_refused': ['bad', 'A caller could not finish the connect session'],
  'connect_session.cancelled': ['off', 'A connect link was cancelled'],
  'connect_session.reopened': ['off', 'The owner tried the connect link again'],
  'access.denied': ['busy', 'A caller was refused'],
};

const READS: Readonly<Record<string, string>> = {
  'token.read': 'Token read',
  'proxy.called': 'Called through the proxy',
  'connection.read': 'Looked at, without its token',
};

/** More than these in a row are one line. */
const DULL = 2;

const times = (count: number): string => (count === 1 ? '' : ` ${count.toLocaleString('en')} times`);

/** Each of what happened; refreshes that worked, one after another, are one. `entries`: without reads, the newest first. */
export function changeItems(entries: readonly StoredAuditEntry[]): TimelineItem[] {
  const items: TimelineItem[] = [];
  for (let i = 0; i < entries.length; ) {
    const entry = entries[i]!;
    let end = i + 1;
    if (isDull(entry)) while (end < entries.length && isDull(entries[end]!)) end++;
    const run = entries.slice(i, end);
    if (run.length > DULL)
      items.push({ ...itemOf(entry), text: `Token refreshed${times(run.length)}`, requestId: null, entries: run });
    else items.push(...run.map(itemOf));
    i = end;
  }
  return items;
}

const isDull = ({ action, outcome }: StoredAuditEntry): boolean =>
  action === 'connection.refreshed' && outcome === 'ok';

function itemOf({ at, action, outcome, detail, actor, requestId }: StoredAuditEntry): TimelineItem {
  const [tone, text] = (Object.hasOwn(WORDS, action) && WORDS[action as AuditAction]) || ['off', action];
  const saysNothing = action === 'connection.checked' && detail !== 'ok';
  const isFailed = outcome !== 'ok' && tone === 'good';
  return {
    at,
    tone: isFailed ? 'bad' : saysNothing ? 'busy' : tone,
    text: isFailed ? `${text}, without success` : text,
    // Of a capture, it is when it ends.
    detail: action === 'connection.capture_started' ? exactly(Date.parse(detail ?? '') || at) : detail,
    actor,
    requestId,
    entries: [],
  };
}

/** What people look at in the console is no one's use of the connection. */
const isUse = ({ action, actor }: StoredAuditEntry): boolean =>
  Object.hasOwn(READS, action) && !(action === 'connection.read' && actor.startsWith('user:'));

/** Reads by what was read, by caller and by hour. `entries`: any; those of no reads are left out. */
export function readItems(entries: readonly StoredAuditEntry[]): TimelineItem[] {
  const groups = new Map<string, { newest: StoredAuditEntry; count: number }>();
  for (const entry of entries) {
    if (!isUse(entry)) continue;
    const key = `${Math.floor(entry.at / HOUR)} ${entry.action} ${entry.outcome} ${entry.actor}`;
    const group = groups.get(key);
    if (group) group.count += entry.count;
    else groups.set(key, { newest: entry, count: entry.count });
  }
  return [...groups.values()].map(({ newest, count }) => ({
    at: newest.at,
    tone: newest.outcome === 'ok' ? 'off' : 'busy',
    text: `${READS[newest.action]}${times(count)}${count === 1 ? '' : ` since ${hourOf(newest.at)}`}`,
    detail: newest.detail,
    actor: newest.actor,
    requestId: newest.requestId,
    entries: [],
  }));
}

const hourOf = (at: number): string => `${new Date(at).toISOString().slice(11, 13)}:00 UTC`;

const KINDS = { webhook: 'Webhook received', signal: 'Security event received', logout: 'Logout received' } as const;

export const receivedItems = (received: readonly Received[]): TimelineItem[] =>
  received.map(({ id, kind, status, receivedAt, reason, items }) => ({
    at: receivedAt,
    tone: status === 'dead' || status === 'refused' ? 'bad' : 'off',
    text: [KINDS[kind], ...items.flatMap(({ providerType }) => providerType ?? [])].join(': '),
    detail: reason ?? id,
    actor: null,
    requestId: null,
    entries: [],
  }));

/** All of them, the newest first; nothing older than `from` (ms), where older pages begin. */
export const merged = (items: readonly (readonly TimelineItem[])[], from: number): TimelineItem[] =>
  items
    .flat()
    .filter(({ at }) => at >= from)
    .sort((one, other) => other.at - one.at);
