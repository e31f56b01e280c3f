// Deliveries, as callers list and retry them.
import { Refusal, refuse } from '../../../domain/errors.ts';
import type { Delivery } from '../../../domain/webhook-endpoint.ts';
import type { Clock, DeliveryFilter, Page, PageRequest, Store, Vault } from '../../../ports/index.ts';
import type { Access, Call } from '../../audit/index.ts';
import { decryptResponse } from '../delivery/attempt.ts';
import type { DeliveryEngine } from '../delivery/delivery-engine.ts';
import { type EventPayload, eventPayload } from '../event-payload.ts';
import { type EndpointUse, managed, mayNotManage, mayReadEvent, ownerOf } from './may-manage.ts';

/** Each needs the action `events`, and shows deliveries to the caller's own endpoints; admins see all. */
export interface Deliveries {
  list(call: Call, filter: Omit<DeliveryFilter, 'caller'>, page: PageRequest): Promise<Page<Delivery> | Refusal>;
  /**
   * `response`: the beginning of the last one, as text; null: there was none. `event`: as it is sent; null: it has just been
   * deleted, or the caller may not read it (any more).
   */
  get(
    call: Call,
    id: string,
  ): Promise<{ delivery: Delivery; response: string | null; event: EventPayload | null } | Refusal>;
  /** Makes it due at once, whatever became of it. */
  retry(call: Call, id: string): Promise<Delivery | Refusal>;
}

export interface DeliveriesParts {
  store: Pick<Store, 'delivery' | 'deliveries' | 'event' | 'webhookEndpoint' | 'retryDelivery'>;
  vault: Pick<Vault, 'decrypt'>;
  engine: Pick<DeliveryEngine, 'retryNow'>;
  access: Access;
  clock: Clock;
}

export function createDeliveries(parts: DeliveriesParts): Deliveries {
  const { store, vault, engine, access, clock } = parts;
  const absent = (id: string) => refuse({ code: 'not_found', what: 'delivery', id });

  async function find(call: Call, id: string, use: EndpointUse): Promise<Delivery | Refusal> {
    const refusal = mayNotManage(access, call, use);
    if (refusal) return refusal;
    const delivery = await store.delivery(id);
    if (!delivery) return absent(id);
    return (await managed(parts, call, delivery.endpointId, use)) instanceof Refusal ? absent(id) : delivery;
  }

  return {
    async list(call, filter, page) {
      return mayNotManage(access, call, 'read') ?? store.deliveries({ ...filter, caller: ownerOf(call) }, page);
    },

    async get(call, id) {
      const delivery = await find(call, id, 'read');
      if (delivery instanceof Refusal) return delivery;
      const [event, endpoint] = await Promise.all([
        store.event(delivery.eventId),
        store.webhookEndpoint(delivery.endpointId),
      ]);
      const isShown = event && endpoint && mayReadEvent(call, endpoint, event);
      return {
        delivery,
        response: decryptResponse(vault, delivery),
        event: isShown ? eventPayload(vault, event) : null,
      };
    },

    async retry(call, id) {
      const delivery = await find(call, id, 'resend');
      if (delivery instanceof Refusal) return delivery;
      const by = access.record(call, 'delivery.retried', { detail: `${id} ${delivery.endpointId}` });
      if (!(await store.retryDelivery(id, clock.now(), by))) return absent(id);
      engine.retryNow(delivery.endpointId);
      return (await store.delivery(id)) ?? delivery;
    },
  };
}
