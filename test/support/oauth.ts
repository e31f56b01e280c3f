// The OAuth adapter as it really runs, and one connect flow through it.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeEach } from 'vitest';
import { type CookieJar, walkThrough } from '../../demo/browser.ts';
import { signAssertion } from '../../src/adapters/jwt/sign.ts';
import { createJwtVerifier } from '../../src/adapters/jwt/verify.ts';
import { createProviderClient } from '../../src/adapters/oauth/provider-client.ts';
import { createOutbound } from '../../src/adapters/outbound/outbound.ts';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import type { Identity } from '../../src/domain/connection.ts';
import { Provider } from '../../src/domain/provider.ts';
import { NO_SECRETS, resolveTarget, type Target } from '../../src/domain/target.ts';
import type { Clock, ProviderClient, ProviderFault, ProviderResult, TokenResponse } from '../../src/ports/index.ts';
import { type Received, type Scripted, type ScriptedServer, startScriptedServer } from './scripted-server.ts';

export const REDIRECT_URI = 'http://127.0.0.1:1/oauth2/callback/acme';

export interface Adapter {
  client: ProviderClient;
  /** Moves the clock. */
  advance(ms: number): void;
  now(): number;
  close(): Promise<void>;
}

/** `keys`: what stands in for the signature check; by default the real one. */
export function startAdapter(
  options: { timeoutMs?: number; keys?: () => Promise<'valid' | 'invalid' | 'unavailable'> } = {},
): Adapter {
  let moved = 0;
  const clock: Clock = { now: () => Date.now() + moved, monotonic: () => performance.now() + moved };
  const outbound = createOutbound({ allow: ['127.0.0.1', 'localhost'], timeoutMs: options.timeoutMs ?? 5_000 });
  const jwts = createJwtVerifier({ fetch: outbound, clock });
  return {
    client: createProviderClient({
      outbound,
      clock,
      signAssertion,
      verifyIdTokenSignature: options.keys ?? jwts.verifySignature,
    }),
    advance: (ms) => {
      moved += ms;
    },
    now: clock.now,
    close: () => outbound.close(),
  };
}

/** For a whole test file: the adapter, and a server that answers as told. Each test finds `received` empty. */
export async function standUp(
  answer: (request: Received) => Scripted,
): Promise<{ server: ScriptedServer; adapter: Adapter }> {
  const server = await startScriptedServer(answer);
  const adapter = startAdapter();
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

/** An integration of a built-in provider, or of an entry given as JSON. */
export function targetOf(provider: string | object, settings: Settings = {}): Target {
  const integration = {
    id: 'acme',
    version: 1,
    clientId: settings.clientId ?? 'client',
    keyId: null,
    params: settings.params ?? {},
    overrides: settings.overrides ?? {},
  };
  const secret = settings.clientSecret === undefined ? 'client-secret' : settings.clientSecret;
  return resolveTarget(entryOf(provider), integration, { ...NO_SECRETS, secret }, {});
}

const ACME = {
  id: 'acme',
  name: 'Acme',
  category: 'generic',
  docs_url: 'https://acme.test/docs',
  confidence: 'unverified',
};

function entryOf(provider: string | object): Provider {
  if (typeof provider === 'object') return Provider.parse({ ...ACME, ...provider });
  const catalogue = loadCatalogue([]);
  const found = catalogue.ok ? catalogue.providers.get(provider) : undefined;
  if (!found) throw new Error(`no provider ${provider}`);
  return found;
}

/** The client, or what was imported, asks for itself. */
export const mint = (
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
export const refresh = (
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

export type Began = { url: string; expected: Parameters<ProviderClient['exchange']>[2] };

/** The authorization request, as the broker makes it. */
export async function begin(client: ProviderClient, target: Target, scopes = ['openid']): Promise<Began> {
  const request = { state: secret(), nonce: secret(), verifier: secret(), redirectUri: REDIRECT_URI, scopes };
  const { url, issuer } = unwrap(await client.authorizationUrl(target, request));
  return { url, expected: { ...request, issuer } };
}

/** What the browser brings back. */
export async function respond(
  began: Began,
  walk: { login?: string; cancel?: boolean; jar?: CookieJar } = {},
): Promise<URLSearchParams> {
  const { url } = await walkThrough(began.url, { ...walk, stopAt: REDIRECT_URI });
  if (!url.href.startsWith(REDIRECT_URI)) throw new Error(`the browser stayed at ${url.href}`);
  return url.searchParams;
}

/** The whole flow. */
export async function connect(client: ProviderClient, target: Target, scopes = ['openid']): Promise<TokenResponse> {
  const began = await begin(client, target, scopes);
  return unwrap(await client.exchange(target, await respond(began, { login: 'ada' }), began.expected));
}

export function unwrap<T>(result: ProviderResult<T>): T {
  if (!result.ok) throw new Error(`${result.fault.kind} ${result.fault.code}: ${result.fault.detail}`);
  return result.value;
}

export function faultOf(result: ProviderResult<unknown>): ProviderFault {
  if (result.ok) throw new Error('it succeeded');
  return result.fault;
}
