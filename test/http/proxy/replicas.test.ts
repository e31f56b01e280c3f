// Streams through one replica while another one ends the grant, the caller or its permission; and a replica that stops.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateKey } from '../../../src/adapters/keyring/keyring.ts';
import { databaseIn, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { answer, type ByteUpstream, type ReceivedRequest, startByteUpstream } from '../../support/byte-upstream.ts';
import { type RawCall, rawCall } from '../../support/raw-call.ts';

let folder: string;
let upstream: ByteUpstream;
let here: TestBroker;
let there: TestBroker;
const ADMIN = 'a'.repeat(32);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'valetkey-replicas-'));
  upstream = await startByteUpstream();
  const env = { ...(await databaseIn(folder)), VALETKEY_KEYS: generateKey(), VALETKEY_ADMIN_KEY: ADMIN };
  here = await startTestBroker(env, undefined, { refreshAhead: false });
  there = await startTestBroker(env, undefined, { refreshAhead: false });
  const setup = { provider: 'sendgrid', overrides: { api_base_url: upstream.url } };
  expect((await there.ask('PUT', '/v1/integrations/mail', setup, ADMIN)).status).toBe(201);
});
afterAll(async () => {
  await here?.stop();
  await upstream?.close();
  await rm(folder, { recursive: true });
});

async function connect(owner: string): Promise<string> {
  const credentials = { api_key: `SG.${'a'.repeat(22)}.${'b'.repeat(43)}` };
  const { status, body } = await there.ask(
    'POST',
    '/v1/connections',
    { integration: 'mail', owner, credentials },
    ADMIN,
  );
  expect(status, JSON.stringify(body)).toBe(201);
  return String(body.id);
}

/** A stream that has begun, through the replica `here`. */
async function openStream(id: string, key = ADMIN): Promise<{ stream: RawCall; request: ReceivedRequest }> {
  const asked = new Promise<ReceivedRequest>((resolve) => {
    upstream.onHead = resolve;
  });
  const head = `GET /v1/connections/${id}/proxy/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n\r\n`;
  const stream = rawCall(here.url, head);
  const request = await asked;
  request.socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n');
  await stream.until(/data: 1/);
  return { stream, request };
}

test('a revocation at another replica ends the stream, which would run for ever, on both sides', async () => {
  const id = await connect('ada');
  const other = await openStream(await connect('grace'));
  const { stream, request } = await openStream(id);
  expect((await there.ask('DELETE', `/v1/connections/${id}`, undefined, ADMIN)).status).toBe(200);
  await Promise.all([stream.closed, request.closed]);
  expect(other.stream.socket.destroyed).toBe(false);
  other.stream.socket.destroy();
});

test('a caller that is deleted, or may not call any more, gets no more of its stream', async () => {
  const id = await connect('edsger');
  const grants = [{ actions: ['proxy'], integrations: ['*'], owners: ['*'] }];
  const make = async () => (await there.ask('POST', '/v1/callers', { name: 'x', grants }, ADMIN)).body;
  const [gone, less, same] = [await make(), await make(), await make()];
  const [ofGone, ofLess, ofSame] = [
    await openStream(id, String(gone.key)),
    await openStream(id, String(less.key)),
    await openStream(id, String(same.key)),
  ];
  await there.ask('DELETE', `/v1/callers/${gone.id}`, undefined, ADMIN);
  const narrowed = { name: 'x', grants: [{ ...grants[0], paths: ['/elsewhere/*'] }] };
  expect((await there.ask('PUT', `/v1/callers/${less.id}`, narrowed, ADMIN)).status).toBe(200);
  await Promise.all([ofGone.stream.closed, ofLess.stream.closed, ofGone.request.closed, ofLess.request.closed]);
  expect(ofSame.stream.socket.destroyed).toBe(false);
  ofSame.stream.socket.destroy();
});

test('a capture that one replica starts captures the calls through another one, and ends there too', async () => {
  const id = await connect('barbara');
  const call = async (path: string) => {
    upstream.onHead = ({ socket }) => socket.write(answer());
    const headers = { authorization: `Bearer ${ADMIN}` };
    expect((await fetch(`${here.url}/v1/connections/${id}/proxy${path}`, { headers })).status).toBe(200);
  };
  const paths = async (of: TestBroker) => {
    const { body } = await of.ask('GET', `/v1/connections/${id}/captures`, undefined, ADMIN);
    return (body.data as { path: string }[]).map(({ path }) => path);
  };
  expect((await there.ask('POST', `/v1/connections/${id}/capture`, {}, ADMIN)).status).toBe(201);
  await call('/captured');
  await expect.poll(() => paths(there)).toEqual(['/captured']);
  expect(await paths(here)).toEqual(['/captured']);
  expect((await there.ask('DELETE', `/v1/connections/${id}/capture`, undefined, ADMIN)).status).toBe(204);
  await call('/ended');
  expect((await there.ask('POST', `/v1/connections/${id}/capture`, {}, ADMIN)).status).toBe(201);
  await call('/again');
  await expect.poll(() => paths(there)).toEqual(['/again', '/captured']);
});

test('a replica that stops lets a running call end, and takes no other', async () => {
  const id = await connect('alan');
  const asked = new Promise<ReceivedRequest>((resolve) => {
    upstream.onHead = resolve;
  });
  const head = `GET /v1/connections/${id}/proxy/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`;
  const running = rawCall(there.url, head);
  const request = await asked;
  const stopped = there.stop();
  request.socket.write(answer('late'));
  const got = await running.answer;
  expect([got.status, got.body.toString(), got.isComplete]).toEqual([200, 'late', true]);
  await stopped;
  await expect(fetch(there.url)).rejects.toThrow();
});
