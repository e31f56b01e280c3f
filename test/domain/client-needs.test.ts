// What a mode needs of an integration, for those who set one up.
import { describe, expect, it } from 'vitest';
import { AuthMode } from '../../src/domain/auth-modes-schema.ts';
import { clientNeeds, needsClient } from '../../src/domain/client-needs.ts';

const URLS = { authorization_url: 'https://a.test/a', token_url: 'https://a.test/t' };
const KEY = { title: 'key' };

describe('client needs', () => {
  it.each([
    [
      'a secret method alone',
      { mode: 'oauth2_code', ...URLS, client_auth: ['client_secret_post'] },
      'required required unused unused',
    ],
    [
      'a secret, or none',
      { mode: 'oauth2_code', ...URLS, client_auth: ['client_secret_post', 'none'] },
      'required optional unused unused',
    ],
    ['a public client', { mode: 'oauth2_code', ...URLS, client_auth: ['none'] }, 'required unused unused unused'],
    [
      'a key alone',
      { mode: 'oauth2_code', ...URLS, client_auth: ['private_key_jwt'] },
      'required unused required unused',
    ],
    [
      'mutual TLS, or a secret',
      { mode: 'oauth2_code', ...URLS, client_auth: ['tls_client_auth', 'client_secret_basic'] },
      'required optional optional optional',
    ],
    ['methods by discovery', { mode: 'oidc', issuer: 'https://a.test' }, 'required optional optional optional'],
    [
      'a client of each connection',
      {
        mode: 'oauth2_client_credentials',
        ...{ token_url: URLS.token_url },
        client_auth: ['client_secret_post'],
        credentials: { client_id: KEY },
      },
      'optional optional unused unused',
    ],
    [
      'the client of the integration',
      { mode: 'oauth2_client_credentials', token_url: URLS.token_url, client_auth: ['client_secret_post'] },
      'required required unused unused',
    ],
    [
      'an assertion of the integration',
      {
        mode: 'jwt_bearer',
        token_url: URLS.token_url,
        client_auth: ['none'],
        assertion: { claims: { iss: '{client_id}' } },
      },
      'required unused required unused',
    ],
    [
      'an assertion of each connection',
      {
        mode: 'jwt_bearer',
        token_url: URLS.token_url,
        client_auth: ['none'],
        credentials: { account: { ...KEY, format: 'json', members: ['private_key'] } },
      },
      'unused unused unused unused',
    ],
    [
      'a JWT of each connection',
      { mode: 'self_signed_jwt', credentials: { private_key: KEY } },
      'unused unused unused unused',
    ],
    ['an API key', { mode: 'api_key' }, 'unused unused unused unused'],
    [
      'an assumed role',
      { mode: 'aws_sts_assume_role', token_url: 'https://a.test', region: 'x' },
      'required required unused unused',
    ],
  ])('%s', (_, mode, expected) => {
    const { clientId, clientSecret, privateKey, certificate } = clientNeeds(AuthMode.parse(mode));
    expect([clientId, clientSecret, privateKey, certificate].join(' ')).toBe(expected);
    expect(needsClient(AuthMode.parse(mode))).toBe(clientId === 'required' && mode.mode !== 'jwt_bearer');
  });
});
