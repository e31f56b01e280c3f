// What of an authorization server's metadata is stored with each grant.
import { expect, it } from 'vitest';
import { type ServerMetadata, usedOf } from '../../src/domain/grant-source.ts';

const server: ServerMetadata = {
  issuer: 'https://as.example',
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
};
const LISTS = [
  'scopes_supported',
  'code_challenge_methods_supported',
  'token_endpoint_auth_methods_supported',
  'token_endpoint_auth_signing_alg_values_supported',
] as const;

it('what is known of lists is kept, in the order of the server, and a list that names nothing known is none that is missing', () => {
  const lists = {
    scopes_supported: ['read', 'offline_access', 'write'],
    code_challenge_methods_supported: ['plain', 'S256', 'S512'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'x', 'none', 'client_secret_post'],
    token_endpoint_auth_signing_alg_values_supported: ['RS256', 'ES256', 'A B'],
  };
  expect(usedOf({ ...server, ...lists })).toEqual({
    ...server,
    scopes_supported: ['offline_access'],
    code_challenge_methods_supported: ['S256', 'plain'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'none'],
    token_endpoint_auth_signing_alg_values_supported: ['RS256', 'ES256'],
  });
  expect(usedOf(server)).toEqual(server);
  for (const list of LISTS) expect(usedOf({ ...server, [list]: ['unknown!'] })).toEqual({ ...server, [list]: [] });
});

it('however much a server lists, little is stored', () => {
  const long = Array.from({ length: 10_000 }, (_, i) => `name-${i}`);
  const lists = Object.fromEntries(LISTS.map((list) => [list, long]));
  expect(JSON.stringify(usedOf({ ...server, ...lists })).length).toBeLessThan(1_000);
});
