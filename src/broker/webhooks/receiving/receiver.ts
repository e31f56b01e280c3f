// Receives webhooks of third parties: admitted, checked before the body is read, verified over the raw bytes, stored, and only
// then answered with a 2xx. No refusal says why.
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { upTo } from '../../../domain/cache-bounds.ts';
import { Refusal } from '../../../domain/errors.ts';
import type { ReceivedItem, ReceivedWebhook } from '../../../domain/received-webhook.ts';
import { INBOX_FULL_RECHECK_MS, INBOX_FULL_RETRY_AFTER_S } from '../../../domain/time-limits.ts';
import type { ProviderWebhooks } from '../../../domain/webhook-dialect.ts';
import type { WebhookSettings } from '../../../domain/webhook-settings.ts';
import {
  type Clock,
  type Logger,
  type Store,
  type Telemetry,
  type Vault,
  VaultError,
  type WebhookAnswer,
  type WebhookKeys,
  type WebhookRequest,
  type WebhookVerdict,
  type WebhookVerifier,
} from '../../../ports/index.ts';
import type { ResolvedIntegration, Targets } from '../../integrations/index.ts';
import { digest, isSameSecret, newId } from '../../secrets/index.ts';
import type { ReceiverSettings } from '../settings/receiver-settings.ts';
import type { WebhookAdmin } from '../settings/webhook-admin.ts';
import { bodyContext, storedBody } from '../stored-body.ts';
import type { Admission } from './admission.ts';
import type { Refusals } from './refusals.ts';
import { selectedHeaders } from './selected-headers.ts';

/** Where a request came to, and from whom. */
export interface Arrival {
  integration: string;
  /** As in the path, if there is one. */
  hook: string | undefined;
  address: string | null;
  /** Of the body, if the sender says it. */
  length: number | undefined;
}

export interface WebhookReceiver {
  /** Before the body is read. Rejects with `StoreError`. */
  admit(arrival: Arrival, request: Omit<WebhookRequest, 'body'>): Promise<WebhookAnswer | AdmittedWebhook>;
}

/** `receive` or `abandon` is to be called, once. */
export interface AdmittedWebhook {
  /** Bytes; a longer body is not read to its end. */
  maxBody: number;
  /** Before more of the body is kept. False: there is no room for it now. */
  hasRoomFor(bytes: number): boolean;
  receive(body: Uint8Array): Promise<WebhookAnswer>;
  /** The body is too long, did not arrive, or there is no room for it. */
  abandon(reason: 'too_large' | 'aborted' | 'no_room'): WebhookAnswer;
}

/** Webhooks that wait to be processed, of all integrations. */
const MAX_OPEN = 100_000;
const MAX_KNOWN = 1_000;
/** `{integration}` of an id that could exist; anything else is not even looked for. */
const SLUG = /^[a-z0-9][a-z0-9_-]{0,62}$/;

interface Parts {
  store: Pick<Store, 'receive'>;
  vault: Pick<Vault, 'encrypt'>;
  targets: Pick<Targets, 'find' | 'targetOf'>;
  settings: ReceiverSettings;
  admin: Pick<WebhookAdmin, 'learn'>;
  verifier: WebhookVerifier;
  admission: Admission;
  refusals: Refusals;
  /** Called when something is due for processing. */
  onReceived: () => void;
  telemetry: Pick<Telemetry, 'webhook'>;
  clock: Clock;
  log: Logger;
  maxOpen?: number | undefined;
}

/** An integration, resolved once. */
interface Sender {
  webhooks: ProviderWebhooks;
  keys: Omit<WebhookKeys, 'hasHook' | 'mayLearnKey'>;
  settings: WebhookSettings;
}

const empty = (status: number, headers: Record<string, string> = {}): WebhookAnswer => ({
  status,
  headers,
  body: null,
});
const busy = (status: number, seconds: number) => empty(status, { 'retry-after': String(seconds) });

export interface InvalidatingReceiver extends WebhookReceiver {
  /** To be called when an integration may have changed. */
  invalidate(): void;
}

export function createWebhookReceiver(parts: Parts): InvalidatingReceiver {
  const { store, vault, targets, settings, admin, verifier, admission, refusals, onReceived, telemetry, clock, log } =
    parts;
  const { maxOpen = MAX_OPEN } = parts;
  const senders = new LRUCache<string, Sender>(upTo(MAX_KNOWN));
  /** Integrations without room in the inbox, and until when the store is not asked again. */
  const fullUntil = new LRUCache<string, number>(upTo(MAX_KNOWN));
  /** Counts invalidations: what was read before one is not remembered. */
  let version = 0;

  /** Undefined: it is not set up. `unavailable`: it is, and cannot be read. */
  async function senderOf(integration: string): Promise<Sender | 'unavailable' | undefined> {
    const known = senders.get(integration);
    if (known) return known;
    const readAt = version;
    if (!SLUG.test(integration)) return undefined;
    const found = await settings.of(integration);
    if (found === undefined) return undefined;
    if (found === 'unreadable') return 'unavailable';
    const resolved = await targets.find(integration);
    if (resolved instanceof Refusal) return resolved.fault.code === 'not_found' ? undefined : 'unavailable';
    const clientSecret = secretOf(resolved);
    if (clientSecret === 'unreadable') return 'unavailable';
    const { webhooks } = resolved.provider;
    const { params, clientId } = resolved.integration;
    const sender: Sender = {
      webhooks,
      keys: {
        secrets: found.secrets,
        clientId,
        clientSecret,
        params,
        ...(found.scheme && { scheme: found.scheme }),
      },
      settings: found,
    };
    if (readAt === version) senders.set(integration, sender);
    return sender;
  }

  function secretOf(resolved: ResolvedIntegration): string | null | 'unreadable' {
    try {
      return targets.targetOf(resolved, { params: {}, captured: {} }).secrets.secret;
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      log.error({ err: error, integration: resolved.integration.id }, 'webhooks: the client secret does not decrypt');
      return 'unreadable';
    }
  }

  const isHook = (hook: string, { hookDigest }: WebhookSettings): boolean =>
    hookDigest !== null && isSameSecret(digest(hook), hookDigest);

  return {
    invalidate() {
      version++;
      senders.clear();
    },

    async admit({ integration, hook, address, length }, request) {
      const wait = admission.take(integration, address);
      if (wait > 0) return refusedUnknown('rate_limited', busy(429, wait));
      const sender = await senderOf(integration);
      if (sender === undefined) return refusedUnknown('not_set_up', empty(404));
      if (sender === 'unavailable') {
        telemetry.webhook(integration, 'unavailable');
        return busy(503, INBOX_FULL_RETRY_AFTER_S);
      }
      const path = `/webhooks/${integration}${hook === undefined ? '' : '/…'}`;
      const contentType = request.headers['content-type']?.slice(0, 256) ?? null;
      const about = { integration, method: request.method.slice(0, 20), path, contentType };
      const refused = (status: number, reason: string, body?: Uint8Array, allow?: string): WebhookAnswer => {
        refusals.note({ ...about, reason, body });
        return empty(status, allow === undefined ? {} : { allow });
      };
      if (hook !== undefined && !isHook(hook, sender.settings)) return refused(404, 'hook');
      const until = sender.settings.handshakeUntil;
      const keys: WebhookKeys = {
        ...sender.keys,
        hasHook: hook !== undefined,
        mayLearnKey: until !== null && until > clock.now(),
      };
      const early = verifier.precheck(sender.webhooks, request, keys);
      if (early) return refused(early.status, early.reason, undefined, early.allow);
      const maxBody = verifier.maxBody(sender.webhooks);
      if (length !== undefined && length > maxBody) return refused(413, 'too_large');
      if (clock.monotonic() < (fullUntil.get(integration) ?? Number.NEGATIVE_INFINITY)) return full(integration);
      const room = admission.room(address);

      return {
        maxBody,
        hasRoomFor: room.take,
        abandon(reason) {
          room.release();
          if (reason === 'no_room') return full(integration, 'too_many_bytes');
          return refused(reason === 'too_large' ? 413 : 400, reason);
        },
        async receive(body) {
          try {
            const verdict = await verifier.verify(sender.webhooks, { ...request, body }, keys);
            if (verdict.kind === 'refused') {
              admission.charge(integration, address, body.byteLength);
              return refused(verdict.status, verdict.reason, body, verdict.allow);
            }
            admission.giveBack(integration, address);
            if (verdict.kind === 'handshake')
              return await handshake(integration, verdict, () => refused(401, 'no_window', body));
            return await stored(about, request, body, verdict);
          } finally {
            room.release();
          }
        },
      };
    },
  };

  /** Integrations that do not exist make no time series. */
  function refusedUnknown(reason: string, answer: WebhookAnswer): WebhookAnswer {
    telemetry.webhook('', reason);
    return answer;
  }

  function full(integration: string, outcome = 'inbox_full'): WebhookAnswer {
    telemetry.webhook(integration, outcome);
    return busy(503, INBOX_FULL_RETRY_AFTER_S);
  }

  async function handshake(
    integration: string,
    { answer, learnedSecret }: Extract<WebhookVerdict, { kind: 'handshake' }>,
    refused: () => WebhookAnswer,
  ): Promise<WebhookAnswer> {
    if (learnedSecret !== null) {
      if (!(await admin.learn(integration, learnedSecret))) return refused();
      log.info({ integration }, 'webhooks: a handshake brought a key, the window is closed');
    }
    telemetry.webhook(integration, 'handshake');
    return answer;
  }

  async function stored(
    about: Pick<ReceivedWebhook, 'integration' | 'method' | 'path' | 'contentType'>,
    { headers, receivedAt }: Omit<WebhookRequest, 'body'>,
    body: Uint8Array,
    verdict: Extract<WebhookVerdict, { kind: 'verified' }>,
  ): Promise<WebhookAnswer> {
    const { integration } = about;
    const { events, answer, isSenderAuthenticated, secretHeaders } = verdict;
    // A delivery without an event has nothing to tell.
    if (events.length === 0) {
      telemetry.webhook(integration, 'empty');
      return answer;
    }
    const id = newId('whr', receivedAt);
    const items: ReceivedItem[] = events.map((event) => ({
      index: event.index,
      eventId: newId('msg', receivedAt),
      providerEventId: bounded(event.id),
      providerType: bounded(event.type),
    }));
    const keys = Object.fromEntries(events.map(({ index, key }) => [index, digest(`${integration}\n${key}`)]));
    const webhook: ReceivedWebhook = {
      ...about,
      id,
      kind: 'webhook',
      status: 'received',
      reason: null,
      receivedAt,
      headers: selectedHeaders(headers, secretHeaders),
      digest: hash('sha256', body, 'hex'),
      size: body.byteLength,
      body: vault.encrypt(JSON.stringify(storedBody(body, events, isSenderAuthenticated)), bodyContext(id)),
      items,
      attempts: 0,
      nextAt: receivedAt,
      processedAt: null,
    };
    const taken = await store.receive(webhook, keys, maxOpen);
    if (taken === 'full') {
      fullUntil.set(integration, clock.monotonic() + INBOX_FULL_RECHECK_MS);
      log.error({ integration }, 'webhooks: the inbox is full for this integration, its senders are asked to retry');
      return full(integration);
    }
    telemetry.webhook(integration, taken.length > 0 ? 'received' : 'duplicate');
    if (taken.length > 0) onReceived();
    return answer;
  }
}

/** Text of a sender, as every store keeps it. */
const bounded = (text: string | null): string | null =>
  text === null ? null : text.slice(0, 256).toWellFormed().replaceAll('\0', '\uFFFD');
