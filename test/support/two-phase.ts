// Two-phase connect sessions for tests: a broker whose clock the test sets, and a provider where each code is of the account
// that the test names.
import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { type CookieJar, createCookieJar } from '../../demo/browser.ts';
import { type Answer, type Json, startTestBroker, type TestBroker } from './broker.ts';
import { expectOk } from './contract.ts';
import { createMovingClock } from './moving-clock.ts';
import {
  type ConnectLink,
  callbackWithConsent,
  createConnectSession,
  newOwner,
  openLink,
  type Page,
  putIntegration,
  visit,
} from './owner-browser.ts';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from './scripted-server.ts';

export const APP = 'https://app.example';
export const RETURN_URL = `${APP}/done?tab=2`;

/** What the browser brought to the `return_url`. */
export interface Confirm {
  owner: string;
  link: ConnectLink;
  jar: CookieJar;
  finishCode: string;
  url: URL;
}

export interface TwoPhase {
  broker: TestBroker;
  provider: ScriptedServer;
  /** The next account that consents. */
  login: string;
  /** Instead of the answer to a code. */
  onCode: ((request: ReceivedRequest) => ScriptedResponse | Promise<ScriptedResponse>) | undefined;
  advance(ms: number): void;
  /** Opens the link; the callback's URL, with a consent, which is not requested yet. */
  open(link: ConnectLink, jar?: CookieJar): Promise<string>;
  /** From a new session to the finish code. */
  confirm(wanted?: Json): Promise<Confirm>;
  finish(id: string, body: Json, key?: string): Promise<Answer>;
  /** Tokens that were revoked at the provider. */
  revoked(): string[];
  /** The token that callers are served; undefined: none. */
  served(owner: string, integration?: string): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * With the integrations `acme`, where a revocation ends the token; `whole`, where it ends the grant of the account; and
 * `strict`, which requires the finish.
 */
export async function startTwoPhase(env: Record<string, string> = {}): Promise<TwoPhase> {
  let issued = 0;
  const provider = await startScriptedServer(({ path, headers, form, ...request }) => {
    if (path === '/revoke') return { body: {} };
    // at-<login>-<number>
    if (path === '/me') return { body: { sub: /at-(.+)-\d+$/.exec(headers.authorization ?? '')?.[1] } };
    if (form.get('grant_type') === 'authorization_code' && it.onCode)
      return it.onCode({ path, headers, form, ...request });
    const login = /^rt-(.+)-\d+$/.exec(form.get('refresh_token') ?? '')?.[1] ?? it.login;
    return { body: tokensOf(login, ++issued) };
  });
  const clock = createMovingClock();
  const broker = await startTestBroker(env, undefined, { clock, outboxEveryMs: 20, refreshAhead: false });
  const params = {
    authorization_url: `${provider.url}/authorize`,
    token_url: `${provider.url}/token`,
    userinfo_url: `${provider.url}/me`,
    revocation_url: `${provider.url}/revoke`,
  };
  const setup = { provider: 'generic-oauth2', client_id: 'c', client_secret: 's', params, return_origins: [APP] };
  expectOk(await putIntegration(broker, 'acme', setup), 201);
  expectOk(await putIntegration(broker, 'whole', { ...setup, params: { ...params, revocation_ends: 'grant' } }), 201);
  expectOk(await putIntegration(broker, 'strict', { ...setup, require_finish: true }), 201);

  const it: TwoPhase = {
    broker,
    provider,
    login: 'ada',
    onCode: undefined,
    advance: clock.advance,
    async open(link, jar = createCookieJar()) {
      const { location, text } = await openLink(link.url, jar);
      expect(location, text).toMatch(`${provider.url}/authorize`);
      return callbackWithConsent(location);
    },
    async confirm(wanted = {}) {
      const owner = String(wanted.owner ?? newOwner());
      const link = await createConnectSession(broker, { finish: true, return_url: RETURN_URL, owner, ...wanted });
      const jar = createCookieJar();
      const url = confirmed(await visit(await it.open(link, jar), jar));
      return { owner, link, jar, finishCode: url.searchParams.get('finish_code')!, url };
    },
    finish: (id, body, key) => broker.ask('POST', `/v1/connect-sessions/${id}/finish`, body, key),
    revoked: () =>
      provider.received.filter(({ path }) => path === '/revoke').map(({ form }) => form.get('token') ?? ''),
    served: async (owner, integration = 'acme') =>
      (await broker.ask('GET', `/v1/token?integration=${integration}&owner=${encodeURIComponent(owner)}`)).body
        .access_token,
    close: async () => {
      await Promise.all([broker.stop(), provider.close()]);
    },
  };
  return it;
}

const tokensOf = (login: string, n: number): Json => ({
  access_token: `at-${login}-${n}`,
  refresh_token: `rt-${login}-${n}`,
  token_type: 'Bearer',
  expires_in: 3_600,
});

/** The URL of the app that the browser was sent to, with a finish code. */
export function confirmed(page: Page): URL {
  expect(page.location, page.text).toMatch(RETURN_URL);
  const url = new URL(page.location!);
  expect(url.searchParams.get('status')).toBe('confirm');
  expect(url.searchParams.get('finish_code')).toMatch(/^[\w-]{43}$/);
  return url;
}

/** RFC 7636. */
export function createPkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url');
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') };
}
