// The official MCP client with a token that it was given: lists the tools of a server and calls the first one.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

/** The last answer that refused the token. */
export interface Challenge {
  status: number;
  www_authenticate: string;
}

export type Called = { ok: true; tools: string[]; answer: unknown } | { ok: false; challenge: Challenge };

/**
 * Rejects when it fails without a challenge. `revision`: of the protocol; those before 2026-07-28 begin with `initialize`.
 * `headers` are added to each request.
 */
export async function callFirstTool(
  serverUrl: string,
  revision: string,
  accessToken: string,
  headers: Record<string, string> = {},
): Promise<Called> {
  let challenge: Challenge | undefined;
  const transport = new StreamableHTTPClientTransport(new URL(serverUrl), {
    requestInit: { headers: { ...headers, authorization: `Bearer ${accessToken}` } },
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      const field = response.headers.get('www-authenticate');
      if (field !== null) challenge = { status: response.status, www_authenticate: field };
      return response;
    },
  });
  const isStateless = revision >= '2026-07-28';
  const client = new Client(
    { name: 'agent', version: '1' },
    { versionNegotiation: { mode: isStateless ? { pin: revision } : 'legacy' } },
  );
  try {
    await client.connect(transport);
    const { tools } = await client.listTools();
    const answer = await client.callTool({ name: tools[0]?.name ?? '', arguments: {} });
    return { ok: true, tools: tools.map(({ name }) => name), answer };
  } catch (error) {
    if (challenge === undefined) throw error;
    return { ok: false, challenge };
  } finally {
    await client.close();
  }
}
