// Webhook endpoints, as callers manage them.
import { type InputIssue, Refusal, refuse } from '../../../domain/errors.ts';
import { ENDPOINT_SECRET_OVERLAP_MS } from '../../../domain/time-limits.ts';
import type { DeliveryStatus, WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import type { Clock, Page, PageRequest, Store, Vault } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import { newId } from '../../secrets/index.ts';
import type { DeliveryEngine } from '../delivery/delivery-engine.ts';
import { newEndpointSecret, presentSecret } from '../signing/standard-webhooks.ts';
import { decryptSecrets, encryptSecrets } from './endpoint-secrets.ts';
import {
  changedMembers,
  type EndpointChange,
  type EndpointSettings,
  givenOf,
  keepsHeadersElsewhere,
  settingsIssues,
} from './endpoint-settings.ts';
import { type EndpointUse, managed, mayNotManage, ownerOf } from './may-manage.ts';
import { pingEvent } from './own-events.ts';

/** Which deliveries are sent again. Times in milliseconds since the epoch; `to` is exclusive. */
export interface Replay {
  from: number;
  to: number | undefined;
  /** Undefined: all that were not delivered. */
  status: DeliveryStatus | undefined;
}

/**
 * Each needs the action `events`. An endpoint belongs to the caller that has created it; for others but admins it does not
 * exist.
 */
export interface WebhookEndpoints {
  /** `secret`: `whsec_…`, returned once. */
  create(call: Call, settings: EndpointSettings): Promise<{ endpoint: WebhookEndpoint; secret: string } | Refusal>;
  list(call: Call, page: PageRequest): Promise<Page<WebhookEndpoint> | Refusal>;
  get(call: Call, id: string): Promise<WebhookEndpoint | Refusal>;
  /** Undefined members stay. `enabled: true` starts one again that was disabled, with what is due by then. */
  update(call: Call, id: string, change: EndpointChange): Promise<WebhookEndpoint | Refusal>;
  /** With its deliveries. */
  remove(call: Call, id: string): Promise<undefined | Refusal>;
  /**
   * The replaced secret signs as well until `previousUntil` (ms since the epoch), and those that were replaced before, until
   * the time that each was given: a repetition, of which the receiver knows nothing, breaks no verification.
   */
  rotateSecret(call: Call, id: string): Promise<{ secret: string; previousUntil: number } | Refusal>;
  /** Sends the event `test.ping` to this endpoint alone; returns its id. */
  test(call: Call, id: string): Promise<{ eventId: string } | Refusal>;
  replay(call: Call, id: string, replay: Replay): Promise<{ deliveries: number } | Refusal>;
  /** Why the caller may not have its events sent again; undefined: it may. */
  mayReplay(call: Call, id: string): Promise<Refusal | undefined>;
  /** The next part of `replay`, for work in batches: after this delivery, or from the beginning. `next`: where to go on; null: that was all. */
  replaySome(
    call: Call,
    id: string,
    range: Replay & { to: number },
    after: string | undefined,
  ): Promise<{ deliveries: number; next: string | null } | Refusal>;
}

export interface WebhookEndpointsParts {
  store: Pick<
    Store,
    | 'addWebhookEndpoint'
    | 'webhookEndpoint'
    | 'webhookEndpoints'
    | 'updateWebhookEndpoint'
    | 'deleteWebhookEndpoint'
    | 'addEvents'
    | 'replayDeliveries'
    | 'appendAudit'
  >;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  /** Why a URL may not be requested, in words. */
  checkUrl: (url: string) => string | undefined;
  engine: Pick<DeliveryEngine, 'retryNow'>;
  access: Access;
  clock: Clock;
}

/** The signature header has room for so many. Of more within a day, the first, which receivers had, and the latest stay. */
const MAX_REPLACED_SECRETS = 8;

/** Deliveries that one commit of a replay examines. */
const REPLAY_BATCH = 500;

export function createWebhookEndpoints(parts: WebhookEndpointsParts): WebhookEndpoints {
  const { store, vault, checkUrl, engine, access, clock } = parts;
  const absent = (id: string) => refuse({ code: 'not_found', what: 'webhook endpoint', id });
  const invalid = (issues: InputIssue[], detail = 'The webhook endpoint has invalid settings.') =>
    refuse({ code: 'invalid_request', detail, issues });
  const find = (call: Call, id: string, use: EndpointUse = 'manage') => managed(parts, call, id, use);

  /** `change` is undefined when the endpoint was changed since it was read: its secrets are bound to its URL, so it is read again. */
  async function changing<T>(
    call: Call,
    id: string,
    change: (endpoint: WebhookEndpoint) => Promise<T | undefined>,
  ): Promise<T | Refusal> {
    for (;;) {
      const endpoint = await find(call, id);
      if (endpoint instanceof Refusal) return endpoint;
      const changed = await change(endpoint);
      if (changed !== undefined) return changed;
    }
  }

  const replaySome: WebhookEndpoints['replaySome'] = async (call, id, range, after) => {
    const endpoint = await find(call, id, 'resend');
    if (endpoint instanceof Refusal) return endpoint;
    if (after === undefined) {
      const what = `${id} from ${new Date(range.from).toISOString()} to ${new Date(range.to).toISOString()}`;
      await store.appendAudit([access.record(call, 'webhook_endpoint.replayed', { detail: what })]);
    }
    const some = await store.replayDeliveries(id, range, clock.now(), { limit: REPLAY_BATCH, after });
    if (some.next === null || some.deliveries > 0) engine.retryNow(id);
    return some;
  };

  return {
    async create(call, settings) {
      const refusal = mayNotManage(access, call, 'manage');
      if (refusal) return refusal;
      const issues = settingsIssues(settings, checkUrl);
      if (issues.length > 0) return invalid(issues);
      const now = clock.now();
      const { headers, ...rest } = settings;
      const secret = newEndpointSecret();
      const place = { id: newId('whe', now), callerId: call.principal.caller.id, url: settings.url };
      const endpoint: WebhookEndpoint = {
        ...rest,
        ...place,
        ...encryptSecrets(vault, place, { secret, replaced: [], headers }),
        enabled: true,
        disabledReason: null,
        previousUntil: null,
        failingSince: null,
        createdAt: now,
        updatedAt: now,
      };
      await store.addWebhookEndpoint(
        endpoint,
        access.record(call, 'webhook_endpoint.created', { detail: endpoint.id }),
      );
      return { endpoint, secret: presentSecret(secret) };
    },

    async list(call, page) {
      return mayNotManage(access, call, 'read') ?? store.webhookEndpoints(ownerOf(call), page);
    },

    get: (call, id) => find(call, id, 'read'),

    async update(call, id, wanted) {
      return changing(call, id, async (endpoint) => {
        const change = givenOf(wanted);
        const issues = settingsIssues(change, checkUrl);
        if (keepsHeadersElsewhere(endpoint, change))
          issues.push({ path: 'headers', message: 'must be given again (or null) when the URL gets another origin' });
        if (issues.length > 0) return invalid(issues);
        const { headers, enabled, ...members } = change;
        const changed = changedMembers(endpoint, change);
        const rebound = changed.includes('url') || headers !== undefined;
        const now = clock.now();
        const place = { ...endpoint, url: change.url ?? endpoint.url };
        const secrets = rebound && decryptSecrets(vault, endpoint);
        const row: Partial<WebhookEndpoint> = {
          ...members,
          ...(secrets && encryptSecrets(vault, place, { ...secrets, ...(headers !== undefined && { headers }) })),
          ...(enabled === true && { enabled, disabledReason: null, failingSince: null }),
          // Who disables what is disabled already does not change why.
          ...(enabled === false && endpoint.enabled && { enabled, disabledReason: 'disabled_by_caller' as const }),
          updatedAt: now,
        };
        const by = access.record(call, 'webhook_endpoint.updated', { detail: id, changed });
        if (!(await store.updateWebhookEndpoint(id, row, by, endpoint))) return undefined;
        engine.retryNow(id);
        return { ...endpoint, ...row };
      });
    },

    async remove(call, id) {
      const endpoint = await find(call, id);
      if (endpoint instanceof Refusal) return endpoint;
      const by = access.record(call, 'webhook_endpoint.deleted', { detail: id });
      return (await store.deleteWebhookEndpoint(id, by)) ? undefined : absent(id);
    },

    async rotateSecret(call, id) {
      return changing(call, id, async (endpoint) => {
        const before = decryptSecrets(vault, endpoint);
        const secret = newEndpointSecret();
        const now = clock.now();
        const previousUntil = now + ENDPOINT_SECRET_OVERLAP_MS;
        const signing = before.replaced.filter(({ until }) => until > now);
        const replaced = [
          { secret: before.secret, until: previousUntil },
          ...(signing.length < MAX_REPLACED_SECRETS ? signing : signing.toSpliced(-2, 1)),
        ];
        const encrypted = encryptSecrets(vault, endpoint, { ...before, secret, replaced });
        const by = access.record(call, 'webhook_endpoint.secret_rotated', { detail: id });
        const change = { ...encrypted, previousUntil, updatedAt: now };
        if (!(await store.updateWebhookEndpoint(id, change, by, endpoint))) return undefined;
        return { secret: presentSecret(secret), previousUntil };
      });
    },

    async test(call, id) {
      const endpoint = await find(call, id, 'resend');
      if (endpoint instanceof Refusal) return endpoint;
      if (!endpoint.enabled) return invalid([], 'The webhook endpoint is disabled: nothing is sent to it.');
      const event = pingEvent(endpoint, clock.now());
      await store.addEvents([event], access.record(call, 'webhook_endpoint.tested', { detail: id }));
      engine.retryNow(id);
      return { eventId: event.id };
    },

    async replay(call, id, { from, to, status }) {
      const range = { from, to: to ?? clock.now(), status };
      let deliveries = 0;
      for (let after: string | undefined; ; ) {
        const some = await replaySome(call, id, range, after);
        if (some instanceof Refusal) return some;
        deliveries += some.deliveries;
        if (some.next === null) return { deliveries };
        after = some.next;
      }
    },

    async mayReplay(call, id) {
      const endpoint = await find(call, id, 'resend');
      return endpoint instanceof Refusal ? endpoint : undefined;
    },

    replaySome,
  };
}
