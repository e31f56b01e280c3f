// An API that says all that it was sent: no part of a credential comes back to the caller, whatever kind it is of.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answer } from '../../support/byte-upstream.ts';
import { type ProxySetup, startProxySetup } from '../../support/proxy-setup.ts';

let setup: ProxySetup;
beforeAll(async () => {
  setup = await startProxySetup();
});
afterAll(() => setup.close());

const KEY = 'k3y/of+the caller==';
const AWS = {
  access_key_id: 'AKIAIOSFODNN7EXAMPLE',
  secret_access_key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  session_token: 'FwoGZXIvYXdzE/session+token==',
};
const pair = (user: string, password: string) => Buffer.from(`${user}:${password}`).toString('base64');

test.each<[string, Record<string, string>, string[]]>([
  ['bearer', { api_key: 'sk_live_1234' }, ['sk_live_1234']],
  ['scheme', { api_key: 'sk_live_1234' }, ['sk_live_1234']],
  ['header', { api_key: 'sk_live_1234' }, ['sk_live_1234']],
  ['query', { api_key: KEY }, [KEY, encodeURIComponent(KEY)]],
  [
    'basic',
    { username: 'ada@acme.example', password: 'correct horse' },
    [pair('ada@acme.example', 'correct horse'), 'correct horse'],
  ],
  ['basic', { username: 'sk_live_user', password: 'X' }, [pair('sk_live_user', 'X'), 'sk_live_user']],
  ['aws', AWS, Object.values(AWS)],
])('%s %j', async (integration, credentials, secrets) => {
  const id = await setup.connect(integration, 'ada', credentials, { label: secrets[0]!.replace(/\W/g, '') });
  let signature: string | undefined;
  setup.upstream.onHead = ({ socket, line, headers }) => {
    const [, target = ''] = line.split(' ');
    const values = headers.map(([, value]) => value);
    signature = /Signature=(\w+)/.exec(values.join())?.[1];
    const said = [target, ...values, ...secrets, ...secrets.map(encodeURIComponent)];
    const echoes = said.map((value, i) => `X-Echo-${i}: said ${value}`);
    const hints = said.map((value) => `Link: </a>; title="${value.replaceAll('"', '')}"`);
    socket.write(`HTTP/1.1 103 Early Hints\r\n${hints.join('\r\n')}\r\n\r\n`);
    socket.write(answer('ok', { status: `200 ${said.join(' ')}`, headers: echoes }));
  };
  const call = setup.open(id, 'GET', '/x');
  const { status, headers } = await call.answer;
  const received = call.received();
  call.socket.destroy();
  expect(status).toBe(200);
  expect(headers.filter(([name]) => name.startsWith('x-echo-')).length).toBeGreaterThan(secrets.length);
  for (const secret of [...secrets, ...secrets.map(encodeURIComponent)]) expect(received).not.toContain(secret);
  // What was signed with it is no secret for long, and goes to no one else.
  expect(signature === undefined).toBe(integration !== 'aws');
  if (signature !== undefined) expect(received).not.toContain(signature);
});

test('a credential that no header can have is refused with what is wrong, and nothing is sent', async () => {
  const id = await setup.connect('bearer', 'alan', { api_key: 'schlüssel' });
  setup.upstream.reset();
  const { status, body } = await setup.call(id, 'GET', '/x');
  const problem = JSON.parse(body.toString()) as { code: string; detail: string };
  expect([status, problem.code]).toEqual([400, 'invalid_request']);
  expect(problem.detail).toMatch(/characters that no header can have/);
  expect(setup.upstream.requests).toEqual([]);
});
