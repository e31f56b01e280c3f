// Trusted issuers whose keys the configuration names, over HTTP: Kubernetes, SPIFFE, and faults of the file.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/runtime/config.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectOk } from '../../support/contract.ts';
import { createSigningKey, jwt, startIssuers } from '../../support/issuers.ts';

const CLUSTER = 'https://kubernetes.default.svc.cluster.local';
const REMOTE_CLUSTER = 'https://oidc.cluster.example/id/7';
const HERE = 'spiffe://example.org';
const THERE = 'spiffe://there.example';

const key = createSigningKey('k1');
const rsa = createSigningKey('r1', 'RS256');
const ed = createSigningKey('e1', 'EdDSA');
const later = createSigningKey('k2');
const bundle = (...pens: { jwk: Json }[]) => pens.map(({ jwk }) => ({ ...jwk, use: 'jwt-svid' }));
const x509 = { ...createSigningKey('x1').jwk, use: 'x509-svid', x5c: ['MIIB'] };

const remote = [rsa.jwk];
let broker: TestBroker;
let issuers: Awaited<ReturnType<typeof startIssuers>>;
beforeAll(async () => {
  issuers = await startIssuers({ remote, bundle: [x509, ...bundle(key)], discovered: bundle(key) });
  const trusted_issuers = [
    { issuer: CLUSTER, audiences: ['app'], jwks: { keys: [rsa.jwk, ed.jwk] } },
    { issuer: REMOTE_CLUSTER, audiences: ['app'], jwks_uri: `${issuers.urlOf('remote')}/jwks` },
    { issuer: HERE, audiences: ['app'], jwks: { keys: [x509, ...bundle(key, ed)], spiffe_sequence: 7 } },
    { issuer: THERE, audiences: ['app'], jwks_uri: `${issuers.urlOf('bundle')}/jwks` },
    { issuer: issuers.urlOf('discovered'), audiences: ['app'] },
  ];
  broker = await startTestBroker({}, { trusted_issuers });
});
afterAll(() => Promise.all([broker.stop(), issuers.close()]));

const seconds = () => Math.floor(Date.now() / 1_000);
const times = () => ({ iat: seconds(), exp: seconds() + 60 });
const token = (claims: Json, by = key, header: Json = {}) =>
  jwt({ alg: by.alg, kid: by.kid, ...header }, { aud: ['app'], ...times(), ...claims }, by);
async function verdict(jwtText: string, more: Json = {}): Promise<Json> {
  return expectOk(await broker.ask('POST', '/v1/jwt/verify', { token: jwtText, ...more }));
}
const refused = (reason: string, claim?: string) => ({ active: false, reason, ...(claim && { claim }) });

describe('configured keys', () => {
  const sub = 'system:serviceaccount:prod:web';

  test('in the file: nothing is fetched, and no other keys count', async () => {
    const account = { iss: CLUSTER, sub, 'kubernetes.io': { namespace: 'prod' } };
    expect(await verdict(token(account, rsa))).toMatchObject({ active: true, issuer: CLUSTER, claims: account });
    expect(await verdict(token(account, ed))).toMatchObject({ active: true });
    expect(await verdict(token(account, key))).toEqual(refused('unknown_key'));
    expect(await verdict(token(account, later, { kid: 'r1', alg: 'ES256' }))).toEqual(refused('unknown_key'));
    expect(await verdict(token({ ...account, aud: ['else'] }, rsa))).toEqual(refused('audience_mismatch'));
  });

  test('by URL: fetched without metadata; new keys are found', async () => {
    const account = { iss: REMOTE_CLUSTER, sub };
    expect(await verdict(token(account, rsa))).toMatchObject({ active: true, issuer: REMOTE_CLUSTER });
    remote.push(later.jwk);
    expect(await verdict(token(account, later))).toMatchObject({ active: true });
    const asked = issuers.received.map(({ path }) => path).filter((path) => path.startsWith('/remote/'));
    expect(asked).toEqual(['/remote/jwks', '/remote/jwks']);
  });

  test('are only for their issuer', async () => {
    expect(await verdict(token({ iss: REMOTE_CLUSTER, sub }, ed))).toEqual(refused('unknown_key'));
    expect(await verdict(token({ iss: CLUSTER, sub }, later))).toEqual(refused('unknown_key'));
  });
});

describe('JWT-SVID', () => {
  const web = `${HERE}/ns/prod/sa/web`;

  test('its issuer is the trust domain of its subject', async () => {
    expect(await verdict(token({ sub: web }))).toMatchObject({ active: true, issuer: HERE, claims: { sub: web } });
    expect(await verdict(token({ sub: `${THERE}/web` }))).toMatchObject({ active: true, issuer: THERE });
    expect(await verdict(token({ sub: web }), { issuer: HERE })).toMatchObject({ active: true });
    expect(await verdict(token({ sub: web }), { issuer: THERE })).toEqual(refused('untrusted_issuer'));
    expect(await verdict(token({ sub: 'spiffe://else.example/web' }))).toEqual(refused('untrusted_issuer'));
  });

  test('its subject is compared exactly', async () => {
    for (const sub of [
      ...[HERE, `${HERE}/`, `${web}/`, `${HERE}//web`, `${HERE}/../web`, `${HERE}/./web`, `${HERE}/web?x`, `${web}#x`],
      ...['SPIFFE://example.org/web', `${HERE}:443/web`, 'spiffe://me@example.org/web', `${web}\u0000`, `${web}\n`],
      ...[
        'spiffe://Example.org/web',
        'spiffe:///web',
        `${HERE}/w%65b`,
        `${HERE}/${'x'.repeat(2_048)}`,
        'web',
        7,
        [web],
      ],
    ])
      expect(await verdict(token({ sub }))).toEqual(refused('missing_claim', 'iss'));
  });

  test('an iss claim names the issuer', async () => {
    expect(await verdict(token({ iss: HERE, sub: web }))).toMatchObject({ active: true, issuer: HERE });
    expect(await verdict(token({ iss: HERE, sub: `${THERE}/web` }))).toEqual(refused('claim_mismatch', 'sub'));
    expect(await verdict(token({ iss: HERE, sub: 'web' }))).toEqual(refused('claim_mismatch', 'sub'));
    expect(await verdict(token({ iss: HERE }))).toEqual(refused('missing_claim', 'sub'));
    expect(await verdict(token({ iss: 'https://id.example', sub: web }))).toEqual(refused('untrusted_issuer'));
    expect(await verdict(token({ iss: CLUSTER, sub: web }))).toEqual(refused('unknown_key'));
    for (const iss of [null, '', 7])
      expect(await verdict(token({ iss, sub: web }))).toEqual(refused('untrusted_issuer'));
  });

  test('must have an audience and an expiry', async () => {
    for (const claim of ['aud', 'exp'])
      expect(await verdict(token({ sub: web, [claim]: undefined }))).toEqual(refused('missing_claim', claim));
    expect(await verdict(token({ sub: web, aud: ['else'] }))).toEqual(refused('audience_mismatch'));
  });

  test('must be signed by a JWT-SVID key with an allowed algorithm', async () => {
    const forged = createSigningKey('x1');
    expect(await verdict(token({ sub: web }, { ...forged, jwk: x509 }))).toEqual(refused('unknown_key'));
    expect(await verdict(token({ sub: web }, ed))).toEqual(refused('unsupported_algorithm'));
    expect(await verdict(token({ sub: web }, later, { kid: 'k1' }))).toEqual(refused('invalid_signature'));
    // An issuer with discovery is not a trust domain.
    const elsewhere = { iss: issuers.urlOf('discovered'), sub: web };
    expect(await verdict(token(elsewhere))).toEqual(refused('unknown_key'));
  });

  test('typ: none, JWT or JOSE', async () => {
    for (const typ of [undefined, 'JWT', 'JOSE'])
      expect(await verdict(token({ sub: web }, key, { typ }))).toMatchObject({ active: true });
    for (const typ of ['at+jwt', 'logout+jwt'])
      expect(await verdict(token({ sub: web }, key, { typ }))).toEqual(refused('type_mismatch'));
  });

  test('its verdict is cached', async () => {
    const svid = token({ sub: web });
    expect(await verdict(svid)).toEqual(await verdict(svid));
    expect(await verdict(svid, { audience: 'else' })).toEqual(refused('audience_mismatch'));
  });
});

describe('configuration file', () => {
  const SECRET = rsa.privateKey.export({ format: 'jwk' }).d!;
  const issuesOf = (...trusted_issuers: Json[]): string[] => {
    const parsed = parseConfig({ VALETKEY_CONFIG: 'f.json' }, () => JSON.stringify({ trusted_issuers }));
    return parsed.ok ? [] : parsed.issues.map((issue) => issue.replace('VALETKEY_CONFIG: trusted_issuers.', ''));
  };
  const issuer = CLUSTER;
  const own = (...keys: unknown[]) => ({ issuer, jwks: { keys } });
  const short = createSigningKey('s', 'RS256', 1_024).jwk;
  const jwks_uri = 'https://id.example/keys';

  test.each<[string, Json[], RegExp]>([
    ['keys in two places', [{ ...own(rsa.jwk), jwks_uri }], /^0\.jwks: either this or jwks_uri$/],
    ['a trust domain without keys', [{ issuer: HERE }], /^0\.issuer: needs jwks_uri or jwks/],
    ['a trust domain with a path', [{ issuer: `${HERE}/web`, jwks_uri }], /^0\.issuer: must be a trust domain only/],
    ['a trust domain with a slash', [{ issuer: `${HERE}/`, jwks_uri }], /^0\.issuer: must be a trust domain only/],
    ['what cannot be asked', [{ issuer: 'urn:example:issuer' }], /^0\.issuer: needs jwks_uri or jwks/],
    ['an address that is none', [{ issuer, jwks_uri: 'keys.json' }], /^0\.jwks_uri: an http/],
    ['an address in the file system', [{ issuer, jwks_uri: 'file:///keys.json' }], /^0\.jwks_uri: an http/],
    ['a private key', [own(key.jwk, rsa.privateKey.export({ format: 'jwk' }))], /^0\.jwks\.keys\.1: is a private key/],
    ['a symmetric key', [own({ kty: 'oct', k: SECRET }, key.jwk)], /^0\.jwks\.keys\.0: is a symmetric key/],
    ['a short key', [own(short)], /^0\.jwks\.keys\.0: is shorter than 2048 bits/],
    ['no keys', [own()], /^0\.jwks\.keys: /],
    ['no key that verifies', [own({ ...key.jwk, use: 'enc' }, { kty: 'new' })], /^0\.jwks\.keys: none of them can/],
    ['a key that is none', [own('key')], /^0\.jwks\.keys\.0: /],
    ['an issuer twice', [own(rsa.jwk), { issuer }], /^1\.issuer: is in another entry/],
  ])('refused by path with %s', (_, entries, fault) => {
    const issues = issuesOf(...entries);
    expect(issues).toEqual([expect.stringMatching(fault)]);
    expect(issues.join()).not.toContain(SECRET);
  });

  test('all of several faults are listed', () => {
    const issues = issuesOf(
      { issuer: HERE },
      { ...own({ ...rsa.privateKey.export({ format: 'jwk' }) }, { kty: 'oct', k: SECRET }), jwks_uri },
    );
    const paths = ['0.issuer', '1.jwks', '1.jwks.keys.0', '1.jwks.keys.1'];
    expect(issues.map((issue) => issue.split(': ')[0])).toEqual(expect.arrayContaining(paths));
    expect(issues.join()).not.toContain(SECRET);
  });

  test('an issuer may appear twice with other audiences; unknown keys are accepted', () => {
    expect(issuesOf({ issuer, audiences: ['a'] }, { issuer, audiences: ['b'] })).toEqual([]);
    expect(issuesOf(own(rsa.jwk, { ...key.jwk, use: 'enc' }, { kty: 'AKP', pub: 'x' }))).toEqual([]);
  });
});
