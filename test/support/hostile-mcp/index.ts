// An MCP server, two authorization servers and a third party, each at an origin of its own: every step of a client that
// connects there can be made hostile, and what it sends is kept.
import { type AuthorizationServer, startAuthorizationServer } from './authorization-server.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { type McpServer, startMcpServer } from './mcp-server.ts';
import { json, type Site, startSite } from './site.ts';

export interface HostileMcp {
  mcp: McpServer;
  /** The one that the MCP server names. */
  as: AuthorizationServer;
  /** Another one, at another origin. */
  other: AuthorizationServer;
  /** Answers everything as if it were the right place. */
  elsewhere: Site;
  /** Listens at an address that brokers in tests may not reach. */
  inside: Site;
  ledger: Ledger;
  close(): Promise<void>;
}

/** `issuerPath` is the path of the first issuer; by default it has none. */
export async function startHostileMcp({ issuerPath = '', path = '/mcp' } = {}): Promise<HostileMcp> {
  const ledger = createLedger();
  const [as, other] = await Promise.all([
    startAuthorizationServer(ledger, 'as', issuerPath),
    startAuthorizationServer(ledger, 'other'),
  ]);
  const plausible = json({ access_token: 'stolen', token_type: 'Bearer', expires_in: 3_600, client_id: 'stolen' });
  const [mcp, elsewhere, inside] = await Promise.all([
    startMcpServer(ledger, as, path),
    startSite(plausible),
    startSite(plausible, '127.0.0.2'),
  ]);
  ledger.watch('elsewhere', elsewhere);
  ledger.watch('inside', inside);
  return {
    mcp,
    as,
    other,
    elsewhere,
    inside,
    ledger,
    close: async () => {
      await Promise.all([mcp, as, other].map(({ site }) => site.close()));
      await Promise.all([elsewhere.close(), inside.close()]);
    },
  };
}

export type { AuthorizationServer } from './authorization-server.ts';
export type { McpServer } from './mcp-server.ts';
