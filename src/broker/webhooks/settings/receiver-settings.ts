// The settings of all integrations that receive webhooks, in memory: every request needs them, and they are few.
import type { Ciphertext } from '../../../domain/connection.ts';
import { remembered } from '../../../domain/once.ts';
import { NO_WEBHOOK_SETTINGS, type WebhookSettings } from '../../../domain/webhook-settings.ts';
import { type Logger, type Store, type Vault, VaultError } from '../../../ports/index.ts';

export interface ReceiverSettings {
  /** Undefined: it receives no webhooks. `unreadable`: its record does not decrypt. Rejects with `StoreError`. */
  of(integration: string): Promise<WebhookSettings | 'unreadable' | undefined>;
  /** The same, read from the store now. */
  stored(integration: string): Promise<WebhookSettings | 'unreadable' | undefined>;
  encrypted(integration: string, settings: WebhookSettings): Ciphertext;
  /** To be called when an integration may have changed. */
  invalidate(): void;
}

interface Parts {
  store: Pick<Store, 'receiverSettings'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  log: Logger;
}

type Read = { ciphertext: Ciphertext; settings: WebhookSettings | 'unreadable' };

const contextOf = (integration: string) => ({ row: `receiver_settings/${integration}`, column: 'webhook' });

export function createReceiverSettings({ store, vault, log }: Parts): ReceiverSettings {
  const known = remembered(readAll);
  /** Of the last reading: what has not changed need not be decrypted again. */
  let before = new Map<string, Read>();

  function read(integration: string, ciphertext: Ciphertext): Read {
    const same = before.get(integration);
    if (same?.ciphertext === ciphertext) return same;
    try {
      const record = JSON.parse(vault.decrypt(ciphertext, contextOf(integration))) as Partial<WebhookSettings>;
      return { ciphertext, settings: { ...NO_WEBHOOK_SETTINGS, ...record } };
    } catch (error) {
      if (!(error instanceof VaultError) && !(error instanceof SyntaxError)) throw error;
      log.error({ integration, err: error }, 'webhooks: the settings of an integration do not decrypt, set them again');
      return { ciphertext, settings: 'unreadable' };
    }
  }

  async function readAll(): Promise<Map<string, Read>> {
    const all = new Map<string, Read>();
    for (const { integration, webhook } of await store.receiverSettings())
      if (webhook !== null) all.set(integration, read(integration, webhook));
    before = all;
    return all;
  }

  return {
    of: async (integration) => (await known.get()).get(integration)?.settings,
    stored: async (integration) => (await readAll()).get(integration)?.settings,
    encrypted: (integration, settings) => vault.encrypt(JSON.stringify(settings), contextOf(integration)),
    invalidate: known.forget,
  };
}
