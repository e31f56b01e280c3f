// An agent that calls an MCP server with tokens of a broker: as an app does, it sends its owner through the link, reads the
// token, and takes every challenge of the server to the broker.
import { createCookieJar, walkThrough } from '../../demo/browser.ts';
import { type Challenge, callFirstTool } from '../support/mcp-client.ts';

/** What the suite hands to a client. */
export interface Scenario {
  name: string;
  serverUrl: string;
  /** The protocol revision. */
  revision: string;
  context: { client_id?: string; client_secret?: string } | undefined;
}

export interface Broker {
  url: string;
  adminKey: string;
}

type Json = Record<string, unknown>;

/** The suite expects this client id where the server supports client id metadata documents; nothing is there. */
const CLIENT_METADATA_URL = 'https://conformance-test.local/client-metadata.json';
const OWNER = 'user_42';
/** More than the broker allows: it must be the one that ends a loop of challenges. */
const MOST_CHALLENGES = 6;

/** Resolves when both calls have succeeded; rejects with the reason when the broker, or the server, refuses. */
export async function runScenario(broker: Broker, scenario: Scenario, integration: string): Promise<void> {
  const { serverUrl, revision, context, name } = scenario;
  const document = name === 'auth/basic-cimd' ? { client_metadata_url: CLIENT_METADATA_URL } : {};
  const issuer = context?.client_secret && (await issuerOf(serverUrl));
  await ask(broker, 'PUT', `/v1/integrations/${integration}`, {
    provider: 'mcp',
    params: { server_url: serverUrl, ...document, ...(issuer && { issuer }) },
    ...(context?.client_id && { client_id: context.client_id, client_secret: context.client_secret }),
  });
  const id = await connect(broker, { integration, owner: OWNER });
  for (let challenges = 0; challenges <= MOST_CHALLENGES; challenges++) {
    const { access_token } = await ask(broker, 'GET', `/v1/connections/${id}/token`);
    const called = await callFirstTool(serverUrl, revision, String(access_token));
    if (called.ok) return;
    await answer(broker, { id, integration, rejected_token: access_token, challenge: called.challenge });
  }
  throw new Error(`still challenged after ${MOST_CHALLENGES} challenges`);
}

/** Where a client is registered by hand, which an admin knows, and the suite does not say. */
async function issuerOf(serverUrl: string): Promise<string> {
  const { origin, pathname } = new URL(serverUrl);
  const response = await fetch(`${origin}/.well-known/oauth-protected-resource${pathname}`);
  const { authorization_servers: servers } = (await response.json()) as { authorization_servers: string[] };
  return servers[0]!;
}

/** A 403 wants more scopes, of the owner; a 401 another token, or the owner's consent at another authorization server. */
async function answer(
  broker: Broker,
  rejected: { id: string; integration: string; rejected_token: unknown; challenge: Challenge },
): Promise<void> {
  const { id, integration, rejected_token, challenge } = rejected;
  const again = { integration, owner: OWNER, connection_id: id };
  if (challenge.status === 403) return void (await connect(broker, { ...again, challenge }));
  const refreshed = await send(broker, 'POST', `/v1/connections/${id}/refresh`, { rejected_token, challenge });
  if (refreshed.status === 409) return void (await connect(broker, again));
  if (refreshed.status !== 200) throw new Error(`refresh: ${JSON.stringify(refreshed.body)}`);
}

/** From a session to its connection, as a browser goes; whose id is returned. */
async function connect(broker: Broker, session: Json): Promise<string> {
  const { id, url } = await ask(broker, 'POST', '/v1/connect-sessions', session);
  const { response, text } = await walkThrough(String(url), { jar: createCookieJar() });
  const made = await ask(broker, 'GET', `/v1/connect-sessions/${id}`);
  if (made.status !== 'completed')
    throw new Error(`not connected: ${JSON.stringify(made)}, page ${response?.status}: ${titleOf(text)}`);
  return String(made.connection_id);
}

const titleOf = (page: string) => /<title>([^<]*)/.exec(page)?.[1] ?? page.slice(0, 200);

async function send({ url, adminKey }: Broker, method: string, path: string, body?: Json) {
  const response = await fetch(new URL(path, url), {
    method,
    // A connection of its own: one that is kept alive may be closed while this process is busy.
    headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json', connection: 'close' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

async function ask(broker: Broker, method: string, path: string, body?: Json): Promise<Json> {
  const answer = await send(broker, method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}
