// The engine: what is refused, how handshakes are answered, how batches are split, and by what connections are found.
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ProviderWebhooks } from '../../../src/domain/webhook-dialect.ts';
import type { WebhookKeys, WebhookVerdict } from '../../../src/ports/webhook-verifier.ts';
import { createEngine, endpointOf, type Given, keysOf, NOW, reasonOf, requestOf } from './engine.ts';

const engine = createEngine();
const verify = (webhooks: ProviderWebhooks, given: Given, keys: Partial<WebhookKeys> = {}) =>
  engine.verify(webhooks, requestOf(given), keysOf(keys));
const hmac = (key: string | Buffer, text: string | Uint8Array, encoding: 'hex' | 'base64' = 'hex', hash = 'sha256') =>
  createHmac(hash, key).update(text).digest(encoding);
const eventsOf = (verdict: WebhookVerdict) => (verdict.kind === 'verified' ? verdict.events : []);

const key = { what: 'secret' };
const signedBody = {
  verify: { scheme: 'hmac' as const, signature: { in: 'header:x-sig' }, signed: '{body}', key },
};
const plain = endpointOf(signedBody);
const signed = (body: string, secret = 'secret'): Given => ({ body, headers: { 'x-sig': hmac(secret, body) } });

describe('a key', () => {
  it.each<[string, Partial<WebhookKeys>]>([
    ['none', {}],
    ['an empty one, which anybody could sign with', { secrets: [''] }],
    ['an empty client secret', { clientSecret: '' }],
  ])('%s: refused', async (_, keys) => {
    const client = endpointOf({ verify: { ...signedBody.verify, key: { ...key, from: 'client_secret' } } });
    for (const webhooks of [plain, client]) {
      const verdict = await verify(webhooks, signed('{}', ''), keys);
      expect(verdict).toEqual({ kind: 'refused', status: 401, reason: 'no_key' });
    }
  });

  it('several: any may match', async () => {
    const secrets = ['first', 'second', 'third'];
    for (const secret of secrets)
      expect(reasonOf(await verify(plain, signed('{}', secret), { secrets }))).toBe('verified');
    expect(reasonOf(await verify(plain, signed('{}', 'fourth'), { secrets }))).toBe('wrong_signature');
  });

  it('in another encoding than the configured one: not a key', async () => {
    const hex = endpointOf({ verify: { ...signedBody.verify, key: { ...key, encoding: 'hex' } } });
    const secret = 'aabbcc';
    const body = '{}';
    const bytes = { body, headers: { 'x-sig': hmac(Buffer.from(secret, 'hex'), body) } };
    expect(reasonOf(await verify(hex, bytes, { secrets: [secret] }))).toBe('verified');
    expect(reasonOf(await verify(hex, signed(body, secret), { secrets: [secret] }))).toBe('wrong_signature');
    expect(reasonOf(await verify(hex, signed(body, 'xyz'), { secrets: ['xyz', 'abc'] }))).toBe('no_key');
  });

  it('public: never one of an HMAC', async () => {
    const standard = endpointOf({ verify: { scheme: 'standard_webhooks', key } });
    const publicKey = 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=';
    for (const text of [publicKey, publicKey.slice(5)]) {
      const id = { 'webhook-id': 'm', 'webhook-timestamp': String(NOW / 1_000) };
      for (const secret of [Buffer.from(text), Buffer.from(text.replace('whpk_', ''), 'base64')]) {
        const signature = hmac(secret, `m.${NOW / 1_000}.{}`, 'base64');
        const given = { headers: { ...id, 'webhook-signature': `v1,${signature}` }, body: '{}' };
        expect((await verify(standard, given, { secrets: [publicKey] })).kind).toBe('refused');
      }
    }
  });
});

describe('a signature', () => {
  const secrets = ['secret'];
  it.each([
    ['', 'no_signature'],
    ['zz', 'no_signature'],
    ['ab'.repeat(31), 'wrong_signature'],
    ['ab'.repeat(33), 'wrong_signature'],
    ['ab'.repeat(32), 'wrong_signature'],
    [`sha256=${hmac('secret', '{}')}`, 'no_signature'],
    [hmac('secret', '{}', 'base64'), 'no_signature'],
    [hmac('secret', '{}', 'hex', 'sha1'), 'wrong_signature'],
    ['\0', 'no_signature'],
    ['é'.repeat(64), 'no_signature'],
  ])('"%s": %s', async (signature, reason) => {
    expect(reasonOf(await verify(plain, { body: '{}', headers: { 'x-sig': signature } }, { secrets }))).toBe(reason);
  });

  it('missing: refused before the body is read', () => {
    const { body: _, ...head } = requestOf({});
    expect(engine.precheck(plain, head, keysOf({ secrets }))).toEqual({
      kind: 'refused',
      status: 401,
      reason: 'no_signature',
    });
    const { body: __, ...right } = requestOf({ headers: { 'x-sig': 'ab' } });
    expect(engine.precheck(plain, right, keysOf({ secrets }))).toBeUndefined();
  });

  it('over the bytes, not over what they mean', async () => {
    const bytes = Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x20, 0x31, 0x7d, 0xff, 0x00]);
    const given = { body: bytes, headers: { 'x-sig': hmac('secret', bytes) } };
    const verdict = await verify(plain, given, { secrets });
    expect(eventsOf(verdict)).toMatchObject([{ id: null, type: null }]);
    expect(Buffer.from(eventsOf(verdict)[0]!.body).equals(bytes)).toBe(true);
    expect((await verify(plain, { ...given, body: '{"a":1}' }, { secrets })).kind).toBe('refused');
  });

  it('of a list with several: any may match, and others count for nothing', async () => {
    const webhooks = endpointOf({
      verify: {
        ...signedBody.verify,
        signature: { in: 'header:x-sig', field: 'v1' },
        signed: '{field:t}.{body}',
        timestamp: { at: 'field:t' },
      },
    });
    const t = String(NOW / 1_000);
    const right = hmac('secret', `${t}.{}`);
    const sent = (list: string) => verify(webhooks, { body: '{}', headers: { 'x-sig': list } }, { secrets });
    expect(reasonOf(await sent(`t=${t},v1=${'0'.repeat(64)},v1=${right}`))).toBe('verified');
    expect(reasonOf(await sent(`t=${t}, v1=${right}`))).toBe('verified');
    expect(reasonOf(await sent(`t=${t},v0=${right}`))).toBe('no_signature');
    expect(reasonOf(await sent(`v1=${right}`))).toBe('stale');
    expect(reasonOf(await sent(`t=${t},t=1,v1=${right}`))).toBe('verified');
    expect(reasonOf(await sent(`t=1,t=${t},v1=${right}`))).toBe('stale');
    expect(reasonOf(await sent(`t=${t},v1=${Array(30).fill('00').join(',v1=')},v1=${right}`))).toBe('wrong_signature');
  });
});

it('a form that is not UTF-8: refused, since nothing of it would be signed', async () => {
  const webhooks = endpointOf({ verify: { ...signedBody.verify, signed: '{url}{form|sorted}' } });
  const url = 'https://b.example/webhooks/x';
  const headers = { 'x-sig': hmac('secret', url), 'content-type': 'application/x-www-form-urlencoded' };
  const take = (body: Uint8Array) => verify(webhooks, { url, headers, body }, { secrets: ['secret'] });
  expect(reasonOf(await take(Buffer.from('')))).toBe('verified');
  expect(reasonOf(await take(Buffer.from([0x61, 0x3d, 0xff])))).toBe('wrong_signature');
});

describe('a timestamp', () => {
  const at = (unit: 's' | 'ms' | 'iso' | 'http_date') =>
    endpointOf({
      verify: { ...signedBody.verify, signed: '{header:x-time}.{body}', timestamp: { at: 'header:x-time', unit } },
    });
  const sent = (unit: Parameters<typeof at>[0], time: string) =>
    verify(
      at(unit),
      { body: '{}', headers: { 'x-time': time, 'x-sig': hmac('secret', `${time}.{}`) } },
      { secrets: ['secret'] },
    );
  const iso = (ms: number) => new Date(ms).toISOString();

  it.each<['s' | 'ms' | 'iso' | 'http_date', string, string]>([
    ['s', String(NOW / 1_000 - 300), 'verified'],
    ['s', String(NOW / 1_000 + 300), 'verified'],
    ['s', String(NOW / 1_000 - 301), 'stale'],
    ['s', String(NOW / 1_000 + 301), 'stale'],
    ['s', String(NOW), 'stale'],
    ['s', '', 'stale'],
    ['s', '1e9', 'stale'],
    ['s', '-1', 'stale'],
    ['s', 'NaN', 'stale'],
    ['ms', String(NOW), 'verified'],
    ['ms', String(NOW / 1_000), 'stale'],
    ['iso', iso(NOW), 'verified'],
    ['iso', iso(NOW).replace('Z', '+00:00'), 'verified'],
    ['iso', iso(NOW).replace('Z', ''), 'stale'],
    ['iso', String(NOW), 'stale'],
    ['http_date', new Date(NOW).toUTCString(), 'verified'],
    ['http_date', 'yesterday', 'stale'],
  ])('in %s, "%s": %s', async (unit, time, reason) => {
    expect(reasonOf(await sent(unit, time))).toBe(reason);
  });
});

describe('a request', () => {
  it('by another method: 405, or 401 where a handshake has it', async () => {
    const keys = { secrets: ['secret'] };
    expect(await verify(plain, { method: 'GET' }, keys)).toMatchObject({ status: 405, allow: 'POST' });
    const webhooks = endpointOf({
      ...signedBody,
      handshake: [{ when: { method: 'GET', 'query:c': true }, answer: { text: '{query:c}' } }],
    });
    expect(await verify(webhooks, { method: 'GET' }, keys)).toMatchObject({ status: 401 });
  });

  it('that is too large: 413', async () => {
    const small = endpointOf({ ...signedBody, max_body: 10 });
    expect(engine.maxBody(small)).toBe(10);
    expect(await verify(small, signed('x'.repeat(11)), { secrets: ['secret'] })).toMatchObject({ status: 413 });
  });

  it('for no endpoint: refused', async () => {
    const logout = endpointOf({ receiver: 'logout', verify: { scheme: 'set' } });
    expect(await verify(logout, {})).toEqual({ kind: 'refused', status: 401, reason: 'no_endpoint' });
    expect((await verify({}, {})).kind).toBe('refused');
  });

  it('with nothing that authenticates: only at the hook, and it ends nothing', async () => {
    const none = endpointOf({ verify: { scheme: 'none' }, deauthorization: [{ when: { 'item:gone': 'true' } }] });
    expect(reasonOf(await verify(none, { body: '{}' }))).toBe('no_hook');
    const verdict = await verify(none, { body: '{"gone":true}' }, { hasHook: true });
    expect(verdict).toMatchObject({ isSenderAuthenticated: false, events: [{ isDeauthorization: true }] });
    // Someone has set a secret: senders sign.
    expect(reasonOf(await verify(none, { body: '{}' }, { hasHook: true, secrets: ['s'] }))).toBe('no_signature');
  });

  it('that hashes a longer text than the one that is known: refused', async () => {
    const concat = endpointOf({
      verify: { scheme: 'sha256_concat', signature: { in: 'header:x-sig' }, signed: '{secret}{body}', key },
    });
    const { createHash } = await import('node:crypto');
    const sum = (text: Buffer) => createHash('sha256').update(text).digest('hex');
    // What a length extension makes: the padding is no JSON.
    const body = Buffer.concat([Buffer.from('{}'), Buffer.from([0x80, 0, 0]), Buffer.from('{"a":1}')]);
    const headers = { 'x-sig': sum(Buffer.concat([Buffer.from('secret'), body])) };
    expect(reasonOf(await verify(concat, { body, headers }, { secrets: ['secret'] }))).toBe('malformed');
  });

  it('hands on no header that authenticates', async () => {
    const verdict = await verify(plain, signed('{}'), { secrets: ['secret'] });
    expect(verdict.kind === 'verified' && verdict.secretHeaders).toEqual(
      expect.arrayContaining(['x-sig', 'authorization', 'cookie']),
    );
  });
});

describe('options of a generic provider', () => {
  const setup = { url: 'nowhere' };
  const webhooks: ProviderWebhooks = {
    ...endpointOf({ option: 'standard_webhooks', verify: { scheme: 'standard_webhooks', key } }),
    hmac: { ...endpointOf({ option: 'hmac', ...signedBody }).endpoint!, setup: { ...setup, events: [], notes: [] } },
    token: endpointOf({ option: 'shared_token', verify: { scheme: 'shared_token', in: 'header:x-webhook-token', key } })
      .endpoint!,
  };
  const secrets = ['c2VjcmV0'];

  it('hmac: by the header, hash and encoding of the integration, and by nothing else', async () => {
    const scheme = { scheme: 'hmac', header: 'X-Their-Sig', hash: 'sha512', encoding: 'base64' } as const;
    const right = { body: '{}', headers: { 'x-their-sig': hmac(secrets[0]!, '{}', 'base64', 'sha512') } };
    expect(reasonOf(await verify(webhooks, right, { secrets, scheme }))).toBe('verified');
    expect((await verify(webhooks, right, { secrets })).kind).toBe('refused');
    const token = { body: '{}', headers: { 'x-webhook-token': secrets[0]! } };
    expect((await verify(webhooks, token, { secrets, scheme })).kind).toBe('refused');
    expect(reasonOf(await verify(webhooks, token, { secrets, scheme: { scheme: 'shared_token' } }))).toBe('verified');
    const verdict = await verify(webhooks, right, { secrets, scheme });
    expect(verdict.kind === 'verified' && verdict.secretHeaders).toContain('x-their-sig');
  });
});

describe('a handshake', () => {
  const crc = endpointOf({
    ...signedBody,
    handshake: [
      {
        when: { method: 'GET', 'query:crc': { matches: '[A-Za-z0-9_-]{1,99}' } },
        answer: { json: { token: '{query:crc|hmac:sha256:hex}' } },
      },
    ],
  });

  it('signs a challenge, and never what could be a body', async () => {
    const ask = (challenge: string) =>
      verify(
        crc,
        { method: 'GET', url: `https://b.example/webhooks/x?crc=${encodeURIComponent(challenge)}` },
        { secrets: ['s'] },
      );
    expect(await ask('abc')).toMatchObject({
      kind: 'handshake',
      answer: { body: JSON.stringify({ token: hmac('s', 'abc') }) },
    });
    for (const forged of ['{"type":"gone"}', '[]', '', ' abc']) expect((await ask(forged)).kind).toBe('refused');
  });

  it.each(['abc', '123', 'null', ''])('that was signed is not taken for a delivery: %j', async (challenge) => {
    expect(reasonOf(await verify(crc, signed(challenge), { secrets: ['secret'] }))).toBe('malformed');
    expect(reasonOf(await verify(crc, signed('{"a":1}'), { secrets: ['secret'] }))).toBe('verified');
  });

  const echo = endpointOf({
    ...signedBody,
    handshake: [
      { when: { method: 'GET', 'query:c': true }, answer: { text: '{query:c}', headers: { 'X-Echo': '{query:c}' } } },
    ],
  });
  it('echoes as plain text, and no header that could end', async () => {
    const url = 'https://b.example/webhooks/x?c=%3Cscript%3E%0D%0ASet-Cookie:%20a=b';
    const verdict = await verify(echo, { method: 'GET', url });
    expect(verdict).toMatchObject({
      kind: 'handshake',
      answer: { headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' } },
    });
    expect(verdict.kind === 'handshake' && verdict.answer.headers['x-echo']).toBeUndefined();
  });

  it('brings a key only while it is awaited', async () => {
    const learns = endpointOf({
      ...signedBody,
      handshake: [{ when: { 'header:x-hook-secret': true }, learns: 'header:x-hook-secret' }],
    });
    const given = { headers: { 'x-hook-secret': 'k3y' } };
    expect(reasonOf(await verify(learns, given, { secrets: ['old'] }))).toBe('not_expected');
    expect(await verify(learns, given, { mayLearnKey: true })).toMatchObject({
      kind: 'handshake',
      learnedSecret: 'k3y',
    });
  });
});

describe('a batch', () => {
  const batch = endpointOf({
    ...signedBody,
    event: {
      batch: ['entry[].changes[]', 'entry[].messages[]'],
      digest: ['{parent:id}', '{item}'],
      type: ['{root:object}.{item:field}'],
    },
    connection: [
      { match: 'captured.page', value: '{parent:id}' },
      { match: 'account.id', value: '{root:team}/{item:users[]}' },
    ],
  });
  const take = async (body: string) => eventsOf(await verify(batch, signed(body), { secrets: ['secret'] }));

  it('is split into the bytes of each event', async () => {
    const body = `\uFEFF{"team": "T1", "object":"page","entry":[ {"changes":[{"old":1}],"id":"P1","changes": [ {"field" : "feed","users":["U1","U2"], "text":"a \\"]}\\\\" } ,{"field":"é"}]}, {"id":"P2","other":[[{}]],"messages":[{"field":"x"}]} ] }`;
    const events = await take(body);
    expect(events.map((event) => Buffer.from(event.body).toString())).toEqual([
      '{"field" : "feed","users":["U1","U2"], "text":"a \\"]}\\\\" }',
      '{"field":"é"}',
      '{"field":"x"}',
    ]);
    expect(events.map(({ index, type }) => [index, type])).toEqual([
      [0, 'page.feed'],
      [1, 'page.é'],
      [2, 'page.x'],
    ]);
    expect(events[0]!.locators).toEqual([
      { key: 'captured.page', values: ['P1'] },
      { key: 'account.id', values: ['T1/U1', 'T1/U2'] },
    ]);
    expect(events[2]!.locators).toEqual([{ key: 'captured.page', values: ['P2'] }]);
    expect(new Set(events.map((event) => event.key)).size).toBe(3);
  });

  it('is one event where there is no list, and none where it is empty', async () => {
    expect(await take('{"object":"page"}')).toMatchObject([{ index: 0, id: null, type: null }]);
    expect(await take('{"entry":[{"changes":[]}]}')).toEqual([]);
    expect(await take('{"entry":[]}')).toHaveLength(1);
    expect(await take('not JSON')).toMatchObject([{ id: null, locators: [] }]);
  });

  it('of more events than anybody sends: 413', async () => {
    const body = JSON.stringify({ entry: [{ changes: Array(5_001).fill(1) }] });
    expect(await verify(batch, signed(body), { secrets: ['secret'] })).toMatchObject({ kind: 'refused', status: 413 });
  });

  it('is deduplicated by id, or by the digest of what is named, alike when it is sent again', async () => {
    const [first] = await take('{"entry":[{"id":"P1","changes":[{"field":"feed"}]}],"attempt":1}');
    const [again] = await take('{"entry":[{"id":"P1","changes":[{"field":"feed"}]}],"attempt":2}');
    expect(again!.key).toBe(first!.key);
    const repeating = endpointOf({ ...signedBody, event: { repeats: true } });
    const at = async (receivedAt: number) =>
      eventsOf(await verify(repeating, { ...signed('{}'), receivedAt }, { secrets: ['secret'] }))[0]!.key;
    expect(await at(NOW)).not.toBe(await at(NOW + 1));
  });

  it('keeps ids that no number can hold', async () => {
    const ids = endpointOf({ ...signedBody, event: { id: ['{item:id}'] } });
    const [event] = eventsOf(await verify(ids, signed('{"id":12345678901234567890}'), { secrets: ['secret'] }));
    expect(event!.id).toBe('12345678901234567890');
  });
});

describe('a value', () => {
  it('is looked for exactly: a prefix is another value', async () => {
    const webhooks = endpointOf({ ...signedBody, connection: [{ match: 'captured.team', value: '{item:team}' }] });
    const [event] = eventsOf(await verify(webhooks, signed('{"team":"T10"}'), { secrets: ['secret'] }));
    expect(event!.locators).toEqual([{ key: 'captured.team', values: ['T10'] }]);
  });

  it('of an inherited name is none', async () => {
    const webhooks = endpointOf({
      ...signedBody,
      event: { id: ['{item:constructor.name}', '{item:__proto__.x}', '{header:constructor}'] },
    });
    const [event] = eventsOf(await verify(webhooks, signed('{"a":1}'), { secrets: ['secret'] }));
    expect(event!.id).toBeNull();
  });
});
