// `valetkey providers`: the catalogue, with the folder of the deployment, without a broker.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadCatalogue } from '../../src/catalogue/load.ts';
import { startTestBroker } from '../support/broker.ts';
import { expectOk } from '../support/contract.ts';
import { createFolder, entry, providersOf } from '../support/entries.ts';
import { createTerminal } from '../support/terminal.ts';

const valetkey = (args: string[], env: Record<string, string> = {}) => createTerminal(env)(['providers', ...args]);

test('providers list: all entries, and those of VALETKEY_PROVIDERS_DIR', async () => {
  const dir = createFolder({ 'acme.json': entry('acme', { name: 'Acme CRM' }) });
  const { code, out } = await valetkey(['list'], { VALETKEY_PROVIDERS_DIR: dir });
  expect(code).toBe(0);
  const ids = out
    .trim()
    .split('\n')
    .map((line) => line.split('\t')[0]);
  expect(ids.sort()).toEqual([...providersOf(loadCatalogue([])).keys(), 'acme'].sort());
  expect(out).toContain('acme\tAcme CRM\tgeneric\toauth2_code\n');
});

test('providers show: explains parameters, refresh, how the token is sent, and revocation', async () => {
  const { code, out } = await valetkey(['show', 'quickbooks']);
  expect(code).toBe(0);
  for (const said of [
    'QuickBooks Online (quickbooks), accounting, documented',
    'environment: QuickBooks environment (one of production, sandbox; default production)',
    'expires when unused for 101 days; expires 5 years after the consent.',
    'The token is sent in the header Authorization: Bearer ….',
    'Captured on the connection: realm_id',
    'confirmed by GET /companyinfo/{realm_id}?minorversion=75 (401, 403: nothing is connected; otherwise: they are believed)',
  ])
    expect(out).toContain(said);
  expect(JSON.parse((await valetkey(['show', 'quickbooks', '--json'])).out)).toMatchObject({ id: 'quickbooks' });
  const unknown = await valetkey(['show', 'quickboks']);
  expect(unknown).toMatchObject({ code: 1, out: '' });
  expect(unknown.err).toContain('there is no provider "quickboks"; see: valetkey providers list');
});

test('providers show: says of a protected resource that it names its own authorization server', async () => {
  const { out } = await valetkey(['show', 'mcp']);
  expect(out).toContain('Connected in a browser, at the authorization server that the server names.');
  expect(out).toContain('Revoked upstream where the authorization server can (RFC 7009).');
  const all = await valetkey(['list']);
  for (const id of all.out
    .trim()
    .split('\n')
    .map((line) => line.split('\t')[0]!))
    expect((await valetkey(['show', id])).out, id).not.toMatch(/, at [,.]|undefined/);
});

test('providers check: lists the errors of a file by field, or explains a valid entry', async () => {
  const dir = createFolder({
    'acme.json': entry('acme', { auth: [{ mode: 'basic' }] }),
    'broken.json': entry('broken', { category: 'none', auth: [{ mode: 'oauth2_code', token_url: 'ftp://x' }] }),
  });
  const valid = await valetkey(['check', join(dir, 'acme.json')]);
  expect(valid.code).toBe(0);
  expect(valid.out).toContain('The entry is valid:');
  expect(valid.out).toContain('username: user name');
  const broken = await valetkey(['check', join(dir, 'broken.json')]);
  expect(broken.code).toBe(1);
  expect(broken.err).toMatch(/ {2}category: .+\n[\s\S]* {2}auth\[0\]\.token_url: an https URL/);
  const json = await valetkey(['check', join(dir, 'broken.json'), '--json']);
  expect(json.code).toBe(1);
  expect(JSON.parse(json.out)).toMatchObject({ valid: false });
});

test('VALETKEY_PROVIDERS_DIR: the broker serves an entry without a rebuild, and a faulty one stops the start', async () => {
  const dir = createFolder({ 'acme.json': entry('acme', { auth: [{ mode: 'api_key' }] }) });
  const broker = await startTestBroker({ VALETKEY_PROVIDERS_DIR: dir });
  try {
    expectOk(await broker.ask('PUT', '/v1/integrations/acme', { provider: 'acme' }), 201);
    const credentials = { api_key: 'made-up-key-of-the-test' };
    const body = { integration: 'acme', owner: 'ada', credentials };
    const { id } = expectOk(await broker.ask('POST', '/v1/connections', body), 201);
    const token = expectOk(await broker.ask('GET', `/v1/connections/${id}/token`));
    expect(token).toMatchObject({ access_token: credentials.api_key, token_type: 'Bearer', expires_at: null });
  } finally {
    await broker.stop();
  }
  const faulty = createFolder({ 'acme.json': entry('acme', { name: 7 }) });
  await expect(startTestBroker({ VALETKEY_PROVIDERS_DIR: faulty })).rejects.toThrow('acme.json: name:');
});
