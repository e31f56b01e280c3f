// `valetkey apply`: shows the changes, asks for confirmation, applies them.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectOk, expectProblem } from '../support/contract.ts';
import { createTerminal, type Valetkey } from '../support/terminal.ts';

let broker: TestBroker;
let valetkey: Valetkey;
let folder: string;
let file: string;
const key = `vk_${randomBytes(32).toString('base64url')}`;
beforeEach(async () => {
  broker = await startTestBroker();
  folder = mkdtempSync(join(tmpdir(), 'valetkey-apply-'));
  file = join(folder, 'valetkey.json');
  valetkey = createTerminal({
    VALETKEY_URL: broker.url,
    VALETKEY_KEY: broker.adminKey,
    ACME_SECRET: 'the-client-secret',
    BILLING_KEY: key,
  });
});
afterEach(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

const hole = (name: string) => `\${${name}}`;
const endpoint = 'https://id.example/x';
const acme = {
  id: 'acme',
  provider: 'generic-oauth2',
  client_id: 'me',
  client_secret: hole('ACME_SECRET'),
  params: { authorization_url: endpoint, token_url: endpoint },
};
const grants = [{ actions: ['token'], integrations: ['acme'], owners: ['*'] }];
const billing = { id: 'clr_billing', name: 'billing', grants, key: hole('BILLING_KEY') };
const write = (declared: unknown) =>
  writeFileSync(file, typeof declared === 'string' ? declared : JSON.stringify(declared));

test('apply: shows new resources, applies them with --yes, and changes nothing the second time', async () => {
  write({ $schema: './schema.json', integrations: [acme], callers: [billing] });
  const dry = await valetkey(['apply', '-f', file, '--dry-run']);
  expect(dry).toMatchObject({ code: 0, err: '' });
  expect(dry.out.split('\n')).toEqual([
    'create integration acme',
    '  provider: generic-oauth2',
    '  client_id: me',
    `  params.authorization_url: ${endpoint}`,
    `  params.token_url: ${endpoint}`,
    '  client_secret: set',
    'create caller clr_billing (billing)',
    '  name: billing',
    '  grants.0.actions: ["token"]',
    '  grants.0.integrations: ["acme"]',
    '  grants.0.owners: ["*"]',
    `  keys.${key.slice(0, 8)}: set`,
    '',
  ]);
  expect((await valetkey(['apply', '-f', file, '--dry-run', '--exit-code'])).code).toBe(2);
  expectProblem(await broker.ask('GET', '/v1/integrations/acme'), 404, 'not_found');

  const applied = await valetkey(['apply', '-f', file, '--yes']);
  expect(applied).toEqual({ code: 0, out: `${dry.out}applied: 2 created, 0 updated\n`, err: '' });
  expectProblem(await broker.ask('GET', '/v1/audit', undefined, key), 403, 'forbidden');
  for (const more of [[], ['--yes'], ['--dry-run', '--exit-code']])
    expect(await valetkey(['apply', '-f', file, ...more])).toEqual({ code: 0, out: 'nothing to change\n', err: '' });
});

test('apply: shows each change as before → after, in color if enabled, and never a secret', async () => {
  write({ integrations: [acme], callers: [billing] });
  await valetkey(['apply', '-f', file, '--yes']);
  const next = { ...acme, client_id: 'you', client_secret: 'another-client-secret', scopes: ['read'] };
  write({ integrations: [next], callers: [{ ...billing, grants: [] }] });
  const { out } = await valetkey(['apply', '-f', file, '--dry-run']);
  expect(out.split('\n')).toEqual([
    'update integration acme',
    '  client_id: me → you',
    '  scopes: [] → ["read"]',
    '  client_secret: changed',
    'update caller clr_billing (billing)',
    '  grants.0.actions: ["token"] → (none)',
    '  grants.0.integrations: ["acme"] → (none)',
    '  grants.0.owners: ["*"] → (none)',
    '',
  ]);
  const colored = await valetkey(['apply', '-f', file, '--dry-run'], { color: true });
  expect(colored.out).toContain('\u001b[33m  client_secret: changed\u001b[39m');
  const json = await valetkey(['apply', '-f', file, '--json', '--yes']);
  expect(JSON.parse(json.out)).toMatchObject({ applied: true, needs_restart: [] });
  expect(out + colored.out + json.out).not.toMatch(/client-secret/);
});

test('apply: asks at a terminal, and applies nothing without a yes', async () => {
  write({ integrations: [acme] });
  const unattended = await valetkey(['apply', '-f', file]);
  expect(unattended).toMatchObject({ code: 64, out: expect.stringContaining('create integration acme') });
  expect(unattended.err).toMatch(/without a terminal, confirm with --yes/);
  const answering = (line: string) => ({ inputIsTty: true, question: async () => line });
  const no = await valetkey(['apply', '-f', file], answering(''));
  expect(no).toMatchObject({ code: 1, err: 'nothing was applied\n' });
  const withJson = await valetkey(['apply', '-f', file, '--json'], answering('y'));
  expect(withJson).toMatchObject({ code: 64, out: '' });
  expectProblem(await broker.ask('GET', '/v1/integrations/acme'), 404, 'not_found');
  expect((await valetkey(['apply', '-f', file], answering('y'))).code).toBe(0);
  expectOk(await broker.ask('GET', '/v1/integrations/acme'));
});

test('apply: reports all errors at once with the name of their resource, and applies nothing', async () => {
  const elsewhere = hole('NOT_SET_1');
  write({ integrations: [{ ...acme, client_id: elsewhere }], callers: [{ ...billing, key: hole('NOT_SET_2') }] });
  const unset = await valetkey(['apply', '-f', file, '--yes']);
  expect(unset).toMatchObject({ code: 1, out: '' });
  expect(unset.err.split('\n').slice(1)).toEqual([
    `  integration acme: client_id: ${hole('NOT_SET_1')} is not set in the environment`,
    `  caller billing: key: ${hole('NOT_SET_2')} is not set in the environment`,
    '',
  ]);
  write({ integrations: [acme, { ...acme, id: 'b', provider: 'nobody' }, { ...acme, id: 'c', params: {} }] });
  const wrong = await valetkey(['apply', '-f', file, '--yes']);
  expect(wrong).toMatchObject({ code: 1, out: '' });
  expect(wrong.err).toMatch(/^Nothing was applied:\n {2}integration b: provider: .*\n {2}integration c: params\.a/);
  write('{\n');
  expect((await valetkey(['apply', '-f', file])).err).toContain('not valid JSON at line 2, column 1');
  write('[]');
  expect((await valetkey(['apply', '-f', file])).err).toContain('not a JSON object');
  expect(expectOk(await broker.ask('GET', '/v1/integrations')).data).toEqual([]);
});

test('apply: names settings that need a restart; reads the file from stdin', async () => {
  const input = async () => JSON.stringify({ return_origins: ['https://app.example'] });
  const { code, out, err } = await valetkey(['apply', '-f', '-'], { input });
  expect({ code, out }).toEqual({ code: 0, out: 'nothing to change\n' });
  expect(err).toMatch(/^return_origins: .*takes effect when it is restarted with VALETKEY_CONFIG/);
});

test('apply --prune: names what is not in the file, and deletes it only then, after a question', async () => {
  const endpoints = { authorization_url: endpoint, token_url: endpoint };
  const used = { ...acme, id: 'used', client_secret: 'x'.repeat(8), params: endpoints };
  write({ integrations: [acme, { ...acme, id: 'old' }, used], callers: [billing, { name: 'gone', grants: [] }] });
  await valetkey(['apply', '-f', file, '--yes']);
  const credentials = { access_token: 'at' };
  expectOk(await broker.ask('POST', '/v1/connections', { integration: 'used', owner: 'x', credentials }), 201);
  const { data } = expectOk(await broker.ask('GET', '/v1/callers')) as { data: { id: string; name: string }[] };
  const gone = data.find(({ name }) => name === 'gone')!.id;

  write({ integrations: [acme, used], callers: [billing] });
  const named = await valetkey(['apply', '-f', file]);
  expect(named).toEqual({
    code: 0,
    out: 'nothing to change\n',
    err: `not in the file: caller ${gone} (gone); --prune deletes it\nnot in the file: integration old; --prune deletes it\n`,
  });
  const dry = await valetkey(['apply', '-f', file, '--prune', '--dry-run', '--exit-code']);
  expect(dry).toEqual({ code: 2, out: `delete caller ${gone} (gone)\ndelete integration old\n`, err: '' });
  expect((await valetkey(['apply', '-f', file, '--prune'])).code).toBe(64);
  const asked: string[] = [];
  const no = await valetkey(['apply', '-f', file, '--prune'], {
    inputIsTty: true,
    question: async (text) => {
      asked.push(text);
      return 'n';
    },
  });
  expect(no).toMatchObject({ code: 1, err: 'nothing was applied\n' });
  expect(asked).toEqual(['Apply these changes, and delete 2? [y/N] ']);
  expectOk(await broker.ask('GET', '/v1/integrations/old'));

  // A list that the file does not have says nothing of what there is.
  write({ callers: [billing] });
  expect((await valetkey(['apply', '-f', file, '--prune', '--dry-run'])).out).not.toContain('integration');
  // All or nothing: live connections keep their integration, and so nothing changes.
  write({ integrations: [{ ...acme, scopes: ['changed'] }], callers: [billing] });
  const kept = await valetkey(['apply', '-f', file, '--prune', '--yes']);
  expect(kept).toMatchObject({ code: 1, err: expect.stringMatching(/^Nothing was applied: .*used/) });
  expectOk(await broker.ask('GET', '/v1/integrations/old'));
  expectOk(await broker.ask('GET', `/v1/callers/${gone}`));
  expect(expectOk(await broker.ask('GET', '/v1/integrations/acme')).scopes).not.toEqual(['changed']);
  write({ integrations: [{ ...acme, scopes: ['changed'] }, used], callers: [billing] });
  const applied = await valetkey(['apply', '-f', file, '--prune', '--yes']);
  expect(applied).toMatchObject({ code: 0, out: expect.stringMatching(/applied: 0 created, 1 updated, 2 deleted\n$/) });
  expectProblem(await broker.ask('GET', '/v1/integrations/old'), 404, 'not_found');
  expectProblem(await broker.ask('GET', `/v1/callers/${gone}`), 404, 'not_found');
  expectOk(await broker.ask('GET', '/v1/integrations/used'));
});

test('apply --prune: does not delete the caller whose key it uses', async () => {
  const admin = await broker.callerKey();
  write({ callers: [] });
  const { code, out } = await valetkey(['apply', '-f', file, '--prune', '--yes'], {
    env: { VALETKEY_URL: broker.url, VALETKEY_KEY: admin },
  });
  expect({ code, out }).toEqual({ code: 0, out: 'nothing to change\n' });
  expectOk(await broker.ask('GET', '/v1/whoami', undefined, admin));
});
