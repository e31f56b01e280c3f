// A local OpenID Provider for the demo and the tests: a certified implementation, configured strictly (PKCE, single-use
// codes, rotating refresh tokens with reuse detection, `iss` in responses, revocation).
import { generateKeyPair, randomBytes, randomUUID, type webcrypto } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { type ClientMetadata, type Configuration, errors, Provider } from 'oidc-provider';
import { type AppRegistry, appsPage } from './provider-apps.ts';
import { createMemory, type Memory } from './provider-memory.ts';
import { consentPage, errorPage } from './provider-pages.ts';

export interface ProviderOptions {
  redirectUris?: string[];
  /** Additional clients, or all clients if there are no `redirectUris`. */
  clients?: ClientMetadata[];
  /** 0, the default, picks a free one. Always on 127.0.0.1. */
  port?: number;
  /** Whether refresh tokens rotate; then reuse of an old one revokes the grant. Default: true. */
  rotate?: boolean;
  /** Seconds. Default: 3600. */
  accessTokenTtl?: number;
  /** With an audience (an absolute URI), access tokens are JWTs for it; otherwise they are opaque. */
  audience?: string;
  /** Additional features. */
  features?: Pick<NonNullable<Configuration['features']>, 'clientCredentials' | 'dPoP'>;
  /** Overrides everything else. */
  configuration?: Configuration;
}

export interface LocalProvider {
  issuer: string;
  clientId: string;
  clientSecret: string;
  provider: Provider;
  /** Registers a client, for redirect URIs that are known only after the broker has started. */
  addClient(redirectUris: string[]): Promise<{ clientId: string; clientSecret: string }>;
  /** All owners withdraw their consent: every token becomes invalid. */
  withdrawGrants(): void;
  close(): Promise<void>;
}

const SCOPES = ['openid', 'offline_access', 'profile', 'email', 'calendar.read', 'calendar.write'];
let keyMade: Promise<webcrypto.JsonWebKey> | undefined;

/** One for all providers of a process: it takes a tenth of a second to make. */
function signingKey(): Promise<webcrypto.JsonWebKey> {
  keyMade ??= promisify(generateKeyPair)('rsa', { modulusLength: 2048 }).then(({ privateKey }) =>
    privateKey.export({ format: 'jwk' }),
  );
  return keyMade;
}

const isResourceScope = (scope: string) => scope.startsWith('calendar.');
const DAY_S = 24 * 60 * 60;

export async function startProvider(options: ProviderOptions = {}): Promise<LocalProvider> {
  const memory = createMemory();
  const server = createServer();
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(options.port ?? 0, '127.0.0.1', listening);
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const key = { ...(await signingKey()), alg: 'RS256', use: 'sig', kid: randomUUID() };
  const first = newClient(options.redirectUris ?? []);
  const clients = options.redirectUris ? [first, ...(options.clients ?? [])] : (options.clients ?? []);
  const provider = new Provider(issuer, {
    adapter: memory.open,
    clients,
    jwks: { keys: [key] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    scopes: SCOPES,
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    pkce: { required: () => true },
    rotateRefreshToken: options.rotate ?? true,
    // Always issue a refresh token, with or without `offline_access`.
    issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    findAccount: (_, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, name: id, email: `${encodeURIComponent(id)}@example.com`, email_verified: true }),
    }),
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: async (_, client, token) => token.clientId === client.clientId },
      introspection: { enabled: true, allowedPolicy: async (_, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: { enabled: false },
      ...(options.audience === undefined ? {} : { resourceIndicators: jwtAccessTokens(options.audience, options) }),
      ...options.features,
    },
    clientBasedCORS: () => false,
    renderError: (ctx, out) => {
      ctx.type = 'html';
      ctx.body = String(errorPage(out.error, out.error_description ?? ''));
    },
    ttl: {
      AccessToken: options.accessTokenTtl ?? 3600,
      ClientCredentials: options.accessTokenTtl ?? 3600,
      AuthorizationCode: 60,
      IdToken: options.accessTokenTtl ?? 3600,
      RefreshToken: 30 * DAY_S,
      Interaction: 3600,
      Session: DAY_S,
      Grant: 30 * DAY_S,
    },
    ...options.configuration,
  });

  const answer = provider.callback();
  const apps = createApps(memory);
  const respond = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    if (req.url?.startsWith('/interaction/')) return interact(provider, options.audience, req, res);
    const ours = await appsPage(apps, `${req.url}`, () => readForm(req));
    return ours === undefined ? answer(req, res) : send(res, 200, ours);
  };
  server.on('request', (req, res) => {
    respond(req, res).catch((error: unknown) => {
      // A stale page, a second submission, or a missing cookie.
      const known = error instanceof errors.OIDCProviderError;
      send(res, known ? 400 : 500, errorPage(known ? error.error : 'server_error', 'Please start again.'));
    });
  });

  return {
    issuer,
    clientId: clients[0]?.client_id ?? '',
    clientSecret: clients[0]?.client_secret ?? '',
    provider,
    addClient: async (redirectUris) => {
      const { clientId, clientSecret } = await apps.register(...redirectUris);
      return { clientId, clientSecret };
    },
    withdrawGrants: memory.withdrawGrants,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

function createApps(memory: Memory): AppRegistry {
  const clients = memory.open('Client');
  const known = new Map<string, ReturnType<typeof newClient>>();
  const store = async (client: ReturnType<typeof newClient>) => {
    known.set(client.client_id, client);
    await clients.upsert(client.client_id, client, 0);
    return { clientId: client.client_id, clientSecret: client.client_secret };
  };
  return {
    list: () =>
      [...known.values()].map((one) => ({ clientId: one.client_id, redirectUri: one.redirect_uris.join(', ') })),
    register: (...redirectUris) => store(newClient(redirectUris)),
    replaceSecret: async (clientId) => {
      const client = known.get(clientId);
      return client && (await store({ ...client, client_secret: newSecret() })).clientSecret;
    },
    withdrawGrants: memory.withdrawGrants,
  };
}

const newSecret = () => randomBytes(32).toString('base64url');

/** A confidential web client (RFC 6749 2.1). */
const newClient = (redirectUris: string[]) => ({
  client_id: `valetkey-${randomBytes(4).toString('hex')}`,
  client_secret: newSecret(),
  client_name: 'Valetkey',
  redirect_uris: redirectUris,
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code' as const],
});

/** RFC 8707 and 9068. */
const jwtAccessTokens = (audience: string, { accessTokenTtl = 3600 }: ProviderOptions) => ({
  enabled: true,
  defaultResource: () => audience,
  useGrantedResource: () => true,
  getResourceServerInfo: () => ({
    scope: SCOPES.filter(isResourceScope).join(' '),
    audience,
    accessTokenFormat: 'jwt' as const,
    accessTokenTTL: accessTokenTtl,
    jwt: { sign: { alg: 'RS256' as const } },
  }),
});

async function interact(
  provider: Provider,
  audience: string | undefined,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const { uid, params, session, prompt } = await provider.interactionDetails(req, res);
  const clientId = String(params.client_id);
  const scopes = String(params.scope ?? '')
    .split(' ')
    .filter(Boolean);
  const client = await provider.Client.find(clientId);
  // The signed-in account stays, unless the request asks for a new sign-in or another account.
  const account = ['login', 'select_account'].includes(prompt.name) ? undefined : session?.accountId;
  const show = (status: number) =>
    send(
      res,
      status,
      consentPage({ action: `/interaction/${uid}`, client: client?.clientName ?? clientId, scopes, account }),
    );
  if (req.method !== 'POST') return show(200);
  const form = await readForm(req);
  if (form.get('decision') === 'cancel') {
    const refusal = { error: 'access_denied', error_description: 'The owner cancelled the request.' };
    return provider.interactionFinished(req, res, refusal, { mergeWithLastSubmission: false });
  }
  const accountId = account ?? form.get('login')?.trim();
  if (!accountId) return show(400);
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scopes.join(' '));
  if (audience !== undefined) grant.addResourceScope(audience, scopes.filter(isResourceScope).join(' '));
  const result = { login: { accountId }, consent: { grantId: await grant.save() }, select_account: {} };
  await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
}

async function readForm(req: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

function send(res: ServerResponse, status: number, page: unknown): void {
  // No `form-action`: browsers would apply it to the redirect back to the client as well.
  const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
  const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' };
  res.writeHead(status, { ...headers, 'content-security-policy': policy }).end(String(page));
}
