// A protected resource and its authorization server (RFC 9728, RFC 8414, RFC 7591), on two loopback servers, strict in what they
// take: every document and answer can be changed by a test.
import { createHash, randomUUID } from 'node:crypto';
import type { CookieJar } from '../../demo/browser.ts';
import { createCookieJar } from '../../demo/browser.ts';
import type { Json, TestBroker } from './broker.ts';
import { openLink, type Page, visit } from './owner-browser.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from './scripted-server.ts';

interface Grant {
  client: string;
  resource: string;
  /** Of a code. */
  challenge?: string;
  redirectUri?: string;
}

interface Client {
  id: string;
  secret: string | undefined;
  method: string;
  redirectUris: string[];
}

export interface AuthorizationServer {
  issuer: string;
  server: ScriptedServer;
  /** Merged over its metadata. */
  metadata: Json;
  clients: Map<string, Client>;
  /** The scopes of the last authorization request. */
  lastAuthorization: URLSearchParams;
  /** Requests to the token endpoint. */
  tokenRequests: URLSearchParams[];
  /** Answers instead of the server, where it returns something. */
  intercept: (request: ReceivedRequest) => ScriptedResponse | undefined | Promise<ScriptedResponse | undefined>;
  registrations(): ReceivedRequest[];
  /** Changes what the authorization response has. */
  respond: (response: URLSearchParams) => void;
  /** Merged over registration responses. */
  registered: Json;
}

export interface ResourceServer {
  /** Of the resource, `…/mcp`. */
  url: string;
  server: ScriptedServer;
  as: AuthorizationServer;
  /** The challenge of its 401; undefined: it has none. */
  challenge: string | undefined;
  /** By path: its metadata documents. */
  documents: Record<string, ScriptedResponse>;
  /** Answers instead of the resource, where it returns something. */
  intercept: (request: ReceivedRequest) => ScriptedResponse | undefined;
  close(): Promise<void>;
}

export async function startAuthorizationServer(path = ''): Promise<AuthorizationServer> {
  const codes = new Map<string, Grant>();
  const refreshTokens = new Map<string, Grant>();
  const state = {} as AuthorizationServer;
  const server = await startScriptedServer(async (request) => {
    const intercepted = await state.intercept(request);
    if (intercepted) return intercepted;
    const url = new URL(request.path, state.issuer);
    switch (url.pathname) {
      case `/.well-known/oauth-authorization-server${path}`:
        return { body: metadataOf(state) };
      case '/register':
        return register(state, request);
      case '/authorize':
        return authorize(state, url.searchParams, codes);
      case '/token':
        return token(state, request, codes, refreshTokens);
      case '/revoke':
        refreshTokens.delete(request.form.get('token') ?? '');
        return { status: 200 };
      default:
        return { status: 404 };
    }
  });
  return Object.assign(state, {
    issuer: `${server.url}${path}`,
    server,
    metadata: {},
    clients: new Map(),
    lastAuthorization: new URLSearchParams(),
    tokenRequests: [],
    intercept: () => undefined,
    registrations: () => server.received.filter(({ path: to }) => to === '/register'),
    respond: () => undefined,
    registered: {},
  });
}

export async function startResourceServer(as?: AuthorizationServer): Promise<ResourceServer> {
  const authorizationServer = as ?? (await startAuthorizationServer());
  const state = {} as ResourceServer;
  const server = await startScriptedServer((request) => {
    const intercepted = state.intercept(request);
    if (intercepted) return intercepted;
    const document = state.documents[request.path];
    if (document) return document;
    if (request.path.startsWith('/.well-known/')) return { status: 404 };
    if (!request.headers.authorization)
      return { status: 401, headers: state.challenge === undefined ? {} : { 'www-authenticate': state.challenge } };
    return { body: { jsonrpc: '2.0', id: 1, result: { tools: [] } } };
  });
  const url = `${server.url}/mcp`;
  return Object.assign(state, {
    url,
    server,
    as: authorizationServer,
    challenge: `Bearer resource_metadata="${server.url}/.well-known/oauth-protected-resource/mcp"`,
    documents: {
      '/.well-known/oauth-protected-resource/mcp': {
        body: { resource: url, authorization_servers: [authorizationServer.issuer] },
      },
    },
    intercept: () => undefined,
    async close() {
      await server.close();
      await authorizationServer.server.close();
    },
  });
}

const metadataOf = ({ issuer, server, metadata }: AuthorizationServer): Json => ({
  issuer,
  authorization_endpoint: `${server.url}/authorize`,
  token_endpoint: `${server.url}/token`,
  registration_endpoint: `${server.url}/register`,
  revocation_endpoint: `${server.url}/revoke`,
  response_types_supported: ['code'],
  code_challenge_methods_supported: ['S256'],
  token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
  authorization_response_iss_parameter_supported: true,
  ...metadata,
});

function register(state: AuthorizationServer, { body }: ReceivedRequest): ScriptedResponse {
  const asked = JSON.parse(body) as Json;
  const method = String(asked.token_endpoint_auth_method);
  const client: Client = {
    id: `client-${state.clients.size + 1}-${randomUUID()}`,
    secret: method === 'none' ? undefined : `secret-${randomUUID()}`,
    method,
    redirectUris: asked.redirect_uris as string[],
  };
  state.clients.set(client.id, client);
  return {
    status: 201,
    body: {
      ...asked,
      client_id: client.id,
      client_secret: client.secret,
      client_secret_expires_at: 0,
      ...state.registered,
    },
  };
}

function authorize(state: AuthorizationServer, request: URLSearchParams, codes: Map<string, Grant>): ScriptedResponse {
  state.lastAuthorization = request;
  const client = state.clients.get(request.get('client_id') ?? '');
  const redirectUri = request.get('redirect_uri') ?? '';
  if (!client?.redirectUris.includes(redirectUri)) return { status: 400, body: 'unknown client or redirect URI' };
  if (request.get('code_challenge_method') !== 'S256') return { status: 400, body: 'no PKCE' };
  const code = randomUUID();
  codes.set(code, {
    client: client.id,
    challenge: request.get('code_challenge') ?? '',
    resource: request.get('resource') ?? '',
    redirectUri,
  });
  const response = new URLSearchParams({ code, state: request.get('state') ?? '', iss: state.issuer });
  state.respond(response);
  return { status: 302, headers: { location: `${redirectUri}?${response}` } };
}

function token(
  state: AuthorizationServer,
  { form, headers }: ReceivedRequest,
  codes: Map<string, Grant>,
  refreshTokens: Map<string, Grant>,
): ScriptedResponse {
  state.tokenRequests.push(form);
  const client = clientOf(state, form, headers.authorization);
  if (!client) return { status: 401, body: { error: 'invalid_client' } };
  const granted =
    form.get('grant_type') === 'authorization_code'
      ? codes.get(form.get('code') ?? '')
      : refreshTokens.get(form.get('refresh_token') ?? '');
  codes.delete(form.get('code') ?? '');
  refreshTokens.delete(form.get('refresh_token') ?? '');
  if (granted?.client !== client.id || granted.resource !== form.get('resource'))
    return { status: 400, body: { error: 'invalid_grant' } };
  if (granted.challenge !== undefined) {
    const verifier = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (granted.challenge !== verifier || granted.redirectUri !== form.get('redirect_uri'))
      return { status: 400, body: { error: 'invalid_grant' } };
  }
  const refresh = `rt-${randomUUID()}`;
  refreshTokens.set(refresh, { client: client.id, resource: granted.resource });
  return {
    body: { access_token: `at-${randomUUID()}`, refresh_token: refresh, token_type: 'Bearer', expires_in: 3_600 },
  };
}

/** As its method says, and with no more than that: an empty secret is wrong. */
function clientOf(state: AuthorizationServer, form: URLSearchParams, header: string | undefined): Client | undefined {
  const [id = '', secret] = header?.startsWith('Basic ')
    ? Buffer.from(header.slice(6), 'base64').toString().split(':').map(decodeURIComponent)
    : [form.get('client_id') ?? '', form.get('client_secret') ?? undefined];
  const method = header ? 'client_secret_basic' : secret === undefined ? 'none' : 'client_secret_post';
  const client = state.clients.get(id);
  return client && client.method === method && client.secret === secret ? client : undefined;
}

/** Walks the link through the authorization server and back; returns where it ended. */
export async function walk(
  url: string,
  filled: Json = {},
  jar: CookieJar = createCookieJar(),
  change: (callback: string) => string = (callback) => callback,
): Promise<Page> {
  const begun = await openLink(url, jar, filled as Record<string, string>);
  if (begun.location === null) return begun;
  const authorized = await fetch(begun.location, { redirect: 'manual' });
  const back = authorized.headers.get('location');
  if (back === null)
    return { status: authorized.status, headers: authorized.headers, text: await authorized.text(), location: null };
  return visit(change(back), jar);
}

/** Connects an owner, and returns the id of the connection. */
export async function connectResource(
  broker: TestBroker,
  integration: string,
  owner: string,
  more: Json = {},
): Promise<string> {
  const { body } = await broker.ask('POST', '/v1/connect-sessions', { integration, owner, ...more });
  const page = await walk(String(body.url));
  const session = await broker.ask('GET', `/v1/connect-sessions/${body.id}`);
  if (session.body.status !== 'completed')
    throw new Error(
      `${JSON.stringify(body)} ${JSON.stringify(session.body)} ${page.status} ${page.text.slice(0, 500)}`,
    );
  return String(session.body.connection_id);
}
