// Workload identity: a service authenticates with the JWT of its platform instead of a key.
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CallerCreated, CallerView, Whoami } from '../../src/api/index.ts';
import { type Json, startTestBroker, type TestBroker } from '../support/broker.ts';
import { expectIssues, expectOk, expectProblem } from '../support/contract.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';
import { createMovingClock } from '../support/moving-clock.ts';

const clock = createMovingClock();
let issuer: Issuer;
let other: Issuer;
let foreign: Issuer;
let broker: TestBroker;
beforeAll(async () => {
  [issuer, other, foreign] = await Promise.all([
    startIssuer(clock.now),
    startIssuer(clock.now),
    startIssuer(clock.now),
  ]);
  const trusted_issuers = [{ issuer: issuer.url, audiences: ['users'] }, { issuer: other.url }];
  broker = await startTestBroker({}, { trusted_issuers }, { clock });
});
afterAll(() => Promise.all([broker.stop(), issuer.close(), other.close(), foreign.close()]));

const ask = (method: string, path: string, body?: unknown, key?: string) => broker.ask(method, path, body, key);
const grants = [{ actions: ['token', 'connections:read'], integrations: ['*'], owners: ['team_*'] }];
const bind = (claims: Json, more: Json = {}, name = 'mailer') =>
  ask('POST', '/v1/callers', {
    name,
    grants,
    workloads: [{ issuer: issuer.url, audience: 'valetkey', claims, ...more }],
  });
const whoami = (token: string) => ask('GET', '/v1/whoami', undefined, token);
const reasonOf = async (token: string) => expectProblem(await whoami(token), 401, 'unauthenticated').reason;
/** A unique subject. */
let subjects = 0;
const aSubject = () => `system:serviceaccount:prod:service-${++subjects}`;

describe('workload', () => {
  test('no key: the token authenticates the caller, with its grants and audit', async () => {
    const sub = aSubject();
    const created = expectOk(await bind({ sub }), 201);
    CallerCreated.strict().parse(created);
    expect(created).toMatchObject({ key: null, key_id: null });
    const [{ id: binding }] = created.workloads as [Json];
    expect(binding).toMatch(/^wl_/);
    const token = await issuer.sign({ sub });
    const me = expectOk(await whoami(token));
    Whoami.parse(me);
    expect(me).toMatchObject({
      id: created.id,
      name: 'mailer',
      grants,
      authenticated_by: { kind: 'workload', id: binding, issuer: issuer.url, subject: sub },
      rate_limit: null,
    });
    expectOk(await ask('GET', '/v1/connections?owner=team_1', undefined, token));
    const denied = await ask('GET', '/v1/token?integration=acme&owner=user_1', undefined, token);
    expectProblem(denied, 404, 'not_found');
    const { data } = expectOk(await ask('GET', `/v1/audit?actor=${created.id}`));
    expect(data).toMatchObject([
      { action: 'access.denied', outcome: 'denied', key_id: binding, subject: sub },
      { action: 'connection.list', outcome: 'ok', key_id: binding, subject: sub },
    ]);
  });

  test('a key as well', async () => {
    const { id } = expectOk(await bind({ sub: aSubject() }), 201);
    const { key } = expectOk(await ask('POST', `/v1/callers/${id}/keys`), 201);
    expect(expectOk(await whoami(String(key)))).toMatchObject({ id, authenticated_by: { kind: 'key' } });
  });

  test.each<[string, Json, Json, boolean]>([
    [
      'an exact claim',
      { sub: 'repo:acme/app:ref:refs/heads/main' },
      { sub: 'repo:acme/app:ref:refs/heads/main' },
      true,
    ],
    ['a similar value', { sub: 'repo:acme/app' }, { sub: 'repo:acme/app2' }, false],
    ['a prefix', { sub: 'repo:acme/lib:*' }, { sub: 'repo:acme/lib:pull_request' }, true],
    ['nothing after a prefix is a value too', { sub: 'repo:acme/doc:*' }, { sub: 'repo:acme/docs' }, false],
    ['every claim', { repository: 'acme/x', environment: 'prod' }, { repository: 'acme/x', environment: 'prod' }, true],
    ['one of two', { repository: 'acme/y', environment: 'prod' }, { repository: 'acme/y', environment: 'dev' }, false],
    ['a claim that is not there', { namespace: 'n1' }, { sub: 'x' }, false],
    ['a member of a list', { groups: 'deployers' }, { groups: ['readers', 'deployers'] }, true],
    ['a number', { run: '17' }, { run: 17 }, true],
    ['an object is no value', { unit: '[object Object]' }, { unit: {} }, false],
    ['a name of Object.prototype', { constructor: 'function:*' }, { sub: 'y' }, false],
  ])('%s', async (_, claims, given, fits) => {
    const { id } = expectOk(await bind(claims), 201);
    const token = await issuer.sign(given);
    if (fits) expect(expectOk(await whoami(token)).id).toBe(id);
    else expect(await reasonOf(token)).toBe('no_matching_workload');
    expect(await ask('DELETE', `/v1/callers/${id}`)).toMatchObject({ status: 204 });
  });

  test('needs the audience of its own binding', async () => {
    const [one, two] = [aSubject(), aSubject()];
    expectOk(await bind({ sub: one }, { audience: 'first' }), 201);
    expectOk(await bind({ sub: two }, { audience: 'second' }), 201);
    expectOk(await whoami(await issuer.sign({ sub: one, aud: 'first' })));
    expectOk(await whoami(await issuer.sign({ sub: one, aud: ['elsewhere', 'first'] })));
    expect(await reasonOf(await issuer.sign({ sub: one, aud: 'second' }))).toBe('no_matching_workload');
    expect(await reasonOf(await issuer.sign({ sub: one, aud: 'users' }))).toBe('audience_mismatch');
  });

  test('401 when it matches two callers', async () => {
    const sub = 'system:serviceaccount:both:service';
    const first = expectOk(await bind({ sub }), 201);
    const token = await issuer.sign({ sub });
    expectOk(await whoami(token));
    const second = expectOk(await bind({ sub: 'system:serviceaccount:both:*' }), 201);
    expect(await reasonOf(token)).toBe('ambiguous_workload');
    expect(await ask('DELETE', `/v1/callers/${second.id}`)).toMatchObject({ status: 204 });
    expect(expectOk(await whoami(token)).id).toBe(first.id);
  });
});

describe('cached workload token', () => {
  test('401 once it has expired', async () => {
    const sub = aSubject();
    expectOk(await bind({ sub }), 201);
    const token = await issuer.sign({ sub });
    expectOk(await whoami(token));
    clock.advance(120_000);
    expect(await reasonOf(token)).toBe('expired');
  });

  test('401 once its caller is deleted or bound to other claims', async () => {
    const sub = aSubject();
    const token = await issuer.sign({ sub });
    const { id } = expectOk(await bind({ sub }), 201);
    expectOk(await whoami(token));
    const workloads = [{ issuer: issuer.url, audience: 'valetkey', claims: { sub: aSubject() } }];
    const put = expectOk(await ask('PUT', `/v1/callers/${id}`, { name: 'mailer', grants, workloads }));
    CallerView.strict().parse(put);
    expect(await reasonOf(token)).toBe('no_matching_workload');

    const again = expectOk(await bind({ sub }), 201);
    expectOk(await whoami(token));
    expect(await ask('DELETE', `/v1/callers/${again.id}`)).toMatchObject({ status: 204 });
    expect(await reasonOf(token)).toBe('no_matching_workload');
  });

  test('not verified again', async () => {
    const sub = aSubject();
    expectOk(await bind({ sub }), 201);
    const token = await issuer.sign({ sub });
    expectOk(await whoami(token));
    const before = issuer.requestCount();
    // After the issuer's documents have aged, only a verification fetches them again.
    clock.advance(30_000);
    expectOk(await whoami(token));
    expect(issuer.requestCount()).toBe(before);
  });
});

describe('forged workload token: 401', () => {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  let sub: string;
  beforeAll(async () => {
    sub = aSubject();
    expectOk(await bind({ sub }), 201);
  });

  test.each<[string, string, () => Promise<string>]>([
    [
      'no algorithm',
      'malformed',
      async () => {
        const [, claims] = (await issuer.sign({ sub })).split('.');
        return `${encode({ alg: 'none' })}.${claims}.`;
      },
    ],
    [
      'a key of its own',
      'invalid_signature',
      () => issuer.sign({ sub }, {}, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    ],
    [
      'a key in the header',
      'invalid_signature',
      () => {
        const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
        return issuer.sign({ sub }, { jwk: own.publicKey.export({ format: 'jwk' }) }, own.privateKey);
      },
    ],
    ['another trusted issuer', 'untrusted_issuer', () => other.sign({ sub })],
    ["another issuer's signature", 'invalid_signature', () => other.sign({ sub, iss: issuer.url })],
    ['an unknown issuer', 'untrusted_issuer', () => foreign.sign({ sub, iss: 'https://op.example' })],
    [
      'other claims under a good signature',
      'invalid_signature',
      async () => {
        const [header, , signature] = (await issuer.sign({ sub: 'nobody' })).split('.');
        const [, claims] = (await issuer.sign({ sub })).split('.');
        return `${header}.${claims}.${signature}`;
      },
    ],
    ['an old one', 'expired', () => issuer.sign({ sub, exp: Math.floor(clock.now() / 1_000) - 60 })],
    ['one that never ends', 'missing_claim', () => issuer.sign({ sub, exp: undefined })],
    ['one of tomorrow', 'not_yet_valid', () => issuer.sign({ sub, nbf: Math.floor(clock.now() / 1_000) + 86_400 })],
    ['one for the users of an app', 'audience_mismatch', () => issuer.sign({ sub, aud: 'users' })],
  ])('%s', async (_, reason, forge) => {
    const fresh = await startFresh();
    try {
      const answer = await fresh.ask('GET', '/v1/whoami', undefined, await forge());
      const told = expectProblem(answer, 401, 'unauthenticated');
      expect(told.reason === reason || (reason === 'malformed' && told.reason === 'unsupported_algorithm')).toBe(true);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="valetkey", error="invalid_token"');
    } finally {
      await fresh.stop();
    }
  });

  /** A broker whose failure limit is untouched. */
  async function startFresh() {
    const fresh = await startTestBroker(
      {},
      { trusted_issuers: [{ issuer: issuer.url }, { issuer: other.url }] },
      { clock },
    );
    const workloads = [{ issuer: issuer.url, audience: 'valetkey', claims: { sub } }];
    expectOk(await fresh.ask('POST', '/v1/callers', { name: 'mailer', grants, workloads }), 201);
    return fresh;
  }

  test('keys are not fetched from an issuer that no caller is bound to', async () => {
    const fresh = await startFresh();
    try {
      const before = other.requestCount();
      expectProblem(await fresh.ask('GET', '/v1/whoami', undefined, await other.sign({ sub })), 401, 'unauthenticated');
      expect(other.requestCount()).toBe(before);
    } finally {
      await fresh.stop();
    }
  });

  test('429 for a wrong token after too many failures; a right one passes, known or new', async () => {
    const fresh = await startFresh();
    const present = (token: string) => fresh.ask('GET', '/v1/whoami', undefined, token);
    try {
      const known = await issuer.sign({ sub });
      expectOk(await present(known));
      for (let i = 0; i < 30; i++)
        expectProblem(await present(await issuer.sign({ sub: `${i}` })), 401, 'unauthenticated');
      expectProblem(await present(await issuer.sign({ sub: 'x' })), 429, 'too_many_requests');
      const wrong = await present(await issuer.sign({ sub }, { kid: 'of-no-key' }));
      expect(Number(wrong.headers.get('retry-after'))).toBeGreaterThan(0);
      expectProblem(wrong, 429, 'too_many_requests');
      expectOk(await present(await issuer.sign({ sub, jti: 'new' })));
      expectOk(await present(known));
    } finally {
      await fresh.stop();
    }
  });
});

describe('binding: 400', () => {
  test.each<[string, Json, string]>([
    ['to an issuer that is not trusted', { issuer: 'https://op.example' }, 'workloads.0.issuer'],
    ['without claims', { claims: {} }, 'workloads.0.claims'],
    ['to any value', { claims: { sub: '*' } }, 'workloads.0.claims'],
    ['to a pattern with * in its middle', { claims: { sub: 'a*b' } }, 'workloads.0.claims.sub'],
    ['without an audience', { audience: undefined }, 'workloads.0.audience'],
    ['with an unknown member', { subject: 'x' }, 'workloads.0.subject'],
  ])('%s', async (_, more, path) => {
    expectIssues(await bind({ sub: 'x' }, more), path);
  });

  test('in the declarative file too, by name', async () => {
    const workloads = [{ issuer: 'https://op.example', audience: 'valetkey', claims: { sub: 'x' } }];
    const declared = { callers: [{ name: 'mailer', grants, workloads }] };
    await expect(startTestBroker({}, declared)).rejects.toThrow(
      /VALETKEY_CONFIG: caller mailer: workloads\.0\.issuer: is not a trusted issuer/,
    );
  });
});

test('declarative file: binds callers, and leaves unchanged bindings alone', async () => {
  const sub = aSubject();
  const workloads = [{ issuer: issuer.url, audience: 'valetkey', claims: { sub } }];
  const declared = {
    trusted_issuers: [{ issuer: issuer.url }],
    callers: [{ id: 'clr_mailer', name: 'mailer', grants, workloads, rate_limit: { requests: 5, window: 60 } }],
  };
  const fresh = await startTestBroker({}, declared, { clock });
  try {
    const me = expectOk(await fresh.ask('GET', '/v1/whoami', undefined, await issuer.sign({ sub })));
    expect(me).toMatchObject({ id: 'clr_mailer', rate_limit: { requests: 5, window: 60 } });
  } finally {
    await fresh.stop();
  }
});

test('JWT-SVID: no issuer needed, its trust domain has its own keys', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const bundle = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'jwt-svid' }] };
  const domain = 'spiffe://acme.example';
  const fresh = await startTestBroker({}, { trusted_issuers: [{ issuer: domain, jwks: bundle }] }, { clock });
  const svid = (sub: string, key = privateKey) => issuer.sign({ iss: undefined, iat: undefined, sub }, {}, key);
  const present = async (token: string) => fresh.ask('GET', '/v1/whoami', undefined, token);
  try {
    const workloads = [{ issuer: domain, audience: 'valetkey', claims: { sub: `${domain}/ns/prod/*` } }];
    const { id } = expectOk(await fresh.ask('POST', '/v1/callers', { name: 'mailer', grants, workloads }), 201);
    const me = expectOk(await present(await svid(`${domain}/ns/prod/mailer`)));
    expect(me).toMatchObject({ id, authenticated_by: { issuer: domain, subject: `${domain}/ns/prod/mailer` } });
    const why = async (token: string) => expectProblem(await present(token), 401, 'unauthenticated').reason;
    expect(await why(await svid(`${domain}/ns/dev/mailer`))).toBe('no_matching_workload');
    expect(await why(await svid('spiffe://other.example/ns/prod/mailer'))).toBe('untrusted_issuer');
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    expect(await why(await svid(`${domain}/ns/prod/mailer`, stranger))).toBe('invalid_signature');
  } finally {
    await fresh.stop();
  }
});
