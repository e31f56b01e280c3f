// Which parts of a credential must not come back, by the type of its token.
import { expect, test } from 'vitest';
import {
  attachmentOf,
  headersWithoutSecrets,
  withEncodings,
  withoutSecrets,
} from '../../src/domain/proxied-credential.ts';

const basic = (pair: string) => Buffer.from(pair).toString('base64');

test.each<[string, string, string[]]>([
  ['Bearer', 'token', ['token']],
  ['DPoP', 'token', ['token']],
  ['header:X-Key', 'token', ['token']],
  ['query:key', 'tök en', ['tök en']],
  ['Basic', basic('ada:correct horse'), [basic('ada:correct horse'), 'ada:correct horse', 'correct horse']],
  ['basic', basic('sk_live_1:'), [basic('sk_live_1:'), 'sk_live_1:', 'sk_live_1']],
  ['Basic', basic('sk_live_1:pass'), [basic('sk_live_1:pass'), 'sk_live_1:pass', 'sk_live_1', 'pass']],
  ['Basic', 'not a pair', ['not a pair']],
  [
    'AWS4-HMAC-SHA256',
    JSON.stringify({ AccessKeyId: 'AKIA', SecretAccessKey: 's', SessionToken: 't' }),
    ['s', 't', 'AKIA'],
  ],
  ['AWS4-HMAC-SHA256', JSON.stringify({ AccessKeyId: 'AKIA', SecretAccessKey: 's' }), ['s', 'AKIA']],
])('%s %s: %j', (type, token, secrets) => {
  expect(attachmentOf(type, token)).toMatchObject({ secrets });
});

test.each<[string, string, string]>([
  ['body:key', 'token', 'type'],
  ['Bearer', 'schlüssel', 'text'],
  ['Bearer', 'two\r\nlines', 'text'],
  ['header:X-Key', '', 'text'],
  ['AWS4-HMAC-SHA256', 'AKIA:secret', 'text'],
  ['AWS4-HMAC-SHA256', JSON.stringify({ AccessKeyId: 'AKIA', SecretAccessKey: 's', SessionToken: 'a\nb' }), 'text'],
])('%s %j cannot be attached: %s', (type, token, why) => {
  expect(attachmentOf(type, token)).toBe(why);
});

test('all of several secrets are cut, wherever they are, and a header is left out that has one in its name', () => {
  const secrets = ['one/1', 'two two'];
  expect(withoutSecrets('a one/1 b two%20two c two+two d one%252F1 e', secrets)).toBe('a  b  c  d  e');
  expect(headersWithoutSecrets(['X-one/1', 'a', 'X-Two', 'one/1two two', 'Other', 'kept'], secrets)).toEqual([
    ...['X-Two', '', 'Other', 'kept'],
  ]);
});

const TOKEN = 'gho_16C7e42F292c/6912E7=';
test.each([
  ['hexadecimal', Buffer.from(TOKEN).toString('hex')],
  ['hexadecimal in capitals', Buffer.from(TOKEN).toString('hex').toUpperCase()],
  ['base64', Buffer.from(TOKEN).toString('base64')],
  ['base64url', Buffer.from(TOKEN).toString('base64url')],
  ['base64 of a pair', Buffer.from(`x:${TOKEN}`).toString('base64')],
  ['base64url of JSON', Buffer.from(`{"t":"${TOKEN}"}`).toString('base64url')],
  ['base64 of a header', Buffer.from(`Bearer ${TOKEN}`).toString('base64')],
  ['base64 in a URL', encodeURIComponent(Buffer.from(TOKEN).toString('base64'))],
  ['JSON', `{"token":"${TOKEN.replaceAll('/', '\\/')}"}`],
  ['JSON with escape sequences', TOKEN.replace(/[^a-z]/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`)],
  ['JSON in a URL', encodeURIComponent(TOKEN.replaceAll('=', '\\u003D'))],
  ['a script', TOKEN.replaceAll('_', '\\x5F')],
])('a token comes back in no header as %s', (_, encoded) => {
  const secrets = withEncodings([TOKEN]);
  const core = encoded.slice(4, -4);
  const returned = headersWithoutSecrets(['X-Echo', `said "${encoded}"`, 'ETag', '"16C7"'], secrets);
  expect(returned.join()).not.toContain(core);
  expect(returned).toEqual(['X-Echo', expect.stringMatching(/^said "/), 'ETag', '"16C7"']);
  expect(withoutSecrets(encoded, secrets).length).toBeLessThan(16);
});

test('what is short is looked for as it is alone: encoded, it is in other texts', () => {
  expect(withEncodings(['abc', 'x'])).toEqual(['abc', 'x']);
});

test('a text that was made to leave the secret behind again and again is left out, in time in proportion to its length', () => {
  const secrets = withEncodings([TOKEN]);
  const [start, end] = [TOKEN.slice(0, 4), `%252525${Buffer.from(TOKEN[4]!).toString('hex')}${TOKEN.slice(5)}`];
  const nested = (times: number) => start.repeat(times) + end.repeat(times);
  expect(withoutSecrets(`a ${nested(3)} b`, secrets)).toBe('a  b');
  const started = performance.now();
  expect(headersWithoutSecrets(['X-Echo', nested(200) + '%25252541'.repeat(3_000)], secrets)).toEqual(['X-Echo', '']);
  expect(performance.now() - started).toBeLessThan(1_500);
});
