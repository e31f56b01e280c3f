// Acts on a signal that was received: finds its connections, does what it says, and tells callers. A process that ends in
// between leaves it due, and everything that is done can be done twice.
import type { Connection } from '../../../domain/connection.ts';
import { Refusal } from '../../../domain/errors.ts';
import type { NewEvent } from '../../../domain/events.ts';
import type { ReceivedWebhook } from '../../../domain/received-webhook.ts';
import { effectOf, endsAgentSessions, LOGOUT_EVENT, shortTypeOf } from '../../../domain/security-events.ts';
import type { Clock, Logger, Store, Telemetry, Vault } from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import type { Targets } from '../../integrations/index.ts';
import { settleFailed } from '../processing/failed-processing.ts';
import { receivedEvent, toldOf } from '../processing/received-event.ts';
import { OFFLINE_ACCESS, type OfflineScopes, type SignalActions } from './actions.ts';
import type { SignalReceivers } from './receivers.ts';
import { decryptSignal, type StoredSignal } from './stored-signal.ts';
import { connectionsOf } from './subjects.ts';

/** Settles it, as processed or due again. Rejects with `StoreError`: then its claim ends by itself. */
export type ProcessSignal = (received: ReceivedWebhook) => Promise<void>;

/** Who has signed out at their provider: everywhere, or of one of its sessions. */
export interface SignedOutUser {
  /** That the logout token was sent to. */
  integration: string;
  issuer: string;
  /** Undefined: whose session it is. */
  subject: string | undefined;
  /** Undefined: of all sessions. */
  providerSession: string | undefined;
}

/** Ends the sessions that this user has with the broker itself; returns how many there were. Rejects with `StoreError`. */
export type EndUserSessions = (user: SignedOutUser) => Promise<number>;

/** Ends the agent sessions of an owner whose account is suspended, gone or signed out; returns how many. Rejects with `StoreError`. */
export type EndAgentSessions = (owner: string) => Promise<number>;

interface Parts {
  store: Pick<
    Store,
    'settleReceived' | 'connectionsByValue' | 'usableConnectionsByValue' | 'connection' | 'appendAudit'
  >;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  receivers: Pick<SignalReceivers, 'find'>;
  actions: SignalActions;
  endUserSessions: EndUserSessions;
  endAgentSessions: EndAgentSessions;
  targets: Pick<Targets, 'find'>;
  access: Pick<Access, 'recordSystem'>;
  /** Waits for the other replicas. */
  untilApplied: () => Promise<unknown>;
  telemetry: Pick<Telemetry, 'signalProcessed'>;
  clock: Pick<Clock, 'now'>;
  log: Logger;
}

type Event = StoredSignal['events'][number];

/** Connections that one event is shown to be about. What it does has no such limit. */
const MAX_CONNECTIONS = 1_000;

export function createSignalProcessing(parts: Parts): ProcessSignal {
  const { store, vault, receivers, actions, endUserSessions, endAgentSessions } = parts;
  const { targets, access, untilApplied, telemetry, clock, log } = parts;
  /**
   * The last one of each integration. They are processed one after the other, as they were claimed, since a later signal may undo
   * what an earlier one has done.
   */
  const lastOf = new Map<string, Promise<unknown>>();

  /** A verification that was asked for, or the state of the stream: operators look for these. */
  async function noteStream(integration: string, { type, note }: Event): Promise<void> {
    const detail = [shortTypeOf(type), ...(note === null ? [] : [note])].join(': ');
    await store.appendAudit([access.recordSystem('signals.stream_event', { integration, detail })]);
    log.info({ integration, event: shortTypeOf(type), note }, 'signals: an event of the stream itself');
  }

  /** True: someone was signed in here, and is no longer. A token names a user, a session, or both (Back-Channel Logout 2.4). */
  async function endSessions({ subject: about }: Event, issuer: string, integration: string, sid: string | null) {
    const subject = about.kind === 'identity' ? about.subject : undefined;
    if (subject === undefined && sid === null) return false;
    return (await endUserSessions({ integration, issuer, subject, providerSession: sid ?? undefined })) > 0;
  }

  async function offlineScopes(integration: string): Promise<OfflineScopes> {
    const found = await targets.find(integration);
    if (found instanceof Refusal) throw new Error(`the integration is not usable: ${found.fault.code}`);
    const { auth, integration: set } = found;
    const isNamed = 'default_scopes' in auth && (auth.default_scopes ?? []).includes(OFFLINE_ACCESS);
    return { requested: set.scopes, isNamed };
  }

  /** The connections that one event is about, once they have been acted on; `isOfUser`: someone was signed out of the console. */
  async function actOn(
    event: Event,
    { integrations, sid }: StoredSignal,
  ): Promise<{ connections: Connection[]; isOfUser: boolean }> {
    const effect = effectOf(event.type);
    const shown: Connection[] = [];
    const owners = new Set<string>();
    let hasChanged = false;
    let isOfUser = false;
    for (const integration of integrations) {
      const receiver = await receivers.find(integration);
      if (!receiver) continue;
      if (effect === 'stream') {
        await noteStream(integration, event);
        continue;
      }
      // First: what is wrong with a connection does not keep someone signed in.
      if (event.type === LOGOUT_EVENT && receiver.issuer !== null)
        isOfUser = (await endSessions(event, receiver.issuer, integration, sid)) || isOfUser;
      const scopes = event.type === LOGOUT_EVENT ? await offlineScopes(integration) : undefined;
      for await (const one of connectionsOf(store, receiver, event.subject, effect === 'destroy')) {
        // Before the connection: what has ended may not be found again after an interruption.
        if (endsAgentSessions(event.type) && !owners.has(one.owner) && (await endAgentSessions(one.owner)) > 0)
          hasChanged = true;
        owners.add(one.owner);
        const isChanged = scopes
          ? (await actions.logOut(one, scopes, sid)) === 'ended'
          : await actions.act(one, effect, event);
        hasChanged ||= isChanged;
        if (shown.length < MAX_CONNECTIONS) shown.push(one);
      }
    }
    // Before callers are told of it, no replica serves what has ended or is on hold.
    if (hasChanged) await untilApplied();
    return { connections: shown, isOfUser };
  }

  async function work(webhook: ReceivedWebhook): Promise<void> {
    const { id, integration, items } = webhook;
    const { signal, stored } = decryptSignal(vault, webhook);
    const provider = (await receivers.find(integration))?.provider ?? null;
    const about = new Set<string>();
    const events: NewEvent[] = [];
    let isOfUser = false;
    for (const item of items) {
      const event = signal.events[item.index];
      const own = stored.events[item.index];
      if (!event || !own) continue;
      // A transmitter whose clock is ahead does not have the last word for ever.
      const at = Math.min(event.at, webhook.receivedAt);
      const acted = await actOn({ ...event, at }, signal);
      const found = acted.connections;
      isOfUser ||= acted.isOfUser;
      const isStream = effectOf(event.type) === 'stream';
      const told = isStream && found.length === 0 ? [] : toldOf(found);
      const handedOn = { webhook, provider, item, event: own, stored, count: 1 };
      for (const [i, one] of told.entries()) {
        // As it has left them.
        const now = one && ((await store.connection(one.id)) ?? one);
        events.push(receivedEvent(vault, handedOn, now, i === 0));
      }
      for (const one of found) about.add(one.id);
      const outcome = isStream ? 'stream' : found.length > 0 || acted.isOfUser ? 'located' : 'unmatched';
      telemetry.signalProcessed(integration, shortTypeOf(event.type), outcome);
      log.info(
        { webhook: id, integration, event: shortTypeOf(event.type), connections: found.length },
        'signals: processed',
      );
    }
    const isStream = signal.events.every(({ type }) => effectOf(type) === 'stream');
    const status = about.size > 0 || isStream || isOfUser ? ('located' as const) : ('unmatched' as const);
    const outcome = { status, reason: null, processedAt: clock.now(), nextAt: null };
    await store.settleReceived(id, outcome, [...about], events);
  }

  async function failed(webhook: ReceivedWebhook, error: unknown): Promise<void> {
    const isDead = await settleFailed(parts, 'signals', webhook, error);
    if (isDead) telemetry.signalProcessed(webhook.integration, 'any', 'dead');
  }

  return (received) => {
    const { integration } = received;
    const before = lastOf.get(integration) ?? Promise.resolve();
    const next = before.then(() => work(received)).catch((error: unknown) => failed(received, error));
    const last = next
      .catch(() => undefined)
      .then(() => {
        if (lastOf.get(integration) === last) lastOf.delete(integration);
      });
    lastOf.set(integration, last);
    return next;
  };
}
