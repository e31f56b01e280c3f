// Batch verification of JWTs, over HTTP.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Verdicts } from '../../../src/api/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../../support/contract.ts';
import { createSigningKey, jwt, startIssuers } from '../../support/issuers.ts';

const key = createSigningKey('k1');
let broker: TestBroker;
let issuers: Awaited<ReturnType<typeof startIssuers>>;
beforeAll(async () => {
  issuers = await startIssuers({ main: [key.jwk], second: [key.jwk] }, (path) => {
    if (path.startsWith('/silent/')) return 'hang';
    return path.startsWith('/broken/') ? { status: 500 } : undefined;
  });
  const names = ['main', 'second', 'silent', 'broken'];
  const trusted_issuers = names.map((name) => ({ issuer: issuers.urlOf(name), audiences: ['app'] }));
  broker = await startTestBroker({}, { trusted_issuers });
});
afterAll(() => Promise.all([broker.stop(), issuers.close()]));

const seconds = () => Math.floor(Date.now() / 1_000);
function token(claims: Json = {}) {
  const times = { iat: seconds(), exp: seconds() + 60 };
  return jwt(
    { alg: 'ES256', kid: 'k1' },
    { iss: issuers.urlOf('main'), sub: 'a', aud: 'app', ...times, ...claims },
    key,
  );
}
const ask = (body: Json, caller?: string) => broker.ask('POST', '/v1/jwt/verify-batch', body, caller);
async function outcomes(body: Json): Promise<string[]> {
  const { verdicts } = Verdicts.parse(expectOk(await ask(body)));
  return verdicts.map((verdict) => (verdict.active ? `active ${String(verdict.claims.sub)}` : verdict.reason));
}

test('batch verification: a verdict for each token, in order', async () => {
  const tokens = [
    { token: token({ sub: 'one' }) },
    { token: 'no token' },
    { token: token({ sub: 'two', iss: issuers.urlOf('second') }) },
    { token: token({ exp: seconds() - 60 }) },
    { token: token({ iss: 'https://id.example' }) },
    { token: token({ sub: 'three' }) },
  ];
  const expected = ['active one', 'malformed', 'active two', 'expired', 'untrusted_issuer', 'active three'];
  expect(await outcomes({ tokens })).toEqual(expected);
  expect(await outcomes({ tokens: [...tokens].reverse() })).toEqual(expected.reverse());
});

test('batch verification: shared expectations are defaults for each token', async () => {
  const tokens = [
    { token: token({ aud: 'else' }) },
    { token: token({ aud: 'else' }), audience: 'app' },
    { token: token({ aud: 'app' }), audience: ['app', 'portal'] },
    { token: token({ aud: 'else', iat: seconds() - 100 }) },
    { token: token({ aud: 'else', iat: seconds() - 100 }), max_age: 600 },
  ];
  const expected = ['active a', 'audience_mismatch', 'active a', 'too_old', 'active a'];
  expect(await outcomes({ audience: 'else', max_age: 60, tokens })).toEqual(expected);
  const ids = [{ token: token({ nonce: 'n' }), nonce: 'n' }, { token: token() }];
  expect(await outcomes({ profile: 'id_token', nonce: 'other', tokens: ids })).toEqual(['active a', 'missing_claim']);
  const one = { token: token({ nonce: 'n' }), profile: 'id_token' };
  expect(await outcomes({ profile: 'access_token', nonce: 'n', tokens: [one] })).toEqual(['active a']);
});

test('batch verification: 1 to 100 tokens', async () => {
  const tokens = Array.from({ length: 100 }, (_, i) => ({ token: token({ sub: String(i) }) }));
  expect(await outcomes({ tokens })).toEqual(tokens.map((_, i) => `active ${i}`));
  expectIssues(await ask({ tokens: [...tokens, ...tokens.slice(0, 1)] }), 'tokens');
  expectIssues(await ask({ tokens: [] }), 'tokens');
});

describe('batch verification with an issuer', () => {
  test('that fails: the verdicts of others are unaffected', async () => {
    const bad = Array.from({ length: 40 }, () => ({ token: token({ iss: issuers.urlOf('broken') }) }));
    expect(await outcomes({ tokens: [...bad, { token: token() }] })).toEqual([
      ...bad.map(() => 'issuer_unavailable'),
      'active a',
    ]);
  });

  test('that never responds: not waited for, and holds up no others', async () => {
    const silent = Array.from({ length: 40 }, () => ({ token: token({ iss: issuers.urlOf('silent') }) }));
    const started = performance.now();
    expect(await outcomes({ tokens: [...silent, { token: token({ iss: issuers.urlOf('second') }) }] })).toEqual([
      ...silent.map(() => 'issuer_unavailable'),
      'active a',
    ]);
    // A single verification waits up to ten seconds for each address.
    expect(performance.now() - started).toBeLessThan(9_500);
  });
});

test('batch verification: 403 without jwt:verify', async () => {
  const tokens = [{ token: token() }, { token: token() }, { token: 'none' }];
  const stranger = await broker.callerKey({ actions: ['token'] });
  expectProblem(await ask({ tokens }, stranger), 403, 'forbidden');
  const verifier = await broker.callerKey({ actions: ['jwt:verify'], integrations: ['acme'], owners: ['nobody'] });
  expect(expectOk(await ask({ tokens }, verifier)).verdicts).toHaveLength(3);
  expectProblem(await ask({ tokens }, 'vk_unknown'), 401, 'unauthenticated');
});

test('batch verification: 400 that names the faults of each token', async () => {
  const good = token();
  expectIssues(
    await ask({ tokens: [{ token: good }, { token: good, nonce: 'n' }, { token: good, typ: '' }, {}], colour: 'red' }),
    ...['tokens.2.typ', 'tokens.3.token', 'colour'],
  );
  expectIssues(await ask({ tokens: [{ token: good }, { token: good, nonce: 'n' }] }), 'tokens.1.nonce');
  expectIssues(
    await ask({ tokens: [{ token: good }, { token: good }], nonce: 'n' }),
    'tokens.0.nonce',
    'tokens.1.nonce',
  );
  expectProblem(await ask({ tokens: [{ token: 'x'.repeat(140_000) }] }), 413, 'payload_too_large');
});
