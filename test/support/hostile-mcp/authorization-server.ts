// A strict OAuth 2.1 authorization server whose every answer a test may change: metadata, registration, authorization
// response, tokens.
import { createHash, randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import type { Json } from '../broker.ts';
import type { Ledger } from './ledger.ts';
import { json, notFound, type Site, type SiteRequest, startSite } from './site.ts';

export interface Client {
  id: string;
  secret: string | undefined;
  /** `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`. */
  method: string;
  /** Where its keys are, of `private_key_jwt`. */
  jwksUri: string | undefined;
  redirectUris: string[] | undefined;
}

export interface AuthorizationServer {
  site: Site;
  issuer: string;
  /** Where the metadata is found. */
  metadataPath: string;
  /** Members of the metadata that differ; one that is undefined is omitted. */
  metadata: Json;
  /** Parameters of authorization responses that differ; null omits one. `error` replaces the code. */
  response: Record<string, string | null>;
  /** Members of registration responses that differ, as in `metadata`. */
  registered: Json;
  /** Members of token responses that differ, as in `metadata`. */
  tokens: Json;
  /** Whether refresh tokens are of one client alone; true. */
  bindsRefreshTokens: boolean;
  /** What time it is there. */
  now: () => Date;
  /** What was wrong with requests: a client without fault leaves it empty. */
  refused: string[];
  /** Of all authorization requests. */
  authorizations: URLSearchParams[];
  /** The bodies of all registrations. */
  registrations: Json[];
  /** The clients that are registered now. */
  clients: Map<string, Client>;
  addClient(client: Partial<Client> & { id: string }): void;
  /** The scopes of a valid access token for that resource. */
  scopesOf(accessToken: string, resource: string): string[] | undefined;
  /** The endpoint of that name in its metadata. */
  url(endpoint: 'authorize' | 'token' | 'register' | 'revoke'): string;
  /** The forms that its token endpoint was sent with this grant type. */
  spent(grantType: string): URLSearchParams[];
}

interface Grant {
  clientId: string;
  scope: string;
  resource: string | null;
}

/** `path` follows the origin in the issuer: empty, or as `/tenant`. `name` is in all that it issues. */
export async function startAuthorizationServer(ledger: Ledger, name: string, path = ''): Promise<AuthorizationServer> {
  const codes = new Map<string, Grant & { redirectUri: string | null; challenge: string | null }>();
  const assertions = new Set<string>();
  const refreshTokens = new Map<string, Grant>();
  const accessTokens = new Map<string, Grant>();
  const site = await startSite((request, response) => {
    if (request.path === it.metadataPath) return json(changed(metadata(), it.metadata))(request, response);
    if (request.path === `${path}/authorize`) return authorize(request, response);
    if (request.path === `${path}/register`) return register(request, response);
    if (request.path === `${path}/token`) return token(request, response);
    if (request.path === `${path}/revoke`) return revoke(request, response);
    return notFound(request, response);
  });
  ledger.watch(name, site);
  for (const endpoint of ['token', 'revoke']) ledger.endpoint(site, `${path}/${endpoint}`);

  const issue = (kind: string, ...endpoints: string[]) =>
    ledger.issued(
      `${kind}-${name}-${randomBytes(16).toString('hex')}`,
      (at, request) => at === name && endpoints.some((endpoint) => request.path === `${path}/${endpoint}`),
    );
  /** It is for the MCP server, which this one does not know: nowhere else, but for its revocation. */
  const issueAccessToken = () =>
    ledger.issued(
      `at-${name}-${randomBytes(16).toString('hex')}`,
      (at, request) => at === 'mcp' || (at === name && request.path === `${path}/revoke`),
    );

  const metadata = (): Json => ({
    issuer: it.issuer,
    authorization_endpoint: it.url('authorize'),
    token_endpoint: it.url('token'),
    registration_endpoint: it.url('register'),
    revocation_endpoint: it.url('revoke'),
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    authorization_response_iss_parameter_supported: true,
  });

  function authorize({ query }: SiteRequest, response: ServerResponse): void {
    it.authorizations.push(query);
    const client = it.clients.get(query.get('client_id') ?? '');
    const redirectUri = query.get('redirect_uri');
    const faults = [
      ...(client === undefined ? ['unknown client'] : []),
      ...(client?.redirectUris && !client.redirectUris.includes(redirectUri ?? '') ? ['unknown redirect URI'] : []),
      ...(query.get('code_challenge_method') === 'S256' ? [] : ['no S256']),
      ...(query.get('response_type') === 'code' ? [] : ['another response type']),
      ...(query.get('resource') === null ? ['no resource'] : []),
      ...(query.getAll('resource').length > 1 ? ['two resources'] : []),
    ];
    if (faults.length > 0 || redirectUri === null) return void refuse(response, `authorize: ${faults.join(', ')}`);
    const code = issue('code', 'token');
    codes.set(code, {
      clientId: query.get('client_id') ?? '',
      scope: query.get('scope') ?? '',
      resource: query.get('resource'),
      redirectUri,
      challenge: query.get('code_challenge'),
    });
    const to = new URL(redirectUri);
    const usual = { state: query.get('state'), iss: it.issuer, ...('error' in it.response ? {} : { code }) };
    for (const [member, value] of Object.entries({ ...usual, ...it.response }))
      if (value !== null) to.searchParams.set(member, value);
    response.writeHead(302, { location: to.href }).end();
  }

  function register(request: SiteRequest, response: ServerResponse): void {
    const asked = JSON.parse(request.body) as Json;
    it.registrations.push(asked);
    const method = String(asked.token_endpoint_auth_method ?? 'client_secret_basic');
    const usual = {
      client_id: `client-${name}-${randomBytes(8).toString('hex')}`,
      ...(method === 'none'
        ? {}
        : {
            client_secret: issue('secret', 'token', 'revoke'),
            client_secret_expires_at: 0,
            registration_access_token: issue('rat'),
          }),
      token_endpoint_auth_method: method,
      redirect_uris: asked.redirect_uris,
      grant_types: asked.grant_types,
      response_types: asked.response_types,
    };
    const answer = changed(usual, it.registered);
    if (typeof answer.client_id === 'string')
      it.addClient({
        id: answer.client_id,
        secret: answer.client_secret ? String(answer.client_secret) : undefined,
        jwksUri: undefined,
        method: answer.client_secret ? String(answer.token_endpoint_auth_method) : 'none',
        redirectUris: asked.redirect_uris as string[],
      });
    json(answer, 201)(request, response);
  }

  async function revoke(request: SiteRequest, response: ServerResponse): Promise<void> {
    const client = await authenticated(request);
    if (typeof client === 'string') return void refuse(response, `revoke: ${client}`, 'invalid_client', 401);
    json({})(request, response);
  }

  async function token(request: SiteRequest, response: ServerResponse): Promise<void> {
    const { form } = request;
    const client = await authenticated(request);
    if (typeof client === 'string') return void refuse(response, `token: ${client}`, 'invalid_client', 401);
    const grant = form.get('grant_type') === 'refresh_token' ? refreshed(form, client) : redeemed(form, client);
    if (typeof grant === 'string') return void refuse(response, `token: ${grant}`, 'invalid_grant');
    const access = issueAccessToken();
    const refresh = issue('rt', 'token', 'revoke');
    accessTokens.set(access, grant);
    refreshTokens.set(refresh, grant);
    const usual = { access_token: access, token_type: 'Bearer', expires_in: 3_600, refresh_token: refresh };
    json(changed({ ...usual, scope: grant.scope || undefined }, it.tokens))(request, response);
  }

  /** The client, or what is wrong. */
  async function authenticated({ headers, form }: SiteRequest): Promise<Client | string> {
    const basic = /^Basic (.+)$/i.exec(headers.authorization ?? '')?.[1];
    const [id = '', secret = ''] = basic
      ? Buffer.from(basic, 'base64').toString().split(':').map(decodeURIComponent)
      : [form.get('client_id') ?? '', form.get('client_secret') ?? ''];
    const client = it.clients.get(id);
    if (client === undefined) return 'unknown client';
    if (form.has('client_secret') && form.get('client_secret') === '') return 'an empty client secret';
    if (form.has('client_assertion')) return proven(client, form, headers);
    const method = basic ? 'client_secret_basic' : form.has('client_secret') ? 'client_secret_post' : 'none';
    if (method !== client.method) return `${method} for ${client.method}`;
    return secret === (client.secret ?? '') ? client : 'another secret';
  }

  /** RFC 7523 3: by a key of the client, for this issuer alone, once. */
  async function proven(
    client: Client,
    form: URLSearchParams,
    headers: SiteRequest['headers'],
  ): Promise<Client | string> {
    if (client.method !== 'private_key_jwt' || client.jwksUri === undefined) return `an assertion for ${client.method}`;
    if (headers.authorization !== undefined || form.has('client_secret')) return 'two methods';
    if (form.get('client_assertion_type') !== 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      return 'another assertion type';
    const keys = createLocalJWKSet((await (await fetch(client.jwksUri)).json()) as JSONWebKeySet);
    try {
      const { payload } = await jwtVerify(form.get('client_assertion') ?? '', keys, {
        ...{ issuer: client.id, subject: client.id, typ: 'client-authentication+jwt', currentDate: it.now() },
        requiredClaims: ['iat', 'exp', 'jti', 'aud'],
      });
      const { aud, jti = '', iat = 0, exp = 0 } = payload;
      if (aud !== it.issuer) return 'an assertion for another audience';
      if (exp - iat > 300) return 'an assertion that lives too long';
      if (assertions.has(jti)) return 'an assertion twice';
      assertions.add(jti);
      return client;
    } catch (error) {
      return `an assertion that is not valid: ${error}`;
    }
  }

  function redeemed(form: URLSearchParams, client: Client): Grant | string {
    const grant = codes.get(form.get('code') ?? '');
    codes.delete(form.get('code') ?? '');
    if (grant === undefined) return 'unknown code';
    if (grant.clientId !== client.id) return 'a code of another client';
    if (grant.redirectUri !== form.get('redirect_uri')) return 'another redirect URI';
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url');
    if (challenge !== grant.challenge) return 'another code verifier';
    return form.get('resource') === grant.resource ? grant : 'another resource';
  }

  function refreshed(form: URLSearchParams, client: Client): Grant | string {
    const grant = refreshTokens.get(form.get('refresh_token') ?? '');
    if (grant === undefined) return 'unknown refresh token';
    if (it.bindsRefreshTokens && grant.clientId !== client.id) return 'a refresh token of another client';
    if (form.get('resource') !== grant.resource) return 'another resource';
    refreshTokens.delete(form.get('refresh_token') ?? '');
    return grant;
  }

  function refuse(response: ServerResponse, what: string, error = 'invalid_request', status = 400): void {
    it.refused.push(what);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
  }

  const it: AuthorizationServer = {
    site,
    issuer: `${site.origin}${path}`,
    metadataPath: `/.well-known/oauth-authorization-server${path}`,
    metadata: {},
    response: {},
    registered: {},
    tokens: {},
    bindsRefreshTokens: true,
    now: () => new Date(),
    refused: [],
    authorizations: [],
    registrations: [],
    clients: new Map(),
    addClient: (client) =>
      void it.clients.set(client.id, {
        ...{ secret: undefined, method: 'none', jwksUri: undefined, redirectUris: undefined },
        ...client,
      }),
    scopesOf(accessToken, resource) {
      const grant = accessTokens.get(accessToken);
      return grant?.resource === resource ? grant.scope.split(' ').filter(Boolean) : undefined;
    },
    url: (endpoint) => `${site.origin}${path}/${endpoint}`,
    spent: (grantType) =>
      site
        .to(`${path}/token`)
        .filter(({ form }) => form.get('grant_type') === grantType)
        .map(({ form }) => form),
  };
  return it;
}

/** The object with these members changed. */
export const changed = (usual: Json, change: Json): Json => {
  const all = { ...usual, ...change };
  for (const [member, value] of Object.entries(all)) if (value === undefined) delete all[member];
  return all;
};
