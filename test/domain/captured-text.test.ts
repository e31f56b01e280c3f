// Headers and bodies of captured calls without their secrets: too much is taken away rather than too little.
import { describe, expect, test } from 'vitest';
import {
  isSecretName,
  knownSecrets,
  redactBody,
  redactHeaders,
  withoutLastWord,
} from '../../src/domain/captured-text.ts';

const TOKEN = 'tok/en+of ada=';
const known = knownSecrets(new Set([TOKEN, 'abc']), new Set(['x-acme-key']));
const body = (text: string, type = 'application/json') => redactBody(text, type, known);
const JWT = `eyJhbGciOiJIUzI1NiJ9.${'e30'.repeat(5)}.c2lnbmVk`;

test.each([
  'password',
  'client_secret',
  'X-API-Key',
  'access_token',
  'Set-Cookie',
  'sessionId',
  'SAMLAssertion',
  'code_verifier',
  'otp',
  'code',
])('%s is the name of a secret', (name) => expect(isSecretName(name)).toBe(true));

test.each(['token_type', 'expires_in_token', 'title', 'zip_code', 'keyboard', 'pinned', 'author'])(
  '%s is the name of none',
  (name) => expect(isSecretName(name)).toBe(false),
);

test('headers: those that carry the credential, those with secret names, and what is in any other', () => {
  expect(
    redactHeaders(
      [
        ...['X-Acme-Key', 'whatever'],
        ...['Authorization', 'Bearer of-another'],
        ...['Location', `https://u:pw@x.example/cb?a=1&token=t&b=${encodeURIComponent(TOKEN)}`],
        ...['X-Plain', 'kept'],
        ...['Odd'],
      ],
      known,
    ),
  ).toEqual([
    ['X-Acme-Key', '…'],
    ['Authorization', '…'],
    ['Location', 'https://…@x.example/cb?a=1&token=…&b=…'],
    ['X-Plain', 'kept'],
  ]);
});

describe('a body', () => {
  test.each<[string, string]>([
    ['as it is', TOKEN],
    ['in a URL', encodeURIComponent(TOKEN)],
    ['in lower case', encodeURIComponent(TOKEN).toLowerCase()],
    ['in a form', encodeURIComponent(TOKEN).replaceAll('%20', '+')],
    ['in JSON, with escaped slashes', TOKEN.replaceAll('/', '\\/')],
    ['in Base64', Buffer.from(TOKEN).toString('base64').replace(/=+$/, '')],
    ['in Base64 for URLs', Buffer.from(TOKEN).toString('base64url')],
  ])('without the credential %s', (_, form) => {
    for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded'])
      expect(body(`before ${form} after`, type)).toBe('before … after');
  });

  test('a secret that is shorter than any word stays: it would be in all texts', () => {
    expect(body('abc', 'text/plain')).toBe('abc');
  });

  test('JSON: by the names of members, however deep, in lists of named values, and in JSON within JSON', () => {
    const told = {
      id: 7,
      access_token: 'gone',
      token_type: 'bearer',
      nested: [{ password: { of: 'any form' }, pin: 1234, is_password: true, secret: null }],
      list: [
        { name: 'client_secret', value: 'gone' },
        { key: 'title', value: 'kept' },
      ],
      text: JSON.stringify({ api_key: 'gone', kept: 1 }),
      jwt_like: JWT,
    };
    expect(JSON.parse(body(JSON.stringify(told)))).toEqual({
      id: 7,
      access_token: '…',
      token_type: 'bearer',
      nested: [{ password: '…', pin: '…', is_password: true, secret: null }],
      list: [
        { name: 'client_secret', value: '…' },
        { key: '…', value: 'kept' },
      ],
      text: '{"api_key":"…","kept":1}',
      jwt_like: '…',
    });
  });

  test.each<[string, string, string]>([
    ['application/x-www-form-urlencoded', 'a=1&client%5Fsecret=gone&b=2', 'a=1&client%5Fsecret=…&b=2'],
    ['application/json', '{"a":1,"password":"go\\"ne","b":"cut off', '{"a":1,"password":"…","b":"cut off'],
    ['application/json', '{"refresh_token":"cut of', '{"refresh_token":"…"'],
    ['text/xml', '<a><Password x="1">gone</Password><b>kept</b></a>', '<a><Password x="1">…</Password><b>kept</b></a>'],
    [
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="client_secret"\r\n\r\ngone\r\n--x--',
      '--x\r\nContent-Disposition: form-data; name="client_secret"\r\n\r\n…\r\n--x--',
    ],
    ['text/yaml', 'title: kept\npassword: gone', 'title: kept\npassword: …'],
    ['text/plain', 'Authorization: Bearer abcdefgh', 'Authorization: …'],
    ['text/plain', 'of-eyJhbGci.e30.x, www.eyJhbGci.e30.x.y.z and eyJhbGci.e30.', 'of-…, www.… and …'],
    ['text/plain', 'at www.example.com, eyJhbGci and eyJhbGci.', 'at www.example.com, eyJhbGci and eyJhbGci.'],
    ['text/plain', `sent with Basic YWRhOnB3 and ${JWT} here`, 'sent with Basic … and … here'],
  ])('%s: %j', (type, text, expected) => {
    expect(body(text, type)).toBe(expected);
  });

  test('what is nested without end is hidden, and no text takes long', () => {
    expect(body(`${'['.repeat(100)}1${']'.repeat(100)}`)).toContain('…');
    const started = performance.now();
    for (const evil of [
      '"a":'.repeat(16_000),
      '<a '.repeat(20_000),
      'name="x"\r\n'.repeat(7_000),
      'eyJ'.repeat(20_000),
      ...Array.from({ length: 400 }, () => 'eyJx-'.repeat(13_000)),
    ])
      body(evil, 'text/plain');
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

test('of a body that is cut, the last word goes: it may be the beginning of a secret', () => {
  expect(withoutLastWord('{"a": "b", "tok')).toBe('{"a": "b", "…');
  expect(withoutLastWord('all of it.\n')).toBe('all of it.\n');
  expect(withoutLastWord('oneword')).toBe('…');
});
