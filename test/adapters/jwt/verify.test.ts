// The JWT verifier, with a real authorization server, and with a scripted issuer that fails on demand.
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type JWK, SignJWT } from 'jose';
import { OAuth2Server } from 'oauth2-mock-server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createJwtVerifier } from '../../../src/adapters/jwt/verify.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const AUDIENCE = 'https://broker.example';

interface Signer {
  kid: string;
  alg: string;
  privateKey: KeyObject;
  jwk: JWK;
}

function signer(kid: string, alg = 'RS256'): Signer {
  const pair = alg.startsWith('E')
    ? alg === 'EdDSA' || alg === 'Ed25519'
      ? generateKeyPairSync('ed25519')
      : generateKeyPairSync('ec', { namedCurve: { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg]! })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    kid,
    alg,
    privateKey: pair.privateKey,
    jwk: { ...pair.publicKey.export({ format: 'jwk' }), kid, alg } as JWK,
  };
}

const json64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with any header and claims, signed with any key or not at all. */
function forge(header: object, claims: unknown, signature: (input: string) => Buffer): string {
  const input = `${json64(header)}.${json64(claims)}`;
  return `${input}.${signature(input).toString('base64url')}`;
}

const rs256 = (key: KeyObject) => (input: string) => sign('sha256', Buffer.from(input), key);
const unsigned = () => Buffer.alloc(0);

/** An issuer that counts requests and fails on demand. */
async function startIssuer() {
  const state = {
    url: '',
    keys: [] as unknown[],
    behaviour: 'up' as 'up' | 'hangs up' | '500' | 'garbage',
    metadata: {} as Record<string, unknown>,
    wellKnown: '/.well-known/openid-configuration',
    fetched: [] as string[],
    close: () => new Promise<void>((done) => server.close(() => done())),
  };
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    state.fetched.push(path);
    if (state.behaviour === 'hangs up') return void request.socket.destroy();
    if (state.behaviour === '500') return void response.writeHead(500).end('{}');
    if (state.behaviour === 'garbage') return void response.end('<html>sign in</html>');
    if (path === '/keys') return void response.end(JSON.stringify({ keys: state.keys }));
    if (path !== state.wellKnown) return void response.writeHead(404).end();
    response.end(JSON.stringify({ issuer: state.url, jwks_uri: `${origin}/keys`, ...state.metadata }));
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  state.url = origin;
  return state;
}

const jwksFetches = (issuer: { fetched: string[] }) => issuer.fetched.filter((path) => path === '/keys').length;

function setup() {
  const time = { ms: Date.parse('2026-03-01T12:00:00Z') };
  const clock = { now: () => time.ms, monotonic: () => time.ms };
  return { time, jwts: createJwtVerifier({ fetch: (url, init) => fetch(url, init), clock }) };
}

const key = signer('k1');
const next = signer('k2');
let issuer: Awaited<ReturnType<typeof startIssuer>>;
let time: { ms: number };
let jwts: ReturnType<typeof createJwtVerifier>;

beforeEach(async () => {
  issuer = await startIssuer();
  issuer.keys = [key.jwk];
  ({ time, jwts } = setup());
});
afterEach(() => issuer.close());

const claims = (changes: Record<string, unknown> = {}) => {
  const now = time.ms / SECOND;
  return { iss: issuer.url, aud: AUDIENCE, sub: 'user_42', iat: now, exp: now + 24 * 3600, ...changes };
};
const header = (by: Signer) => ({ alg: by.alg, kid: by.kid, typ: 'JWT' });
const token = (changes: Record<string, unknown> = {}, by = key) =>
  forge(header(by), claims(changes), rs256(by.privateKey));
const trusted = (audiences: string[] = []) => ({ issuer: issuer.url, audiences, clientIds: [], isListed: true });
const verify = (jwt: string, audience: string | undefined = AUDIENCE) =>
  jwts.verify(jwt, trusted(), { audiences: [audience] });
const reason = async (jwt: string, audience: string | undefined = AUDIENCE) => {
  const verdict = await verify(jwt, audience);
  return verdict.active ? 'active' : verdict.reason;
};

describe('JWT of a real authorization server', () => {
  const server = new OAuth2Server();
  beforeAll(async () => {
    await server.issuer.keys.generate('RS256', { kid: 'first' });
    await server.start(0, '127.0.0.1');
  });
  afterAll(() => server.stop());
  const issued = (kid: string, audience = AUDIENCE) =>
    server.issuer.buildToken({ kid, scopesOrTransform: (_, payload) => Object.assign(payload, { aud: audience }) });

  it('is active, also after a key rotation', async () => {
    time.ms = Date.now();
    const trustedIssuers = { issuer: server.issuer.url!, audiences: [], clientIds: [], isListed: true };
    const verdict = await jwts.verify(await issued('first'), trustedIssuers, { audiences: [AUDIENCE] });
    expect(verdict).toMatchObject({
      active: true,
      issuer: trustedIssuers.issuer,
      claims: { iss: trustedIssuers.issuer, aud: AUDIENCE },
      header: { alg: 'RS256', kid: 'first' },
    });

    await server.issuer.keys.generate('RS256', { kid: 'second' });
    expect(await jwts.verify(await issued('second'), trustedIssuers, { audiences: [AUDIENCE] })).toMatchObject({
      active: true,
    });
    expect(await jwts.verify(await issued('second', 'else'), trustedIssuers, { audiences: [AUDIENCE] })).toMatchObject({
      active: false,
    });
  });

  it('has a valid signature for logins, also right after a key rotation', async () => {
    time.ms = Date.now();
    const uri = `${server.issuer.url}/jwks`;
    expect(await jwts.verifySignature(await issued('first'), server.issuer.url!, uri)).toBe('valid');
    await server.issuer.keys.generate('RS256', { kid: 'third' });
    expect(await jwts.verifySignature(await issued('third'), server.issuer.url!, uri)).toBe('valid');
  });
});

describe('algorithms', () => {
  it.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'])(
    'takes %s',
    async (alg) => {
      const by = signer('k', alg);
      issuer.keys = [by.jwk];
      const jwt = await new SignJWT(claims()).setProtectedHeader(header(by)).sign(by.privateKey);
      expect(await reason(jwt)).toBe('active');
      expect(await jwts.verifySignature(jwt, issuer.url, `${issuer.url}/keys`)).toBe('valid');
    },
  );

  it('refuses alg none without a request to the issuer', async () => {
    for (const alg of ['none', 'None', 'NONE', ''])
      expect(await reason(forge({ alg, kid: 'k1' }, claims(), unsigned))).toBe('unsupported_algorithm');
    expect(issuer.fetched).toEqual([]);
    expect(
      await jwts.verifySignature(forge({ alg: 'none' }, claims(), unsigned), issuer.url, `${issuer.url}/keys`),
    ).toBe('invalid');
  });

  it('refuses HS256 with the public key as its secret', async () => {
    const pem = createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' }).toString();
    const hs256 = (secret: string) => (input: string) => createHmac('sha256', secret).update(input).digest();
    for (const secret of [pem, pem.trim(), JSON.stringify(key.jwk)]) {
      const jwt = forge({ alg: 'HS256', kid: 'k1' }, claims(), hs256(secret));
      expect(await reason(jwt)).toBe('unsupported_algorithm');
      expect(await jwts.verifySignature(jwt, issuer.url, `${issuer.url}/keys`)).toBe('invalid');
    }
  });

  it("refuses HS256 even when the issuer's metadata and keys have it", async () => {
    const secret = Buffer.from('a secret that everybody can read');
    issuer.keys = [{ kty: 'oct', kid: 'k1', alg: 'HS256', k: secret.toString('base64url') }];
    issuer.metadata = { id_token_signing_alg_values_supported: ['HS256', 'RS256', 'none'] };
    const jwt = forge({ alg: 'HS256', kid: 'k1' }, claims(), (i) => createHmac('sha256', secret).update(i).digest());
    expect(await reason(jwt)).toBe('unsupported_algorithm');
  });

  it('refuses an algorithm that the metadata does not list', async () => {
    issuer.metadata = { id_token_signing_alg_values_supported: ['ES256'] };
    expect(await reason(token())).toBe('unsupported_algorithm');
    issuer.metadata = { id_token_signing_alg_values_supported: ['ES256', 'RS256'] };
    time.ms += 10 * MINUTE;
    expect(await reason(token())).toBe('active');
  });

  it('refuses a key for another algorithm or use', async () => {
    issuer.keys = [{ ...key.jwk, alg: 'PS256' }];
    expect(await reason(token())).toBe('unknown_key');
    issuer.keys = [{ ...key.jwk, use: 'enc' }];
    expect(await reason(token())).toBe('unknown_key');
  });

  it('refuses a short RSA key', async () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 1024 });
    issuer.keys = [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'k1' }];
    expect(await reason(forge(header(key), claims(), rs256(pair.privateKey)))).toBe('unknown_key');
  });
});

describe('forged tokens', () => {
  it('refuses another key under a known kid, without a refetch', async () => {
    expect(await reason(token())).toBe('active');
    expect(await reason(forge(header(key), claims(), rs256(next.privateKey)))).toBe('invalid_signature');
    expect(jwksFetches(issuer)).toBe(1);
  });

  it('refuses changed claims', async () => {
    const [head, , signature] = token().split('.');
    expect(await reason(`${head}.${json64(claims({ sub: 'admin' }))}.${signature}`)).toBe('invalid_signature');
  });

  it("ignores keys and URLs in the token's header", async () => {
    const attacker = await startIssuer();
    attacker.keys = [next.jwk];
    for (const brought of [
      { jwk: next.jwk },
      { jku: `${attacker.url}/keys` },
      { x5u: attacker.url },
      { x5c: ['AAAA'] },
    ]) {
      expect(await reason(forge({ ...header(key), ...brought }, claims(), rs256(next.privateKey)))).toBe(
        'invalid_signature',
      );
      expect(await reason(forge({ ...header(next), ...brought }, claims(), rs256(next.privateKey)))).toBe(
        'unknown_key',
      );
    }
    expect(attacker.fetched).toEqual([]);
    await attacker.close();
  });

  it('refuses unknown critical extensions', async () => {
    for (const crit of [['x'], ['b64', 'x'], [], 'x'])
      expect(await reason(forge({ ...header(key), crit, x: 1, b64: true }, claims(), rs256(key.privateKey)))).toBe(
        'malformed',
      );
  });

  it.each([
    ['nothing', ''],
    ['words', 'not a token'],
    ['two parts', 'a.b'],
    ['five parts', 'a.b.c.d.e'],
    ['no JSON', 'e30.bm9wZQ.AA'],
    ['an array', `${json64({ alg: 'RS256' })}.${json64([])}.AA`],
    ['a header without alg', `${json64({})}.${json64({ iss: 'x' })}.AA`],
    ['an alg that is no text', `${json64({ alg: 1 })}.${json64({ iss: 'x' })}.AA`],
  ])('%s: malformed', async (_, text) => {
    expect(await reason(text)).toBe('malformed');
    expect(await jwts.verifySignature(text, issuer.url, `${issuer.url}/keys`)).toBe('invalid');
    expect(issuer.fetched.filter((path) => path !== '/keys')).toEqual([]);
  });

  it('signature that is not base64url: malformed', async () => {
    expect(await reason(`${token()}!`)).toBe('malformed');
  });

  it('token above 16 kB: malformed, and not parsed', async () => {
    const padded = (size: number) => token({ padding: 'x'.repeat(size) });
    expect(await reason(padded(11_000))).toBe('active');
    expect(await reason(padded(13_000))).toBe('malformed');
    expect(jwts.claimedIssuer(padded(13_000))).toBeUndefined();
  });
});

describe('security event tokens', () => {
  it('are no access tokens and no ID tokens, whatever else they look like', async () => {
    const events = { 'https://schemas.openid.net/secevent/risc/event-type/account-disabled': {} };
    const set = token({ events, jti: 'one', nonce: 'n' });
    expect(await reason(set)).toBe('type_mismatch');
    for (const profile of ['id_token', 'access_token'] as const)
      expect(await jwts.verify(set, trusted(), { audiences: [AUDIENCE], profile })).toMatchObject({ active: false });
    const typed = forge({ ...header(key), typ: 'secevent+jwt' }, claims({ events }), rs256(key.privateKey));
    expect(await reason(typed)).toBe('type_mismatch');
  });

  it('with an unknown key that may be new are not refused for good while the keys may not be fetched', async () => {
    const set = { iss: issuer.url, aud: AUDIENCE, iat: time.ms / SECOND, jti: 'one', events: { type: {} } };
    const by = (one: Signer) => forge({ ...header(one), typ: 'secevent+jwt' }, set, rs256(one.privateKey));
    const verdict = () => jwts.verifySet(by(next), { issuer: issuer.url }, { audiences: [AUDIENCE], isTyped: true });
    expect(
      await jwts.verifySet(by(key), { issuer: issuer.url }, { audiences: [AUDIENCE], isTyped: true }),
    ).toMatchObject({
      kind: 'verified',
      jti: 'one',
    });
    const kinds: string[] = [];
    for (let i = 0; i < 4; i++) kinds.push((await verdict()).kind);
    expect(kinds).toContain('unavailable');
    issuer.keys = [key.jwk, next.jwk];
    time.ms += 60 * SECOND;
    expect((await verdict()).kind).toBe('verified');
  });
});

describe('claims', () => {
  it('accepts a requested audience, alone or among others', async () => {
    expect(await reason(token({ aud: ['else', AUDIENCE] }))).toBe('active');
    expect(await reason(token({ aud: ['else', `${AUDIENCE}/`] }))).toBe('audience_mismatch');
    expect(await reason(token({ aud: 'else' }))).toBe('audience_mismatch');
    expect(await reason(token({ aud: [] }))).toBe('audience_mismatch');
  });

  it("accepts the issuer's configured audiences only when the request has none", async () => {
    const listed = trusted(['listed', AUDIENCE]);
    expect(await jwts.verify(token(), listed, {})).toMatchObject({ active: true });
    expect(await jwts.verify(token({ aud: 'listed' }), listed, {})).toMatchObject({ active: true });
    expect(await jwts.verify(token({ aud: 'listed' }), listed, { audiences: [AUDIENCE] })).toMatchObject({
      reason: 'audience_mismatch',
    });
  });

  it('refuses every token when no audience is requested or configured', async () => {
    expect(await jwts.verify(token(), trusted(), {})).toEqual({ active: false, reason: 'audience_mismatch' });
  });

  it('requires iss, aud and exp', async () => {
    for (const claim of ['iss', 'aud', 'exp'])
      expect(await reason(token({ [claim]: undefined }))).toBe('missing_claim');
  });

  it('refuses another issuer, compared exactly', async () => {
    for (const iss of ['https://else.example', `${issuer.url}/`, [issuer.url], null])
      expect(await reason(token({ iss }))).toBe('untrusted_issuer');
    expect(issuer.fetched).toEqual([]);
  });

  it('tolerates a clock skew of 30 seconds', async () => {
    const now = time.ms / SECOND;
    expect(await reason(token({ exp: now - 29 }))).toBe('active');
    expect(await reason(token({ exp: now - 30 }))).toBe('expired');
    for (const claim of ['nbf', 'iat']) {
      expect(await reason(token({ [claim]: now + 30 }))).toBe('active');
      expect(await reason(token({ [claim]: now + 31 }))).toBe('not_yet_valid');
    }
    expect(await reason(token({ iat: undefined }))).toBe('active');
  });

  it('refuses times that are not numbers', async () => {
    for (const claim of ['exp', 'nbf', 'iat']) expect(await reason(token({ [claim]: '1893456000' }))).toBe('malformed');
  });

  it('claimedIssuer: the unverified issuer, or undefined when it is not a JWT', () => {
    expect(jwts.claimedIssuer(token({ iss: 'https://anyone.example' }))).toBe('https://anyone.example');
    expect(jwts.claimedIssuer(token({ iss: 7 }))).toBeUndefined();
    for (const text of ['', 'gho_opaque', 'a.b.c', 'a.b.c.d.e']) expect(jwts.claimedIssuer(text)).toBeUndefined();
  });
});

describe('discovery', () => {
  it.each([
    ['/tenant', '/tenant/.well-known/openid-configuration'],
    ['/tenant/', '/tenant/.well-known/openid-configuration'],
    ['/', '/.well-known/openid-configuration'],
    ['/tenant', '/.well-known/oauth-authorization-server/tenant'],
    ['', '/.well-known/oauth-authorization-server'],
  ])('finds the metadata of an issuer with the path "%s" at %s', async (path, wellKnown) => {
    issuer.wellKnown = wellKnown;
    issuer.url += path;
    expect(await reason(token())).toBe('active');
  });

  it.each([
    ['another issuer', () => ({ issuer: 'https://else.example' })],
    ['the issuer with a slash', () => ({ issuer: `${issuer.url}/` })],
    ['no keys', () => ({ jwks_uri: undefined })],
    ['keys that are no address', () => ({ jwks_uri: 7 })],
    ['keys that are nowhere', () => ({ jwks_uri: 'nowhere' })],
  ])('refuses metadata that name %s', async (_, metadata) => {
    issuer.metadata = metadata();
    expect(await reason(token())).toBe('issuer_unavailable');
  });

  it('does not throw for an issuer that is not a URL', async () => {
    for (const [iss, why] of [
      ['not an url', 'Invalid URL'],
      [`${issuer.url}?x=1`, 'an issuer has no query and no fragment'],
    ] as const)
      expect(
        await jwts.verify(
          token({ iss }),
          { issuer: iss, audiences: [], clientIds: [], isListed: true },
          { audiences: [AUDIENCE] },
        ),
      ).toEqual({
        active: false,
        reason: 'issuer_unavailable',
        detail: why,
      });
  });
});

describe('keys', () => {
  const good = () => reason(token());

  it('are fetched once for concurrent tokens, and again after ten minutes', async () => {
    expect(new Set(await Promise.all(Array.from({ length: 20 }, good)))).toEqual(new Set(['active']));
    time.ms += 10 * MINUTE - 1;
    await good();
    expect(jwksFetches(issuer)).toBe(1);
    time.ms += 1;
    await good();
    expect(jwksFetches(issuer)).toBe(2);
    expect(issuer.fetched).toHaveLength(4);
  });

  it('are refused ten minutes after the issuer removed them', async () => {
    expect(await reason(token())).toBe('active');
    issuer.keys = [next.jwk];
    time.ms += 10 * MINUTE;
    expect(await reason(token())).toBe('unknown_key');
  });

  it('are refetched for the first token with a new key', async () => {
    expect(await reason(token())).toBe('active');
    issuer.keys = [key.jwk, next.jwk];
    expect(await reason(token({}, next))).toBe('active');
    expect(await reason(token())).toBe('active');
    expect(jwksFetches(issuer)).toBe(2);
  });

  it('are refetched at a limited rate for unknown kids', async () => {
    await reason(token());
    const storm = async () => {
      for (let i = 0; i < 20; i++)
        expect(await reason(forge({ alg: 'RS256', kid: `bogus-${i}` }, claims(), rs256(next.privateKey)))).toBe(
          'unknown_key',
        );
    };
    await storm();
    expect(jwksFetches(issuer)).toBe(3);
    time.ms += 29 * SECOND;
    await storm();
    expect(jwksFetches(issuer)).toBe(3);
    for (let i = 0; i < 9; i++) {
      time.ms += 30 * SECOND;
      await storm();
    }
    expect(jwksFetches(issuer)).toBe(12);

    issuer.keys = [key.jwk, next.jwk];
    time.ms += 30 * SECOND;
    expect(await reason(token({}, next))).toBe('active');
  });

  it('are refetched for a login even when callers have used up their limit', async () => {
    for (let i = 0; i < 5; i++) await reason(forge({ alg: 'RS256', kid: `x${i}` }, claims(), rs256(next.privateKey)));
    const before = jwksFetches(issuer);
    issuer.keys = [key.jwk, next.jwk];
    const uri = `${issuer.url}/keys`;
    expect(await jwts.verifySignature(token({}, next), issuer.url, uri)).toBe('valid');
    expect(jwksFetches(issuer)).toBe(before + 1);
  });

  it('of one issuer do not verify tokens of another', async () => {
    const other = await startIssuer();
    other.keys = [next.jwk];
    const crossed = forge(header(next), claims(), rs256(next.privateKey));
    const own = forge(header(next), claims({ iss: other.url }), rs256(next.privateKey));
    expect(
      await jwts.verify(
        own,
        { issuer: other.url, audiences: [], clientIds: [], isListed: true },
        { audiences: [AUDIENCE] },
      ),
    ).toMatchObject({
      active: true,
    });
    expect(await reason(crossed)).toBe('unknown_key');
    await other.close();
  });

  it('of unknown kinds are ignored', async () => {
    issuer.keys = [null, 7, 'key', {}, { kty: 'new' }, { kty: 'RSA', kid: 'k1', use: 'enc' }, key.jwk];
    expect(await reason(token())).toBe('active');
  });

  it('that are malformed make the issuer unavailable', async () => {
    issuer.keys = [{ kty: 'RSA', kid: 'k1', n: '!', e: 'AQAB' }];
    expect(await reason(token())).toBe('unknown_key');
  });

  it('are all tried for a token without a kid, and refetched when none fits', async () => {
    const nameless = (by: Signer, exp = time.ms / SECOND + 60) =>
      forge({ alg: 'RS256' }, claims({ exp }), rs256(by.privateKey));
    issuer.keys = [key.jwk, next.jwk];
    expect(await reason(nameless(key))).toBe('active');
    expect(await reason(nameless(next))).toBe('active');
    expect(await reason(nameless(next, 1))).toBe('expired');
    const third = signer('k3');
    issuer.keys = [third.jwk];
    expect(await reason(nameless(third))).toBe('active');
    expect(await reason(nameless(key))).toBe('invalid_signature');
  });
});

describe('signatures of ID tokens', () => {
  const check = (jwt: string) => jwts.verifySignature(jwt, issuer.url, `${issuer.url}/keys`);

  it('are verified without the claims', async () => {
    expect(await check(token({ exp: 1, aud: undefined, iss: 'https://else.example' }))).toBe('valid');
    expect(await check(forge(header(key), claims(), rs256(next.privateKey)))).toBe('invalid');
    expect(await check(token({}, signer('k9')))).toBe('invalid');
  });

  it('are verified with the key set that verify fetched', async () => {
    await reason(token());
    expect(await check(token())).toBe('valid');
    expect(jwksFetches(issuer)).toBe(1);
  });

  it('are verified right after a key rotation, and unavailable beyond the refetch limit', async () => {
    expect(await check(token())).toBe('valid');
    issuer.keys = [key.jwk, next.jwk];
    expect(await check(token({}, next))).toBe('valid');
    const unknown = signer('k9');
    expect(await check(token({}, unknown))).toBe('invalid');
    expect(await check(token({}, unknown))).toBe('unavailable');
    expect(jwksFetches(issuer)).toBe(3);
  });

  it('are unavailable when the issuer is', async () => {
    issuer.behaviour = 'hangs up';
    expect(await check(token())).toBe('unavailable');
  });
});

describe.each(['hangs up', '500', 'garbage'] as const)('an issuer that responds with: %s', (outage) => {
  it('is unavailable without cached keys, and available again after recovery', async () => {
    issuer.behaviour = outage;
    expect(await reason(token())).toBe('issuer_unavailable');
    const asked = issuer.fetched.length;
    issuer.behaviour = 'up';
    expect(await reason(token())).toBe('issuer_unavailable');
    expect(issuer.fetched.length).toBe(asked);
    time.ms += 5 * SECOND;
    expect(await reason(token())).toBe('active');
  });

  it('is served from cached keys for a day, and from new keys after recovery', async () => {
    expect(await reason(token())).toBe('active');
    issuer.behaviour = outage;
    time.ms += HOUR;
    expect(await reason(token())).toBe('active');
    expect(await reason(token({}, next))).toBe('issuer_unavailable');
    time.ms += 23 * HOUR - 1;
    expect(await reason(token())).toBe('active');
    time.ms += 1;
    expect(await reason(token())).toBe('issuer_unavailable');

    issuer.behaviour = 'up';
    issuer.keys = [next.jwk];
    time.ms += 5 * SECOND;
    expect(await reason(token({}, next))).toBe('active');
    expect(await reason(token())).toBe('unknown_key');
  });

  it('is retried at most every five seconds, and delays no token once the outage is known', async () => {
    expect(await reason(token())).toBe('active');
    issuer.behaviour = outage;
    time.ms += 10 * MINUTE;
    for (let i = 0; i < 10; i++) expect(await reason(token())).toBe('active');
    // Both well-known URLs, and the keys.
    expect(issuer.fetched.length).toBe(2 + 3);
  });
});

describe('a known outage', () => {
  it('retries the issuer in the background', async () => {
    let answer: (() => void) | undefined;
    const clock = { now: () => time.ms, monotonic: () => time.ms };
    const answers = ['up', 'up', 'down', 'down', 'down'];
    const slow = createJwtVerifier({
      clock,
      fetch: (url, init) => {
        const behaviour = answers.shift();
        if (behaviour === 'up') return fetch(url, init);
        if (behaviour === 'down') return Promise.reject(new Error('network'));
        return new Promise((_, reject) => {
          answer = () => reject(new Error('timeout'));
        });
      },
    });
    const check = async () => (await slow.verify(token(), trusted(), { audiences: [AUDIENCE] })).active;
    expect(await check()).toBe(true);
    time.ms += 10 * MINUTE;
    expect(await check()).toBe(true);
    expect(answers).toEqual([]);
    time.ms += 5 * SECOND;
    expect(await check()).toBe(true);
    expect(answer).toBeDefined();
    answer?.();
  });
});
