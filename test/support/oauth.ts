// The real OAuth adapter, and its calls for one connect flow.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeEach } from 'vitest';
import { type CookieJar, walkThrough } from '../../demo/browser.ts';
import { signAssertion } from '../../src/adapters/jwt/sign.ts';
import { createJwtVerifier } from '../../src/adapters/jwt/verify.ts';
import { createProviderClient } from '../../src/adapters/oauth/provider-client.ts';
import { createOutbound } from '../../src/adapters/outbound/outbound.ts';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import type { Identity } from '../../src/domain/connection.ts';
import { Provider } from '../../src/domain/provider-schema.ts';
import { NO_SECRETS, resolveTarget, type Target } from '../../src/domain/target.ts';
import type { Clock, ProviderClient, ProviderFault, ProviderResult, TokenResponse } from '../../src/ports/index.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from './scripted-server.ts';

export const REDIRECT_URI = 'http://127.0.0.1:1/oauth2/callback/acme';

export interface TestAdapter {
  client: ProviderClient;
  /** Moves the clocks; the monotonic one stands still otherwise. */
  advance(ms: number): void;
  now(): number;
  close(): Promise<void>;
}

/** `verifySignature` replaces the signature check; by default the real one. */
export function startTestAdapter(
  options: { timeoutMs?: number; verifySignature?: () => Promise<'valid' | 'invalid' | 'unavailable'> } = {},
): TestAdapter {
  let offset = 0;
  const clock: Clock = { now: () => Date.now() + offset, monotonic: () => offset };
  const outbound = createOutbound({ allow: ['127.0.0.1', 'localhost'], timeoutMs: options.timeoutMs ?? 5_000 });
  const jwts = createJwtVerifier({ fetch: outbound, clock });
  return {
    client: createProviderClient({
      outbound,
      clock,
      refreshDeadlineMs: options.timeoutMs,
      signAssertion,
      clientAssertions: { algorithm: async () => 'ES256', sign: async () => 'signed' },
      verifyIdTokenSignature: options.verifySignature ?? jwts.verifySignature,
    }),
    advance: (ms) => {
      offset += ms;
    },
    now: clock.now,
    close: () => outbound.close(),
  };
}

/** Starts the adapter and a scripted server for a whole test file. `received` is empty at the start of each test. */
export async function startAdapterWithServer(
  answer: (request: ReceivedRequest) => ScriptedResponse,
): Promise<{ server: ScriptedServer; adapter: TestAdapter }> {
  const server = await startScriptedServer(answer);
  const adapter = startTestAdapter();
  beforeEach(() => {
    server.received.length = 0;
  });
  afterAll(async () => {
    await adapter.close();
    await server.close();
  });
  return { server, adapter };
}

interface Settings {
  clientId?: string;
  clientSecret?: string | null;
  params?: Record<string, string>;
  overrides?: Record<string, string>;
}

/** The target of an integration: of a built-in provider, or of an entry as JSON. */
export function createTarget(provider: string | object, settings: Settings = {}): Target {
  const integration = {
    id: 'acme',
    version: 1,
    clientId: settings.clientId ?? 'client',
    keyId: null,
    params: settings.params ?? {},
    overrides: settings.overrides ?? {},
  };
  const secret = settings.clientSecret === undefined ? 'client-secret' : settings.clientSecret;
  return resolveTarget(findEntry(provider), integration, { ...NO_SECRETS, secret }, {});
}

const ACME = {
  id: 'acme',
  name: 'Acme',
  category: 'generic',
  docs_url: 'https://acme.test/docs',
  confidence: 'unverified',
};

function findEntry(provider: string | object): Provider {
  if (typeof provider === 'object') return Provider.parse({ ...ACME, ...provider });
  const catalogue = loadCatalogue([]);
  const found = catalogue.ok ? catalogue.providers.get(provider) : undefined;
  if (!found) throw new Error(`no provider ${provider}`);
  return found;
}

/** Mints a token from the client's or the imported credentials. */
export const mintToken = (
  client: ProviderClient,
  target: Target,
  credentials: string | null = null,
): Promise<ProviderResult<TokenResponse>> =>
  client.refresh(target, {
    credentials: { accessToken: null, refreshToken: null, idToken: null, credentials },
    identity: null,
    scopes: [],
    captured: {},
    redirectUri: REDIRECT_URI,
  });

/** Spends the refresh token. */
export const refreshTokens = (
  client: ProviderClient,
  target: Target,
  { refreshToken, identity = null }: { refreshToken: string; identity?: Identity | null },
): Promise<ProviderResult<TokenResponse>> =>
  client.refresh(target, {
    credentials: { accessToken: null, refreshToken, idToken: null, credentials: null },
    identity,
    scopes: [],
    captured: {},
    redirectUri: REDIRECT_URI,
  });

const secret = () => randomBytes(32).toString('base64url');

export type StartedAuthorization = { url: string; expected: Parameters<ProviderClient['exchange']>[2] };

/** Builds an authorization request as the broker does. */
export async function startAuthorization(
  client: ProviderClient,
  target: Target,
  scopes = ['openid'],
  optionalScopes: readonly string[] = [],
): Promise<StartedAuthorization> {
  const request = { state: secret(), nonce: secret(), verifier: secret(), redirectUri: REDIRECT_URI };
  const asked = { ...request, scopes, optionalScopes };
  const { url, issuer, scopes: sent } = unwrap(await client.authorizationUrl(target, asked));
  return { url, expected: { ...request, issuer, scopes: sent } };
}

/** Browses through the provider, and returns the authorization response. */
export async function browseToResponse(
  started: StartedAuthorization,
  walk: { login?: string; cancel?: boolean; jar?: CookieJar } = {},
): Promise<URLSearchParams> {
  const { url } = await walkThrough(started.url, { ...walk, stopAt: REDIRECT_URI });
  if (!url.href.startsWith(REDIRECT_URI)) throw new Error(`the browser stayed at ${url.href}`);
  return url.searchParams;
}

/** The whole flow. */
export async function connect(client: ProviderClient, target: Target, scopes = ['openid']): Promise<TokenResponse> {
  const started = await startAuthorization(client, target, scopes);
  return unwrap(await client.exchange(target, await browseToResponse(started, { login: 'ada' }), started.expected));
}

export function unwrap<T>(result: ProviderResult<T>): T {
  if (!result.ok) throw new Error(`${result.fault.kind} ${result.fault.code}: ${result.fault.detail}`);
  return result.value;
}

export function expectFault(result: ProviderResult<unknown>): ProviderFault {
  if (result.ok) throw new Error('it succeeded');
  return result.fault;
}
