// A broker for tests with MCP servers: sets integrations up, and walks links without a browser.
import { expect } from 'vitest';
import { type CookieJar, createCookieJar, walkThrough } from '../../demo/browser.ts';
import type { Tuning } from '../../src/runtime/app.ts';
import { type Answer, type Json, startTestBroker, type TestBroker } from './broker.ts';
import { expectOk, expectProblem } from './contract.ts';
import type { McpServer } from './hostile-mcp/index.ts';
import { createMovingClock } from './moving-clock.ts';
import { type ConnectLink, newOwner, type Page, sessionOf, visit } from './owner-browser.ts';

export interface Connected {
  id: string;
  owner: string;
  link: ConnectLink;
}

export interface McpBroker {
  broker: TestBroker;
  advance(ms: number): void;
  now(): number;
  /** Sets an integration of this server up, and returns its id; `more` overrides members of the request. */
  integrate(server: Pick<McpServer, 'url'> | null, more?: Json): Promise<string>;
  /** Asks for a connect session, by default for a new owner. */
  session(integration: string, wanted?: Json): Promise<Answer>;
  /** Expects that the discovery of a connect session is refused with this reason. */
  refused(integration: string, reason: string | RegExp, wanted?: Json): Promise<Json>;
  /** From the link to the callback's URL, which is not requested yet. */
  toCallback(link: ConnectLink, jar?: CookieJar): Promise<URL>;
  /** A session and its whole flow; `wanted` as for `session`. */
  connect(integration: string, wanted?: Json): Promise<Connected>;
  /** A session up to its callback. */
  start(
    integration: string,
    wanted?: Json,
  ): Promise<{ link: ConnectLink; jar: CookieJar; callback: URL; owner: string }>;
  /** The access token that callers are served. */
  token(connection: string): Promise<Json>;
  stop(): Promise<void>;
}

/** Nothing is refreshed ahead of time; the test sets the clock. */
export async function startMcpBroker(env: Record<string, string> = {}, more: Tuning = {}): Promise<McpBroker> {
  let integrations = 0;
  const clock = createMovingClock();
  const broker = await startTestBroker(env, undefined, {
    ...{ clock, refreshAhead: false, outboxEveryMs: 20 },
    ...more,
  });

  const it: McpBroker = {
    broker,
    advance: clock.advance,
    now: clock.now,
    async integrate(server, { params = {}, ...more } = {}) {
      const id = `mcp-${++integrations}`;
      const at = server === null ? {} : { server_url: server.url };
      const body = { provider: 'mcp', params: { ...at, ...(params as Json) }, ...more };
      expectOk(await broker.ask('PUT', `/v1/integrations/${id}`, body), 201);
      return id;
    },
    session: (integration, wanted = {}) =>
      broker.ask('POST', '/v1/connect-sessions', { integration, owner: newOwner(), ...wanted }),
    async refused(integration, reason, wanted) {
      const body = expectProblem(await it.session(integration, wanted), 502, 'integration_misconfigured');
      expect(body, JSON.stringify(body)).toMatchObject({
        reason: typeof reason === 'string' ? reason : expect.stringMatching(reason),
      });
      return body;
    },
    async toCallback(link, jar = createCookieJar()) {
      const stopAt = `${broker.url}/oauth2/callback/`;
      const { url, response, text } = await walkThrough(link.url, { jar, stopAt });
      expect(url.href, `${response?.status} ${text}`).toMatch(stopAt);
      return url;
    },
    async start(integration, wanted = {}) {
      const owner = String(wanted.owner ?? newOwner());
      const { id, url } = expectOk(await it.session(integration, { ...wanted, owner }), 201);
      const link = { id: String(id), url: String(url) };
      const jar = createCookieJar();
      return { link, jar, callback: await it.toCallback(link, jar), owner };
    },
    async connect(integration, wanted) {
      const { link, jar, callback, owner } = await it.start(integration, wanted);
      const page: Page = await visit(callback, jar);
      expect(page.status, page.text).toBe(200);
      const session = await sessionOf(broker, link);
      expect(session).toMatchObject({ status: 'completed' });
      return { id: String(session.connection_id), owner, link };
    },
    token: async (connection) => expectOk(await broker.ask('GET', `/v1/connections/${connection}/token`)),
    stop: () => broker.stop(),
  };
  return it;
}
