// Imported credentials, for modes without a browser.
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isStatic, type StaticMode } from '../../src/domain/auth-modes.ts';
import { AuthMode } from '../../src/domain/auth-modes-schema.ts';
import { readCredentials, staticToken } from '../../src/domain/imported-credentials.ts';

const staticMode = (auth: object): StaticMode => {
  const parsed = AuthMode.parse(auth);
  if (!isStatic(parsed)) throw new Error('not static');
  return parsed;
};
const signing = (credentials: object) => AuthMode.parse({ mode: 'self_signed_jwt', credentials });
const issuesOf = (auth: AuthMode, given: Record<string, string>) => {
  const read = readCredentials(auth, given);
  return 'issues' in read ? read.issues : [];
};

describe('readCredentials', () => {
  const basic = staticMode({ mode: 'basic' });

  test('accepts known names', () => {
    expect(readCredentials(basic, { username: 'ada', password: 'p:w' })).toEqual({
      values: { username: 'ada', password: 'p:w' },
    });
  });

  test('reports missing, unknown and invalid values at once', () => {
    const keys = staticMode({ mode: 'aws_sigv4' });
    expect(issuesOf(keys, { access_key_id: 'too-short', api_key: 'x' })).toEqual([
      {
        path: 'credentials.api_key',
        message: 'unknown for this provider, which takes: access_key_id, secret_access_key, session_token',
      },
      { path: 'credentials.access_key_id', message: 'not a valid access key id' },
      { path: 'credentials.secret_access_key', message: 'secret access key is required' },
    ]);
  });

  test('accepts none for a browser mode', () => {
    const code = AuthMode.parse({ mode: 'oidc', issuer: 'https://acme.test' });
    expect(readCredentials(code, {})).toEqual({ values: {} });
    expect(issuesOf(code, { api_key: 'x' })).toHaveLength(1);
  });
});

describe('private key', () => {
  const auth = signing({ private_key: { title: 'private key', format: 'pem' } });
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = (type: 'pkcs8' | 'pkcs1') => privateKey.export({ type, format: 'pem' }).toString();

  test.each(['pkcs8', 'pkcs1'] as const)('accepts %s in PEM form, with white space around it', (type) => {
    const text = `\n ${pem(type)} \n`;
    expect(readCredentials(auth, { private_key: text })).toEqual({ values: { private_key: text } });
  });

  test('refuses any other form without quoting it', () => {
    const inner = pem('pkcs8').split('\n')[1]!;
    const shut = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString();
    const open = pem('pkcs8').replaceAll('PRIVATE', 'PUBLIC');
    for (const text of [inner, JSON.stringify(pem('pkcs8')), shut.replace('ENCRYPTED ', 'ENCRYPTED-'), open]) {
      const issues = issuesOf(auth, { private_key: text });
      expect(issues).toEqual([{ path: 'credentials.private_key', message: expect.stringContaining('in PEM form') }]);
      expect(JSON.stringify(issues)).not.toContain(inner);
    }
  });
});

describe('JSON document', () => {
  const auth = signing({
    service_account: { title: 'service account', format: 'json', members: ['client_email', 'private_key'] },
    subject: { title: 'subject', optional: true },
  });
  const read = (document: string) => readCredentials(auth, { service_account: document });

  test('is replaced by its listed members', () => {
    const document = { type: 'service_account', client_email: 'a@acme.test', private_key: 'pk', other: { deep: 1 } };
    expect(readCredentials(auth, { service_account: JSON.stringify(document), subject: 'ada' })).toEqual({
      values: { client_email: 'a@acme.test', private_key: 'pk', subject: 'ada' },
    });
  });

  const said = (message: string) => ({
    issues: [{ path: 'credentials.service_account', message: `service account: ${message}` }],
  });
  test.each([
    ['{"client_email": "s3cret', 'not valid JSON'],
    ['["s3cret"]', 'not a JSON object'],
    ['"s3cret"', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['{"client_email": "s3cret"}', 'lacks private_key'],
    ['{"client_email": "", "private_key": 7}', 'lacks client_email, private_key'],
    ['{"client_email": {"a": "s3cret"}, "private_key": ["s3cret"]}', 'lacks client_email, private_key'],
  ])('is refused when it is %s', (document, message) => {
    expect(read(document)).toEqual(said(message));
  });

  test('is never quoted in an issue', () => {
    const secret = fc.stringMatching(/^[A-Z0-9]{12,24}$/);
    const document = secret.chain((canary) =>
      fc.tuple(
        fc.constant(canary),
        fc.constantFrom(
          canary,
          `{"private_key": "${canary}`,
          JSON.stringify([canary]),
          JSON.stringify({ private_key: canary }),
          JSON.stringify({ client_email: canary, private_key: { canary } }),
        ),
      ),
    );
    fc.assert(
      fc.property(document, ([canary, given]) => {
        const answer = read(given);
        expect(answer).toHaveProperty('issues');
        expect(JSON.stringify(answer)).not.toContain(canary);
      }),
    );
  });
});

describe('staticToken', () => {
  test('API key: the key, or the catalogue’s template', () => {
    expect(staticToken(staticMode({ mode: 'api_key' }), { api_key: 'k-1' }, {})).toBe('k-1');
    const made = staticMode({ mode: 'api_key', value: '{app}:{api_key}' });
    expect(staticToken(made, { api_key: 'k-1' }, { app: 'acme' })).toBe('acme:k-1');
  });

  test('Basic: the encoded pair in UTF-8 (RFC 7617)', () => {
    const auth = staticMode({ mode: 'basic' });
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (username, password) => {
        const token = staticToken(auth, { username, password }, {});
        expect(Buffer.from(token, 'base64').toString()).toBe(`${username}:${password}`);
      }),
    );
    const fixed = staticMode({ mode: 'basic', username: 'api', password: '{password}' });
    expect(staticToken(fixed, { password: 'k' }, {})).toBe(Buffer.from('api:k').toString('base64'));
  });

  test('AWS keys: the JSON that AWS’s own tools read', () => {
    const auth = staticMode({ mode: 'aws_sigv4' });
    const keys = { access_key_id: 'AKIAIOSFODNN7EXAMPLE', secret_access_key: 's/k' };
    const served = { Version: 1, AccessKeyId: 'AKIAIOSFODNN7EXAMPLE', SecretAccessKey: 's/k' };
    expect(JSON.parse(staticToken(auth, keys, {}))).toEqual(served);
    expect(JSON.parse(staticToken(auth, { ...keys, session_token: 't' }, {}))).toEqual({
      ...served,
      SessionToken: 't',
    });
  });

  test('prefers a credential to a parameter of the same name', () => {
    const auth = staticMode({ mode: 'api_key' });
    expect(staticToken(auth, { api_key: 'secret' }, { api_key: 'of a parameter' })).toBe('secret');
  });
});
