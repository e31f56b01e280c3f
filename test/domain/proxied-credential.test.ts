// Which parts of a credential must not come back, by the type of its token.
import { expect, test } from 'vitest';
import { attachmentOf, headersWithoutSecrets, withoutSecrets } from '../../src/domain/proxied-credential.ts';

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

test('all of several secrets are cut, wherever they are, and names of headers stay', () => {
  const secrets = ['one/1', 'two two'];
  expect(withoutSecrets('a one/1 b two%20two c two+two d one%252F1 e', secrets)).toBe('a  b  c  d  e');
  expect(headersWithoutSecrets(['X-one/1', 'one/1two two', 'Other', 'kept'], secrets)).toEqual([
    'X-one/1',
    '',
    'Other',
    'kept',
  ]);
});
