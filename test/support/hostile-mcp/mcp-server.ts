// An MCP server (Streamable HTTP) as a protected resource, whose challenge and metadata a test may change.
import type { ServerResponse } from 'node:http';
import type { Json } from '../broker.ts';
import { type AuthorizationServer, changed } from './authorization-server.ts';
import type { Ledger } from './ledger.ts';
import { json, notFound, type Site, type SiteRequest, startSite } from './site.ts';

export type Revision = '2026-07-28' | '2025-11-25';

export interface McpServer {
  site: Site;
  /** `server_url` of an integration. */
  url: string;
  /** Whose tokens it takes; the first is in its metadata. */
  authorizationServers: AuthorizationServer[];
  revision: Revision;
  /** Where the metadata is found. */
  metadataPath: string;
  /** Members of the metadata that differ; one that is undefined is omitted. */
  metadata: Json;
  /** The value of `WWW-Authenticate` of a 401; undefined: none. */
  challenge: () => string | string[] | undefined;
  /** The scopes that a method demands. */
  scopes: Record<string, string[]>;
  /** The requests without a token, which an unknown client makes. */
  probes(): SiteRequest[];
  /** The JSON-RPC message of a request. */
  message(request: SiteRequest): Json;
  /** Calls it as an agent does. */
  call(method: string, accessToken: string): Promise<{ status: number; wwwAuthenticate: string | null }>;
}

export async function startMcpServer(ledger: Ledger, first: AuthorizationServer, path = '/mcp'): Promise<McpServer> {
  const site = await startSite((request, response) => {
    if (request.path === it.metadataPath) return json(changed(metadata(), it.metadata))(request, response);
    if (request.path === path) return serve(request, response);
    return notFound(request, response);
  });
  ledger.watch('mcp', site);

  const metadata = (): Json => ({
    resource: it.url,
    authorization_servers: [it.authorizationServers[0]?.issuer],
    bearer_methods_supported: ['header'],
  });

  function serve(request: SiteRequest, response: ServerResponse): void {
    if (request.method !== 'POST') return void response.writeHead(405).end();
    const { id, method } = it.message(request);
    const version = request.headers['mcp-protocol-version'];
    const answer = (status: number, body: Json, headers = {}) =>
      json({ jsonrpc: '2.0', id, ...body }, status, headers)(request, response);
    // A server of the older revision knows neither the header's value nor the method.
    if (it.revision === '2025-11-25' && version === '2026-07-28')
      return void answer(400, { error: { code: -32_000, message: 'Bad Request: Unsupported protocol version' } });
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const granted = token === undefined ? undefined : scopesOf(token);
    if (granted === undefined) {
      const challenge = it.challenge();
      if (challenge !== undefined) response.setHeader('www-authenticate', challenge);
      return void answer(401, { error: { code: -32_001, message: 'unauthorized' } });
    }
    const missing = (it.scopes[String(method)] ?? []).filter((scope) => !granted.includes(scope));
    if (id === undefined) return void response.writeHead(202).end();
    if (missing.length === 0) return void answer(200, { result: resultOf(String(method)) });
    const challenge = `Bearer error="insufficient_scope", scope="${missing.join(' ')}", resource_metadata="${site.origin}${it.metadataPath}"`;
    answer(403, { error: { code: -32_001, message: 'forbidden' } }, { 'www-authenticate': challenge });
  }

  const resultOf = (method: string): Json => {
    const capabilities = { tools: {} };
    const serverInfo = { name: 'hostile', version: '1' };
    if (method === 'initialize') return { protocolVersion: it.revision, capabilities, serverInfo };
    if (method === 'tools/call') return { resultType: 'complete', content: [{ type: 'text', text: 'called' }] };
    const cacheable = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' };
    if (method === 'server/discover') return { ...cacheable, supportedVersions: [it.revision], capabilities };
    return { ...cacheable, tools: [{ name: 'test-tool', inputSchema: { type: 'object' } }] };
  };

  const scopesOf = (token: string) =>
    it.authorizationServers
      .map((server) => server.scopesOf(token, String(changed(metadata(), it.metadata).resource)))
      .find((scopes) => scopes !== undefined);

  const it: McpServer = {
    site,
    url: `${site.origin}${path}`,
    authorizationServers: [first],
    revision: '2026-07-28',
    metadataPath: `/.well-known/oauth-protected-resource${path}`,
    metadata: {},
    challenge: () => `Bearer resource_metadata="${site.origin}${it.metadataPath}"`,
    scopes: {},
    probes: () => site.to(path).filter(({ headers }) => headers.authorization === undefined),
    message: ({ body }) => JSON.parse(body) as Json,
    async call(method, accessToken) {
      const _meta = {
        'io.modelcontextprotocol/protocolVersion': it.revision,
        'io.modelcontextprotocol/clientCapabilities': {},
      };
      const response = await fetch(it.url, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${accessToken}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': it.revision,
          'mcp-method': method,
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { _meta } }),
      });
      await response.text();
      return { status: response.status, wwwAuthenticate: response.headers.get('www-authenticate') };
    },
  };
  return it;
}
