// Clients that are registered at the authorization servers of resources (RFC 7591): one for an integration and issuer, encrypted in
// the store, and registered by one process of all.
import { setTimeout as pause } from 'node:timers/promises';
import type { Ciphertext } from '../../../domain/connection.ts';
import type { ServerMetadata, SourceClient } from '../../../domain/grant-source.ts';
import {
  REGISTRATION_CLAIM_MS,
  REGISTRATION_MARGIN_MS,
  REGISTRATION_POLL_MS,
  REGISTRATION_TOUCH_MS,
  REGISTRATION_WAIT_MS,
  REGISTRATION_WINDOW_MS,
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
import { createRegistrationLimits, REGISTRATIONS_OF_INTEGRATION, type Registering } from './registration-limits.ts';

export type Registered = Extract<SourceClient, { kind: 'registered' }>;

/** Where a client is registered, and with what. */
export interface RegistrationPlace {
  integration: string;
  server: ServerMetadata;
  redirectUri: string;
  /** For whose connection; undefined: for one that is there. What an owner causes is limited. */
  owner?: string | undefined;
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
  store: Pick<
    Store,
    'clientRegistration' | 'claimRegistration' | 'storeRegistration' | 'releaseRegistration' | 'touchRegistration'
  >;
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
  const limits = createRegistrationLimits(clock);

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
    const { integration, server, owner } = place;
    const { issuer } = server;
    const one: Registering = { integration, issuer, owner };
    const until = clock.monotonic() + REGISTRATION_WAIT_MS;
    for (;;) {
      const row = await store.clientRegistration(id);
      const stored = row && opened(row);
      const now = clock.now();
      if (stored && isUsable(stored, place, refused)) {
        if (row.updatedAt < now - REGISTRATION_TOUCH_MS) await store.touchRegistration(id, now);
        return { ok: true, value: stored.client };
      }
      const reached = limits.reached(one);
      if (reached) return { ok: false, fault: tooMany(place, SCOPES[reached.scope], reached.waitMs) };
      const by = newId('reg', now);
      const version = row?.version ?? 0;
      const claim = { by, now, until: now + REGISTRATION_CLAIM_MS };
      const bounds = { ...REGISTRATIONS_OF_INTEGRATION, since: now - REGISTRATION_WINDOW_MS };
      const claimed = await store.claimRegistration({ id, integration, issuer, version }, claim, bounds);
      if (claimed === 'too_many')
        return { ok: false, fault: tooMany(place, SCOPES.integration, REGISTRATION_WINDOW_MS) };
      if (claimed === 'claimed') {
        limits.count(one);
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

const SCOPES = { integration: 'this integration', owner: 'this owner', issuer: 'this authorization server' };

const tooMany = ({ server }: RegistrationPlace, whose: string, waitMs: number): ProviderFault => ({
  kind: 'transient',
  code: 'too_many_registrations',
  detail: `no client is registered at ${server.issuer} now: there were too many registrations for ${whose} within an hour`,
  retryAfter: Math.ceil(waitMs / 1_000),
  outcomeUnknown: false,
});

const unavailable = ({ issuer }: ServerMetadata): ProviderFault => ({
  kind: 'transient',
  code: 'registration_under_way',
  detail: `another process registers the client at ${issuer}, or could not finish`,
  retryAfter: undefined,
  outcomeUnknown: false,
});
