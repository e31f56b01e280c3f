// A provider of one's own whose webhooks a test signs: `team-app`, with the team as a parameter of each connection.
import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tuning } from '../../src/runtime/app.ts';
import { ask, startTestBroker, type TestBroker } from './broker.ts';
import { createMovingClock } from './moving-clock.ts';

export const SECRET = 'a signing secret';

const FIELD = { title: 'team', pattern: '[A-Z0-9]{1,20}', example: 'T1' };
const signed = {
  scheme: 'hmac',
  signature: { in: 'header:X-Team-Signature', prefix: 'v0=' },
  signed: 'v0:{header:X-Team-Time}:{body}',
  timestamp: { at: 'header:X-Team-Time', tolerance: 300 },
  key: { what: 'signing secret' },
};
const locators = [
  { match: 'params.team', value: '{item:team}' },
  { match: 'account.id', value: '{item:user}' },
];
const ended = [{ when: { 'item:type': 'uninstalled' } }];
const hold = [{ when: { 'item:type': 'suspended' } }, { when: { 'item:type': 'enabled' }, lifts: true }];

/** Three ways to receive: signed, with a hook alone, and after a handshake that brings the key. */
const WEBHOOKS = {
  signed: {
    title: 'Events',
    setup: { url: 'the settings of the app' },
    when: { 'header:X-Team-Kind': false },
    verify: signed,
    handshake: [{ when: { 'root:challenge': true }, signed: true, answer: { text: '{root:challenge}' } }],
    event: { batch: ['events[]'], id: ['{item:id}'], type: ['{item:type}'] },
    connection: locators,
    deauthorization: ended,
    hold,
    acknowledgement: { text: 'taken' },
  },
  hooked: {
    title: 'Plain events',
    setup: { url: 'the settings of the app' },
    when: { 'header:X-Team-Kind': 'plain' },
    verify: { scheme: 'none', beside_secrets: true },
    event: { id: ['{item:id}'], type: ['{item:type}'] },
    connection: locators,
    deauthorization: ended,
    hold,
  },
  bringing: {
    title: 'Events with a key',
    setup: { url: 'made by the API' },
    when: { 'header:X-Team-Kind': 'bringing' },
    verify: { ...signed, signature: { in: 'header:X-Team-Signature' }, signed: '{body}', timestamp: undefined },
    handshake: [
      {
        when: { 'header:X-Team-Key': true },
        learns: 'header:X-Team-Key',
        answer: { headers: { 'X-Team-Key': '{header:X-Team-Key}' } },
      },
    ],
    event: { id: ['{item:id}'], type: ['{item:type}'] },
    connection: locators,
  },
};

const PROVIDER = {
  id: 'team-app',
  name: 'Team App',
  category: 'chat',
  docs_url: 'https://team.example/docs',
  confidence: 'verified',
  notes: [],
  params: {},
  connection_params: { team: FIELD },
  auth: [
    {
      mode: 'oauth2_code',
      authorization_url: 'https://team.example/authorize',
      token_url: 'https://team.example/token',
      scope_separator: ' ',
      default_scopes: [],
      pkce: 'S256',
      client_auth: ['client_secret_post'],
      refresh: { rotates: 'never' },
      revocation: { style: 'none' },
    },
  ],
  webhooks: WEBHOOKS,
  uncertain: [],
};

export interface Sent {
  status: number;
  headers: Headers;
  body: string;
}

export interface TeamSetup {
  broker: TestBroker;
  now(): number;
  advance(ms: number): void;
  /** Imports a connection of the team, and returns its id. */
  connect(owner: string, team: string): Promise<string>;
  /** With the signature, unless headers say otherwise. */
  send(body: unknown, given?: { headers?: Record<string, string>; path?: string; method?: string }): Promise<Sent>;
  /** Until `found` returns something; fails after some seconds. */
  eventually<T>(found: () => Promise<T | undefined>): Promise<T>;
  close(): Promise<void>;
}

export const signature = (body: string, at: number, secret = SECRET): string =>
  `v0=${createHmac('sha256', secret).update(`v0:${at}:${body}`).digest('hex')}`;

export async function providerFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-team-'));
  await writeFile(join(folder, 'team-app.json'), JSON.stringify(PROVIDER));
  return folder;
}

/** With the integration `team`, and its signing secret. */
export async function startTeamSetup(env: Record<string, string> = {}, tuning: Tuning = {}): Promise<TeamSetup> {
  const folder = await providerFolder();
  const clock = createMovingClock();
  const broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: folder, ...env }, undefined, {
    clock,
    refreshAhead: false,
    ...tuning,
  });
  const put = await broker.ask('PUT', '/v1/integrations/team', {
    provider: 'team-app',
    client_id: 'client',
    client_secret: 'client secret',
    webhook: { secrets: [SECRET] },
  });
  if (put.status !== 201) throw new Error(JSON.stringify(put.body));
  return {
    broker,
    now: clock.now,
    advance: clock.advance,
    async connect(owner, team) {
      const credentials = { refresh_token: `refresh-${owner}`, access_token: `access-${owner}`, expires_in: 3_600 };
      const body = { integration: 'team', owner, params: { team }, credentials };
      const answer = await ask(broker.internalUrl ?? broker.url, broker.adminKey, 'POST', '/v1/connections', body);
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      return String(answer.body.id);
    },
    async send(body, { headers = {}, path = '/webhooks/team', method = 'POST' } = {}) {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const at = Math.floor(clock.now() / 1_000);
      const response = await fetch(new URL(path, broker.url), {
        method,
        headers: {
          'content-type': 'application/json',
          'x-team-time': String(at),
          'x-team-signature': signature(text, at),
          ...headers,
        },
        ...(method !== 'GET' && { body: text }),
      });
      return { status: response.status, headers: response.headers, body: await response.text() };
    },
    async eventually(found) {
      for (const until = performance.now() + 10_000; performance.now() < until; ) {
        const value = await found();
        if (value !== undefined) return value;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      throw new Error('it did not happen within ten seconds');
    },
    async close() {
      await broker.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
