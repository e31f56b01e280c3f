// Processes one received webhook: finds its connections, ends those that were deauthorized, and hands it on, in one commit.
import type { Connection } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import type { NewEvent } from '../../../domain/events.ts';
import type { ReceivedWebhook } from '../../../domain/received-webhook.ts';
import type { Clock, Logger, Store, Telemetry, Vault } from '../../../ports/index.ts';
import type { Targets } from '../../integrations/index.ts';
import { bodyContext, type StoredBody } from '../stored-body.ts';
import type { AccountHolds } from './account-holds.ts';
import type { Deauthorizer } from './deauthorization.ts';
import { settleFailed } from './failed-processing.ts';
import { receivedEvent, toldOf } from './received-event.ts';
import { usableConnections } from './usable-connections.ts';

/** Settles it, as processed or due again. Rejects with `StoreError`: then its claim ends by itself. */
export type ProcessWebhook = (webhook: ReceivedWebhook) => Promise<void>;

/** Connections that one event is shown to be about, and told to. What ends or is on hold has no such limit. */
const MAX_CONNECTIONS = 500;

type Locator = StoredBody['events'][number]['locators'][number];

/** One workspace of an organisation has the organisation's id, and is not told what another one is. */
const isMeant = ({ captured }: Connection, { without }: Locator): boolean =>
  without === undefined || (captured[without.slice('captured.'.length)] ?? null) === null;

interface Parts {
  store: Pick<Store, 'connectionsByValue' | 'usableConnectionsByValue' | 'connection' | 'settleReceived' | 'makeDue'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  targets: Pick<Targets, 'find'>;
  deauthorizer: Deauthorizer;
  holds: AccountHolds;
  /** Waits for the other replicas. */
  untilApplied: () => Promise<unknown>;
  telemetry: Pick<Telemetry, 'webhook'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

export function createWebhookProcessing(parts: Parts): ProcessWebhook {
  const { store, vault, targets, deauthorizer, holds, untilApplied, telemetry, clock, log } = parts;

  /** By the first locator that finds any. */
  async function located(integration: string, { locators }: StoredBody['events'][number]) {
    for (const locator of locators) {
      const found = new Map<string, Connection>();
      for (const value of new Set(locator.values))
        for (const one of await store.connectionsByValue(integration, locator.key, value, MAX_CONNECTIONS))
          if (isMeant(one, locator)) found.set(one.id, one);
      if (found.size > 0) return { locator, found: [...found.values()] };
    }
    return { locator: undefined, found: [] };
  }

  /** However many there are. If the process ends in between, those that have ended are not found again, and the rest is. */
  async function* usable(integration: string, locator: Locator): AsyncGenerator<Connection> {
    for (const value of new Set(locator.values))
      for await (const one of usableConnections(store, integration, locator.key, value))
        if (isMeant(one, locator)) yield one;
  }

  /** In the order in which they were received: few vendors say when it was. True: any has changed. */
  async function holdOrRelease(
    connections: AsyncIterable<Connection>,
    effect: 'hold' | 'release',
    { id, integration, receivedAt }: ReceivedWebhook,
    isSenderAuthenticated: boolean,
  ): Promise<boolean> {
    let count = 0;
    for await (const one of connections) {
      // The owner may have connected again before it was processed.
      const isLate = effect === 'hold' && receivedAt < one.issuedAt;
      if (!isSenderAuthenticated || isLate) await store.makeDue(one.id, clock.now());
      else if (await holds[effect](one, receivedAt)) count++;
    }
    const outcome = isSenderAuthenticated ? (effect === 'hold' ? 'held' : 'released') : `${effect}_unauthenticated`;
    if (count === 0 && isSenderAuthenticated) return false;
    telemetry.webhook(integration, outcome);
    log.info({ integration, webhook: id, connections: count, outcome }, 'webhooks: an account is suspended or enabled');
    return count > 0;
  }

  /** True: any has changed. */
  async function actOn(
    connections: AsyncIterable<Connection>,
    { isDeauthorization, hold }: StoredBody['events'][number],
    webhook: ReceivedWebhook,
    { isSenderAuthenticated }: StoredBody,
  ): Promise<boolean> {
    if (!isDeauthorization) return hold ? holdOrRelease(connections, hold, webhook, isSenderAuthenticated) : false;
    let hasChanged = false;
    for await (const one of connections)
      hasChanged = (await deauthorizer.end(one, webhook, isSenderAuthenticated)) || hasChanged;
    return hasChanged;
  }

  async function work(webhook: ReceivedWebhook): Promise<void> {
    const { id, integration, items } = webhook;
    const stored = JSON.parse(vault.decrypt(webhook.body!, bodyContext(id))) as StoredBody;
    const resolved = await targets.find(integration);
    const provider = resolved instanceof Refusal ? null : resolved.provider.id;
    const about = new Set<string>();
    const events: NewEvent[] = [];
    let hasChanged = false;
    for (const item of items) {
      const event = stored.events.find(({ index }) => index === item.index);
      if (!event) continue;
      const { locator, found } = await located(integration, event);
      const acts = event.isDeauthorization || event.hold;
      if (locator && acts)
        hasChanged = (await actOn(usable(integration, locator), event, webhook, stored)) || hasChanged;
      for (const one of found) about.add(one.id);
      const handedOn = { webhook, provider, item, event, stored, count: stored.events.length };
      for (const [i, one] of toldOf(found).entries()) {
        // As it has left them.
        const now = one && acts ? ((await store.connection(one.id)) ?? one) : one;
        events.push(receivedEvent(vault, handedOn, now, i === 0));
      }
    }
    // Before callers are told of it, no replica serves what has ended or is on hold. Once for all: its claim ends meanwhile.
    if (hasChanged) await untilApplied();
    const status = about.size > 0 ? ('located' as const) : ('unmatched' as const);
    const outcome = { status, reason: null, processedAt: clock.now(), nextAt: null };
    await store.settleReceived(id, outcome, [...about], events);
    telemetry.webhook(integration, status);
  }

  async function failed(webhook: ReceivedWebhook, error: unknown): Promise<void> {
    const isDead = await settleFailed(parts, 'webhooks', webhook, error);
    if (isDead) telemetry.webhook(webhook.integration, 'dead');
  }

  return (webhook) => work(webhook).catch((error: unknown) => failed(webhook, error));
}
