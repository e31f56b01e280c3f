// The receivers of signals: every OpenID integration, and those whose transmitter the catalogue or an admin names. They are few,
// and in memory.
import type { Ciphertext } from '../../../domain/connection.ts';
import type { Integration } from '../../../domain/integration.ts';
import { remembered } from '../../../domain/once.ts';
import { authMode, type Provider } from '../../../domain/provider.ts';
import { type SignalSettings, transmitterOf } from '../../../domain/signal-receivers.ts';
import { NO_SECRETS, resolveTarget, trustedIssuerOf } from '../../../domain/target.ts';
import { type EventTransmitter, type Logger, type Store, type Vault, VaultError } from '../../../ports/index.ts';

export interface SignalReceiver {
  integration: string;
  provider: string;
  clientId: string;
  /** Of its ID tokens and logout tokens; null: it has none. */
  issuer: string | null;
  /** Who sends it security events. */
  transmitter: EventTransmitter & { isTyped: boolean };
  /** How subjects spell an issuer, and how ID tokens do. */
  subjectIssuer: { of: string; is: string } | null;
  /** Accepted besides the client id. */
  audiences: readonly string[];
  settings: SignalSettings;
}

export interface SignalReceivers {
  /** Undefined: it receives no signals. Rejects with `StoreError`. */
  find(integration: string): Promise<SignalReceiver | undefined>;
  /** All that have this transmitter: one stream may be for several clients. */
  ofTransmitter(transmitter: EventTransmitter): Promise<SignalReceiver[]>;
  /** Those whose transmitter is polled. */
  polled(): Promise<SignalReceiver[]>;
  /** What an admin has set; undefined: nothing. Read from the store now. */
  stored(integration: string): Promise<SignalSettings | undefined>;
  encrypted(integration: string, settings: SignalSettings): Ciphertext;
  url(integration: string): string;
  /** To be called when an integration may have changed. */
  invalidate(): void;
}

interface Parts {
  store: Pick<Store, 'integrations' | 'receiverSettings'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  catalogue: ReadonlyMap<string, Provider>;
  publicUrl: string;
  log: Logger;
}

const contextOf = (integration: string) => ({ row: `receiver_settings/${integration}`, column: 'signals' });

export function createSignalReceivers({ store, vault, catalogue, publicUrl, log }: Parts): SignalReceivers {
  const { get: all, forget: invalidate } = remembered(readAll);
  const url = (integration: string) => `${publicUrl}/signals/${integration}`;

  function decrypted(integration: string, signals: Ciphertext): SignalSettings | undefined {
    try {
      return JSON.parse(vault.decrypt(signals, contextOf(integration))) as SignalSettings;
    } catch (error) {
      if (!(error instanceof VaultError) && !(error instanceof SyntaxError)) throw error;
      log.error({ integration, err: error }, 'signals: the settings of an integration do not decrypt, set them again');
      return undefined;
    }
  }

  async function readSettings(): Promise<Map<string, SignalSettings | undefined>> {
    const rows = await store.receiverSettings();
    return new Map(
      rows.flatMap(({ integration, signals }) =>
        signals === null ? [] : [[integration, decrypted(integration, signals)] as const],
      ),
    );
  }

  /** Undefined: no one sends it anything that could be verified. */
  function receiverOf(integration: Integration, set: SignalSettings): SignalReceiver | undefined {
    const { id, clientId, provider: name, params } = integration;
    const provider = catalogue.get(name);
    if (integration.isAuthentic === false || !provider || !authMode(provider, params)) return undefined;
    const issuer = trustedIssuerOf(resolveTarget(provider, integration, NO_SECRETS, {}));
    const data = transmitterOf(provider);
    const transmits = set.issuer ?? data?.issuer ?? issuer;
    if (transmits === null) return undefined;
    const jwksUri = set.jwks_uri ?? (set.issuer === undefined ? data?.jwks_uri : undefined);
    return {
      integration: id,
      provider: name,
      clientId,
      issuer,
      transmitter: { issuer: transmits, ...(jwksUri !== undefined && { jwksUri }), isTyped: data?.typed ?? true },
      subjectIssuer: data?.subject_issuer === undefined ? null : { of: transmits, is: data.subject_issuer },
      audiences: [url(id), ...(set.audience === undefined ? [] : [set.audience])],
      settings: set,
    };
  }

  async function readAll(): Promise<Map<string, SignalReceiver>> {
    const settings = await readSettings();
    const receivers = new Map<string, SignalReceiver>();
    let after: string | undefined;
    do {
      const page = await store.integrations({ limit: 500, after });
      for (const integration of page.data) {
        const { id } = integration;
        // What an admin has set and cannot be read any more is not replaced by less.
        if (settings.has(id) && settings.get(id) === undefined) continue;
        const receiver = receiverOf(integration, settings.get(id) ?? {});
        if (receiver) receivers.set(id, receiver);
      }
      after = page.next ?? undefined;
    } while (after !== undefined);
    return receivers;
  }

  return {
    find: async (integration) => (await all()).get(integration),
    async ofTransmitter({ issuer, jwksUri }) {
      return [...(await all()).values()].filter(
        ({ transmitter }) => transmitter.issuer === issuer && transmitter.jwksUri === jwksUri,
      );
    },
    polled: async () => [...(await all()).values()].filter(({ settings }) => settings.poll_url !== undefined),
    stored: async (integration) => (await readSettings()).get(integration),
    encrypted: (integration, settings) => vault.encrypt(JSON.stringify(settings), contextOf(integration)),
    url,
    invalidate,
  };
}
