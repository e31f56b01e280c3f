// One attempt of a delivery: signed, sent, and judged.
import type { KeyObject } from 'node:crypto';
import type { Permission } from '../../../domain/caller.ts';
import { deliveryRetryIn } from '../../../domain/delivery-schedule.ts';
import { mayHear } from '../../../domain/event-audience.ts';
import type { StoredEvent } from '../../../domain/events.ts';
import { DELIVERY_DEADLINE_MS, DELIVERY_RETRIES_MS } from '../../../domain/time-limits.ts';
import type { WebhookEndpoint } from '../../../domain/webhook-endpoint.ts';
import {
  type ClaimedDelivery,
  type Clock,
  type DeliveryOutcome,
  type EncryptionContext,
  type Logger,
  type Vault,
  VaultError,
  type WebhookResponse,
  type WebhookSender,
} from '../../../ports/index.ts';
import { decryptSecrets, type EndpointSecrets } from '../endpoints/endpoint-secrets.ts';
import { eventPayload } from '../event-payload.ts';
import { signatureHeaders } from '../signing/standard-webhooks.ts';

export interface Attempt {
  outcome: DeliveryOutcome;
  /**
   * Undefined: nothing was sent, since the row of the endpoint or of the event is not as a broker has written it, or the caller
   * may not hear it.
   */
  response: WebhookResponse | undefined;
}

export interface Attempts {
  /** Undefined: the attempt was aborted, and says nothing. Never rejects. */
  make(claimed: ClaimedDelivery, endpoint: WebhookEndpoint, signal: AbortSignal): Promise<Attempt | undefined>;
}

export interface AttemptParts {
  sender: WebhookSender;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  callers: {
    /** As they are now; undefined: it is gone. */
    permissionsOf(callerId: string): readonly Permission[] | undefined;
  };
  /** The keys of `v1a`. */
  signingKeys: () => Promise<readonly KeyObject[]>;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  /** In [0, 1). */
  random: () => number;
  log: Logger;
}

const responseContext = (delivery: string): EncryptionContext => ({
  row: `deliveries/${delivery}`,
  column: 'last_response',
});

/** Throws `VaultError`. */
export const decryptResponse = (
  vault: Pick<Vault, 'decrypt'>,
  { id, lastResponse }: Pick<ClaimedDelivery['delivery'], 'id' | 'lastResponse'>,
): string | null => (lastResponse === null ? null : vault.decrypt(lastResponse, responseContext(id)));

export function createAttempts({ sender, vault, callers, signingKeys, clock, random, log }: AttemptParts): Attempts {
  /** Throws `VaultError`. */
  function readable(event: StoredEvent, endpoint: WebhookEndpoint): { body: string; secrets: EndpointSecrets } {
    return { body: JSON.stringify(eventPayload(vault, event)), secrets: decryptSecrets(vault, endpoint) };
  }

  /** Since the commit, its caller may have lost the permission, or something else than a broker has written the delivery. */
  function mayBeSent(event: StoredEvent, { callerId }: WebhookEndpoint): boolean {
    const permissions = callers.permissionsOf(callerId);
    return permissions !== undefined && mayHear({ id: callerId, permissions }, event);
  }

  /** The first time, it is looked at again: a permission that another replica has just given may not be known here yet. */
  const notPermitted = (attempts: number): DeliveryOutcome => ({
    ...(attempts > 1
      ? { status: 'dead', nextAt: null }
      : { status: 'pending', nextAt: clock.now() + DELIVERY_RETRIES_MS[0] }),
    at: clock.now(),
    httpStatus: null,
    error: 'not_permitted',
    response: null,
  });

  async function signed(event: StoredEvent, endpoint: WebhookEndpoint) {
    const { body, secrets } = readable(event, endpoint);
    const at = clock.now();
    const replaced = secrets.replaced.filter(({ until }) => until > at).map(({ secret }) => secret);
    const keys = await signingKeys().catch((error: unknown) => {
      log.error(
        { err: error },
        'delivery: the signing keys cannot be read, signed with the secret of the endpoint alone',
      );
      return [];
    });
    const signature = signatureHeaders({ id: event.id, at, body, secrets: [secrets.secret, ...replaced], keys });
    return { body, headers: { ...secrets.headers, 'content-type': 'application/json', ...signature } };
  }

  return {
    async make({ delivery, event }, endpoint, signal) {
      const started = clock.monotonic();
      /** From the time at its end: a clock that is set meanwhile gives both, and they are corrected together. */
      const startOf = (ended: number) => Math.round(ended - (clock.monotonic() - started));
      const failed = (error: string, response?: WebhookResponse): DeliveryOutcome => {
        const answered = response?.kind === 'answered' ? response : undefined;
        const isThrottled = answered?.status === 429 || error === 'timeout';
        const { attempts } = delivery;
        const wait = deliveryRetryIn({ attempts, isThrottled, retryAfterMs: answered?.retryAfterMs }, random());
        const now = clock.now();
        return {
          status: wait === null ? 'dead' : 'failing',
          at: startOf(now),
          httpStatus: response?.status ?? null,
          error,
          response: answered ? vault.encrypt(answered.body, responseContext(delivery.id)) : null,
          nextAt: wait === null ? null : now + wait,
        };
      };
      try {
        if (!mayBeSent(event, endpoint)) return { outcome: notPermitted(delivery.attempts), response: undefined };
        const { body, headers } = await signed(event, endpoint);
        const response = await sender.post({
          url: endpoint.url,
          headers,
          body,
          timeoutMs: DELIVERY_DEADLINE_MS,
          signal,
        });
        if (signal.aborted) return undefined;
        if (response.kind === 'failed') return { outcome: failed(response.code, response), response };
        const { status } = response;
        if (status < 200 || status > 299) return { outcome: failed(`status_${status}`, response), response };
        const kept = vault.encrypt(response.body, responseContext(delivery.id));
        const delivered = { at: startOf(clock.now()), httpStatus: status, error: null, response: kept, nextAt: null };
        return { outcome: { status: 'delivered', ...delivered }, response };
      } catch (error) {
        const fields = { err: error, delivery: delivery.id, endpoint: endpoint.id };
        if (error instanceof VaultError)
          log.error(fields, 'delivery: endpoint or event cannot be decrypted, or was changed; nothing was sent');
        else log.error(fields, 'delivery: the attempt failed, will retry');
        return { outcome: failed(error instanceof VaultError ? 'not_authentic' : 'internal'), response: undefined };
      }
    },
  };
}
