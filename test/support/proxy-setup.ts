// A broker with integrations of an API that records bytes: one for each way in which a token is attached.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Logger } from '../../src/ports/index.ts';
import type { Tuning } from '../../src/runtime/app.ts';
import { type Json, startTestBroker, type TestBroker } from './broker.ts';
import { type ByteUpstream, startByteUpstream } from './byte-upstream.ts';
import { entry } from './entries.ts';
import { type RawAnswer, type RawCall, rawCall } from './raw-call.ts';

export interface ProxySetup {
  broker: TestBroker;
  upstream: ByteUpstream;
  /** Imports a connection; returns its id. */
  connect(integration: string, owner: string, credentials?: Json, more?: Json): Promise<string>;
  /** A proxied call by connection id: `target` follows `/proxy`. */
  call(id: string, method: string, target: string, more?: CallMore): Promise<RawAnswer>;
  /** The same, as a connection that may be written to. */
  open(id: string, method: string, target: string, more?: CallMore): RawCall;
  /** All lines of the log. */
  log: { level: string; message: string; fields: Record<string, unknown> }[];
  close(): Promise<void>;
}

interface CallMore {
  key?: string;
  headers?: string[];
  body?: string | Buffer;
}

const apiKey = (send: object) => ({ mode: 'api_key', send });

export async function startProxySetup(env: Record<string, string> = {}, tuning: Tuning = {}): Promise<ProxySetup> {
  const upstream = await startByteUpstream();
  const folder = await mkdtemp(join(tmpdir(), 'valetkey-proxy-'));
  const common = {
    api_base_url: `${upstream.url}/api/v1`,
    api: { other_hosts: { files: `${upstream.url}/files` }, idempotency: { header: 'Idempotency-Key' } },
    api_headers: { 'Acme-Version': '2022-11-28', 'Acme-Client': 'of the entry' },
  };
  const entries: Record<string, object> = {
    bearer: apiKey({ in: 'header', name: 'Authorization', prefix: 'Bearer ' }),
    scheme: apiKey({ in: 'header', name: 'Authorization', prefix: 'Token ' }),
    header: apiKey({ in: 'header', name: 'X-Acme-Key', prefix: '' }),
    query: apiKey({ in: 'query', name: 'api_key', prefix: '' }),
    body: apiKey({ in: 'body', name: 'api_key', prefix: '' }),
    basic: { mode: 'basic' },
    aws: { mode: 'aws_sigv4', params: { service: field('.+', 'dynamodb'), region: field('.+', 'eu-west-1') } },
  };
  for (const [id, auth] of Object.entries(entries))
    await writeFile(join(folder, `acme-${id}.json`), JSON.stringify(entry(`acme-${id}`, { ...common, auth: [auth] })));
  const log: ProxySetup['log'] = [];
  const line = (level: string) => (fields: object, message: string) =>
    void log.push({ level, message, fields: fields as Record<string, unknown> });
  const logger: Logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  const broker = await startTestBroker(
    { VALETKEY_PROVIDERS_DIR: folder, ...env },
    undefined,
    { refreshAhead: false, ...tuning },
    logger,
  );
  for (const id of Object.keys(entries)) {
    const { status, body } = await broker.ask('PUT', `/v1/integrations/${id}`, { provider: `acme-${id}` });
    expect(status, JSON.stringify(body)).toBe(201);
  }
  const open: ProxySetup['open'] = (id, method, target, { key = broker.adminKey, headers = [], body } = {}) => {
    const lines = [
      `${method} /v1/connections/${id}/proxy${target} HTTP/1.1`,
      'Host: broker',
      ...(key === '' ? [] : [`Authorization: Bearer ${key}`]),
      ...headers,
      ...(body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]),
      '',
      '',
    ];
    const call = rawCall(broker.internalUrl ?? broker.url, lines.join('\r\n'));
    if (body !== undefined) call.socket.write(body);
    return call;
  };
  return {
    broker,
    upstream,
    log,
    async connect(integration, owner, credentials = { api_key: `secret-of-${owner}` }, more = {}) {
      const { status, body } = await broker.ask('POST', '/v1/connections', {
        integration,
        owner,
        credentials,
        ...more,
      });
      expect(status, JSON.stringify(body)).toBe(201);
      return String(body.id);
    },
    open,
    async call(id, method, target, more) {
      const call = open(id, method, target, more);
      const answer = await call.answer;
      call.socket.destroy();
      return answer;
    },
    async close() {
      await broker.stop();
      await upstream.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const field = (pattern: string, value: string) => ({ title: 'x', pattern, default: value });
