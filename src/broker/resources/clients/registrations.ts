// Clients that are registered at the authorization servers of resources (RFC 7591): one for an integration and issuer, encrypted in
// the store, and registered by one process of all.
import { setTimeout as pause } from 'node:timers/promises';
import type { Ciphertext } from '../../../domain/connection.ts';
import type { ServerMetadata, SourceClient } from '../../../domain/grant-source.ts';
import {
  REGISTRATION_CLAIM_MS,
  REGISTRATION_MARGIN_MS,
  REGISTRATION_POLL_MS,
  REGISTRATION_WAIT_MS,
} from '../../../domain/time-limits.ts';
import {
  type ClientRegistration,
  type Clock,
  type Logger,
  type ProviderFault,
  type ProviderResult,
  type ResourceDiscovery,
  type Store,
  type Vault,
  VaultError,
} from '../../../ports/index.ts';
import type { Access } from '../../audit/index.ts';
import { digest, newId } from '../../secrets/index.ts';

export type Registered = Extract<SourceClient, { kind: 'registered' }>;

/** Where a client is registered, and with what. */
export interface RegistrationPlace {
  integration: string;
  server: ServerMetadata;
  redirectUri: string;
}

export interface Registrations {
  /** The stored client, or a new one where there is none that can be used for some time yet. Rejects with `StoreError`. */
  clientFor(place: RegistrationPlace): Promise<ProviderResult<Registered>>;
  /** The client in place of one that the server does not know: registered now, unless another was since. */
  replace(place: RegistrationPlace, refused: string): Promise<ProviderResult<Registered>>;
}

/** The content of the encrypted record. */
interface StoredClient {
  client: Registered;
  redirectUri: string;
  registeredAt: number;
  expiresAt: number | null;
}

export interface RegistrationParts {
  store: Pick<Store, 'clientRegistration' | 'claimRegistration' | 'storeRegistration' | 'releaseRegistration'>;
  vault: Pick<Vault, 'encrypt' | 'decrypt'>;
  discovery: Pick<ResourceDiscovery, 'register'>;
  access: Pick<Access, 'recordSystem'>;
  appName: string;
  publicUrl: string;
  clock: Clock;
  log: Logger;
}

const contextOf = (id: string) => ({ row: `client_registrations/${id}`, column: 'client' });

export function createRegistrations(parts: RegistrationParts): Registrations {
  const { store, vault, discovery, access, appName, publicUrl, clock, log } = parts;
  /** One at a time in this process. */
  const inFlight = new Map<string, Promise<ProviderResult<Registered>>>();

  const idOf = ({ integration, server }: RegistrationPlace) => `${integration}/${digest(server.issuer)}`;

  /** Undefined: there is none, or it does not open with the keys of this ring. */
  function opened({ id, client }: ClientRegistration): StoredClient | undefined {
    if (client === null) return undefined;
    try {
      return JSON.parse(vault.decrypt(client, contextOf(id))) as StoredClient;
    } catch (error) {
      if (!(error instanceof VaultError)) throw error;
      log.warn({ err: error, registration: id }, 'registration: the stored client does not open, registering again');
      return undefined;
    }
  }

  /** A secret is replaced some time before it expires, or after half of a shorter life. */
  function isUsable(stored: StoredClient, place: RegistrationPlace, refused: string | undefined): boolean {
    const { client, redirectUri, registeredAt, expiresAt } = stored;
    if (client.id === refused || redirectUri !== place.redirectUri) return false;
    if (expiresAt === null) return true;
    return clock.now() < expiresAt - Math.min(REGISTRATION_MARGIN_MS, (expiresAt - registeredAt) / 2);
  }

  async function register(place: RegistrationPlace, id: string, by: string): Promise<ProviderResult<Registered>> {
    const { integration, server, redirectUri } = place;
    const answer = await discovery.register(server, { name: appName, uri: publicUrl, redirectUri });
    if (!answer.ok) return answer;
    const { client, expiresAt } = answer.value;
    const now = clock.now();
    const content: StoredClient = { client, redirectUri, registeredAt: now, expiresAt };
    const encrypted: Ciphertext = vault.encrypt(JSON.stringify(content), contextOf(id));
    const audit = access.recordSystem('integration.client_registered', { integration, detail: server.issuer });
    if (await store.storeRegistration(id, by, encrypted, now, audit)) {
      log.info({ integration, issuer: server.issuer, client: client.id }, 'registration: client registered');
      return { ok: true, value: client };
    }
    log.warn({ integration, issuer: server.issuer }, 'registration: took too long, another process registers');
    return { ok: false, fault: unavailable(server) };
  }

  async function find(place: RegistrationPlace, refused: string | undefined): Promise<ProviderResult<Registered>> {
    const id = idOf(place);
    const { integration, server } = place;
    const until = clock.monotonic() + REGISTRATION_WAIT_MS;
    for (;;) {
      const row = await store.clientRegistration(id);
      const stored = row && opened(row);
      if (stored && isUsable(stored, place, refused)) return { ok: true, value: stored.client };
      const now = clock.now();
      const by = newId('reg', now);
      const version = row?.version ?? 0;
      const claim = { by, now, until: now + REGISTRATION_CLAIM_MS };
      if (await store.claimRegistration({ id, integration, issuer: server.issuer, version }, claim)) {
        try {
          return await register(place, id, by);
        } finally {
          await store.releaseRegistration(id, by);
        }
      }
      if (clock.monotonic() >= until) return { ok: false, fault: unavailable(server) };
      await pause(REGISTRATION_POLL_MS);
    }
  }

  /** Those who want the same share it; a client that is refused is none for those who come later either. */
  function shared(place: RegistrationPlace, refused?: string): Promise<ProviderResult<Registered>> {
    const key = JSON.stringify([idOf(place), place.redirectUri, refused]);
    const running = inFlight.get(key);
    if (running) return running;
    const work = find(place, refused).finally(() => inFlight.delete(key));
    inFlight.set(key, work);
    return work;
  }

  return { clientFor: (place) => shared(place), replace: shared };
}

const unavailable = ({ issuer }: ServerMetadata): ProviderFault => ({
  kind: 'transient',
  code: 'registration_under_way',
  detail: `another process registers the client at ${issuer}, or could not finish`,
  retryAfter: undefined,
  outcomeUnknown: false,
});
