// Responses that were on their way for long: their tokens have lived meanwhile.
import { expect, test } from 'vitest';
import {
  createTarget,
  REDIRECT_URI,
  refreshTokens,
  startAdapterWithServer,
  startAuthorization,
  unwrap,
} from '../../support/oauth.ts';

let life: number | undefined;
const { server, adapter } = await startAdapterWithServer(({ path }) => {
  // Made at once, and 40.5 s on its way.
  if (path.startsWith('/token')) adapter.advance(40_500);
  return { body: { access_token: 'at', token_type: 'Bearer', refresh_token: 'rt', expires_in: life } };
});
const target = createTarget('generic-oauth2', {
  params: { authorization_url: `${server.url}/authorize`, token_url: `${server.url}/token` },
});

test.each([
  [3_600, 3_559.5],
  [60, 19.5],
  [30, 0],
  [undefined, undefined],
])('expires_in %s, 40.5 s on its way: %s s are left', async (expires_in, left) => {
  life = expires_in;
  expect(unwrap(await refreshTokens(adapter.client, target, { refreshToken: 'rt' })).expiresIn).toBe(left);
  const { expected } = await startAuthorization(adapter.client, target, []);
  const response = new URLSearchParams({ code: 'c0de', state: expected.state });
  const exchanged = await adapter.client.exchange(target, response, { ...expected, redirectUri: REDIRECT_URI });
  expect(unwrap(exchanged).expiresIn).toBe(left);
});
