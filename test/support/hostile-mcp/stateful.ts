// An MCP server of the older revision at its strictest: sessions that `initialize` begins, and answers as event streams.
import { randomUUID } from 'node:crypto';
import type { McpServer } from './mcp-server.ts';
import { json, raw } from './site.ts';

/** Makes the server so; those that have connected stay connected. */
export function serveStateful(mcp: McpServer): void {
  const sessions = new Map<string, { isReady: boolean }>();
  mcp.revision = '2025-11-25';
  mcp.site.on(new URL(mcp.url).pathname, (request, response) => {
    const { headers, method: verb } = request;
    const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? '';
    const isKnown = mcp.authorizationServers.some((server) => server.scopesOf(token, mcp.url) !== undefined);
    if (!isKnown) return raw('', 401)(request, response);
    // There is no stream of its own to listen to; a session that is deleted is gone.
    if (verb === 'DELETE') sessions.delete(String(headers['mcp-session-id']));
    if (verb !== 'POST') return raw('', verb === 'DELETE' ? 200 : 405)(request, response);
    if (!/application\/json.*text\/event-stream/.test(headers.accept ?? '')) return raw('', 406)(request, response);
    const { id, method } = mcp.message(request);
    const refuse = (message: string) =>
      json({ jsonrpc: '2.0', id: null, error: { code: -32_000, message } }, 400)(request, response);
    const stream = (result: object, more: Record<string, string> = {}) => {
      const notice = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'working' } };
      const lines = [
        'id: 1\ndata: \n',
        ...[notice, { jsonrpc: '2.0', id, result }].map((one) => `data: ${JSON.stringify(one)}\n`),
      ];
      return raw(lines.map((line) => `${line}\n`).join(''), 200, { 'content-type': 'text/event-stream', ...more })(
        request,
        response,
      );
    };
    if (method === 'initialize') {
      const session = randomUUID();
      sessions.set(session, { isReady: false });
      const serverInfo = { name: 'stateful', version: '1' };
      return stream(
        { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo },
        { 'mcp-session-id': session },
      );
    }
    if (headers['mcp-protocol-version'] !== '2025-11-25') return refuse('Unsupported protocol version');
    const session = sessions.get(String(headers['mcp-session-id']));
    if (session === undefined) return refuse('No valid session ID');
    if (method === 'notifications/initialized') session.isReady = true;
    if (id === undefined) return raw('', 202)(request, response);
    if (!session.isReady) return refuse('Not initialized');
    if (method === 'tools/call') return stream({ content: [{ type: 'text', text: 'called' }] });
    return stream({ tools: [{ name: 'test-tool', inputSchema: { type: 'object' } }] });
  });
}
