// Received webhooks, in any dialect: which index lists them, which of its rows match, whether the inbox has room for another one of
// an integration, and how many of each are claimed.
import { and, type Column, eq, lt, type SQL, sql } from 'drizzle-orm';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../domain/cache-bounds.ts';
import type { Scope } from '../../domain/caller.ts';
import type { ReceivedWebhook } from '../../domain/received-webhook.ts';
import type { ReceivedWebhookFilter } from '../../ports/index.ts';
import { isWithin } from './filters.ts';

type Columns<Name extends string> = Record<Name, Column | SQL.Aliased>;

/** The index that lists them, newest first; `connectionId` is that of another table. */
export const inReceivedRange = (
  table: Columns<'id' | 'integration' | 'status'>,
  { integration, status }: ReceivedWebhookFilter,
  after: string | undefined,
): SQL | undefined =>
  and(
    integration === undefined ? undefined : eq(table.integration as Column, integration),
    // A literal: only then is the partial index used.
    integration === undefined && status !== undefined && status !== 'located'
      ? sql`${table.status} <> 'located' and ${table.status} = ${status}`
      : undefined,
    after === undefined ? undefined : lt(table.id as Column, after),
  );

/** Owners do not count: who may see the webhooks of an integration may see all of them. */
export const matchesReceived = (
  table: Columns<'integration' | 'status'>,
  { integration, status, within }: ReceivedWebhookFilter,
): SQL | undefined =>
  and(
    integration === undefined ? undefined : eq(table.integration as Column, integration),
    status === undefined ? undefined : eq(table.status as Column, status),
    within === undefined ? undefined : isWithin(ofIntegration(table), within.map(ofAllOwners)),
  );

const ofIntegration = ({ integration }: Columns<'integration'>) => ({ integration, owner: integration });
const ofAllOwners = ({ integrations }: Scope): Scope => ({ integrations, owners: ['*'] });

/** What a webhook is stored with: of its items the new ones. Undefined: it is not stored. */
export function withNewItems(webhook: ReceivedWebhook, isNew: (index: number) => boolean): ReceivedWebhook | undefined {
  if (webhook.items.length === 0) return webhook;
  const items = webhook.items.filter(({ index }) => isNew(index));
  return items.length === 0 ? undefined : { ...webhook, items };
}

export interface InboxLimit {
  /** False: there is room, and nothing need be counted. */
  mustCount(integration: string, maxOpen: number): boolean;
  /** How many are open, of all integrations and of this one. True: it is full for this one. */
  counted(integration: string, open: { all: number; own: number }, maxOpen: number): boolean;
}

/** Integrations whose room is remembered. Of others, what is open is counted each time. */
const MAX_KNOWN = 1_000;

/**
 * Each integration may have as many open ones as it leaves room for others: one that floods takes half, and however many do, there
 * is room for the next. Counted seldom: after half of what there was room for has come, so that other processes find room too, and
 * the limit is exact for one integration in one process.
 */
export function createInboxLimit(): InboxLimit {
  let room = 0;
  let of = 0;
  const roomOf = new LRUCache<string, number>(upTo(MAX_KNOWN));
  const untilCounted = (left: number) => Math.ceil(left / 2) - 1;
  return {
    mustCount(integration, maxOpen) {
      const own = roomOf.get(integration) ?? 0;
      if (room <= 0 || own <= 0 || maxOpen !== of) return true;
      room--;
      roomOf.set(integration, own - 1);
      return false;
    },
    counted(integration, { all, own }, maxOpen) {
      const left = maxOpen - all;
      const ownLeft = Math.ceil((left - own) / 2);
      of = maxOpen;
      room = untilCounted(left);
      roomOf.set(integration, untilCounted(ownLeft));
      return ownLeft <= 0;
    },
  };
}

/** Due again, as if it had just been received. */
export const REPROCESSED = { status: 'received', reason: null, attempts: 0, processedAt: null } as const;

/** Without the members that are undefined. */
export const given = <T extends object>(change: T): Partial<T> =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<T>;
