// The inbox, as callers see it: lists, bodies, and processing again.
import { type Action, matches, type Permission } from '../../domain/caller.ts';
import { Refusal, refuse } from '../../domain/errors.ts';
import type { ReceivedWebhook } from '../../domain/received-webhook.ts';
import type { Clock, Page, PageRequest, ReceivedWebhookFilter, Store, Vault } from '../../ports/index.ts';
import type { Access, Call } from '../audit/index.ts';
import { bodyContext, type StoredBody, shownBody } from './stored-body.ts';

export interface ShownWebhook {
  webhook: Omit<ReceivedWebhook, 'body'>;
  connections: string[];
  /** Null: it was refused, or is no webhook. */
  body: { body: string; body_encoding: 'utf-8' | 'base64' } | null;
}

/**
 * A caller that may see the webhooks of an integration sees all of them: it takes a permission for all of its owners. Others do not
 * exist for a caller.
 */
export interface Inbox {
  list(
    call: Call,
    filter: Omit<ReceivedWebhookFilter, 'within'>,
    page: PageRequest,
  ): Promise<Page<Omit<ReceivedWebhook, 'body'>> | Refusal>;
  /** Throws `VaultError` if its body does not decrypt. */
  get(call: Call, id: string): Promise<ShownWebhook | Refusal>;
  /** Its connections are looked for again; events that it was handed on as are not made again. */
  process(call: Call, id: string): Promise<ShownWebhook['webhook'] | Refusal>;
}

interface Parts {
  store: Pick<Store, 'receivedWebhook' | 'receivedWebhooks' | 'connectionsOfWebhook' | 'reprocessReceived'>;
  vault: Pick<Vault, 'decrypt'>;
  access: Pick<Access, 'denied' | 'noteRead' | 'record'>;
  wake: () => void;
  clock: Pick<Clock, 'now'>;
}

/** Their bodies are for those with `webhooks`. */
const LISTED: readonly (Action | '*')[] = ['*', 'webhooks', 'admin:read'];

const covers = ({ actions, integrations, owners }: Permission, wanted: typeof LISTED, integration?: string): boolean =>
  actions.some((action) => wanted.includes(action)) &&
  owners.includes('*') &&
  (integration === undefined || integrations.some((pattern) => matches(pattern, integration)));

export function createInbox({ store, vault, access, wake, clock }: Parts): Inbox {
  async function found(call: Call, id: string): Promise<ReceivedWebhook | Refusal> {
    const webhook = await store.receivedWebhook(id);
    const isCovered =
      webhook && call.principal.caller.permissions.some((one) => covers(one, ['*', 'webhooks'], webhook.integration));
    return isCovered ? webhook : refuse({ code: 'not_found', what: 'webhook', id });
  }

  return {
    async list(call, filter, page) {
      const { permissions } = call.principal.caller;
      const within = permissions.filter((one) => covers(one, LISTED));
      const { integration } = filter;
      if (within.length === 0) {
        const denied = access.denied(call, 'webhooks', integration ?? '*', '*');
        if (denied && denied.fault.code !== 'not_found') return denied;
      }
      access.noteRead(call, 'webhook.list', { integration: integration ?? '*', owner: '*' });
      const isAll = within.some(({ integrations }) => integrations.includes('*'));
      return store.receivedWebhooks(isAll ? filter : { ...filter, within }, page);
    },
    async get(call, id) {
      const webhook = await found(call, id);
      if (webhook instanceof Refusal) return webhook;
      access.noteRead(call, 'webhook.read', { integration: webhook.integration, detail: id });
      const { body, ...head } = webhook;
      // Of a signal or logout token, only what was read of it is kept.
      const isShown = body !== null && webhook.kind === 'webhook';
      const stored = isShown ? (JSON.parse(vault.decrypt(body, bodyContext(id))) as StoredBody) : null;
      const connections = await store.connectionsOfWebhook(id);
      return { webhook: head, connections, body: stored && shownBody(stored.body) };
    },
    async process(call, id) {
      const webhook = await found(call, id);
      if (webhook instanceof Refusal) return webhook;
      const by = access.record(call, 'webhook.processed', { integration: webhook.integration, detail: id });
      if (!(await store.reprocessReceived(id, clock.now(), by)))
        return refuse({ code: 'invalid_request', detail: 'its body is not kept, so it cannot be processed' });
      wake();
      const { body: _, ...head } = (await store.receivedWebhook(id)) ?? webhook;
      return head;
    },
  };
}
