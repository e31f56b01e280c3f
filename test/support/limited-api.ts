// An API with limits on loopback, and a catalogue entry that describes them, for brokers of a test.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Json, TestBroker } from './broker.ts';
import { answer, type ByteUpstream, startByteUpstream } from './byte-upstream.ts';
import { expectOk } from './contract.ts';
import { entry } from './entries.ts';

export interface LimitedApi {
  upstream: ByteUpstream;
  /** For `VALETKEY_PROVIDERS_DIR`: the provider `acme`, with an API key. */
  providers: string;
  /** What the API answers from now on. */
  answers(status: string, headers?: string[], body?: string): void;
  /** Creates the integration, at first, and a connection of it; returns its id. */
  connect(broker: TestBroker, integration: string, owner: string, more?: Json): Promise<string>;
  close(): Promise<void>;
}

export interface CalledAnswer {
  status: number;
  headers: Headers;
  body: Json;
}

/** `limits`: the `rate_limits` of the entry. */
export async function startLimitedApi(limits: Json): Promise<LimitedApi> {
  const upstream = await startByteUpstream();
  const providers = await mkdtemp(join(tmpdir(), 'valetkey-limited-'));
  const acme = entry('acme', {
    auth: [{ mode: 'api_key', send: { in: 'header', name: 'Authorization', prefix: 'Bearer ' } }],
    api_base_url: upstream.url,
    api: { idempotency: { header: 'Idempotency-Key' } },
    rate_limits: limits,
  });
  await writeFile(join(providers, 'acme.json'), JSON.stringify(acme));
  return {
    upstream,
    providers,
    answers(status, headers = [], body = '{}') {
      const all = ['Content-Type: application/json', ...headers];
      upstream.onHead = ({ socket }) => socket.write(answer(body, { status, headers: all }));
    },
    async connect(broker, integration, owner, more = {}) {
      await broker.ask('PUT', `/v1/integrations/${integration}`, { provider: 'acme', ...more });
      const body = { integration, owner, credentials: { api_key: `secret-of-${owner}` } };
      return String(expectOk(await broker.ask('POST', '/v1/connections', body), 201).id);
    },
    async close() {
      await upstream.close();
      await rm(providers, { recursive: true, force: true });
    },
  };
}

/** A proxied call. */
export async function callApi(
  { url, adminKey }: TestBroker,
  id: string,
  {
    method = 'GET',
    headers = {},
    signal,
  }: { method?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<CalledAnswer> {
  const response = await fetch(`${url}/v1/connections/${id}/proxy/things`, {
    method,
    headers: { authorization: `Bearer ${adminKey}`, ...headers },
    ...(signal && { signal }),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: isJson ? (JSON.parse(text) as Json) : { text } };
}
