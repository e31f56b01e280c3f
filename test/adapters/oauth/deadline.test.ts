// The deadlines of token requests.
import { expect, onTestFinished, test } from 'vitest';
import { signAssertion } from '../../../src/adapters/jwt/sign.ts';
import { createProviderClient } from '../../../src/adapters/oauth/provider-client.ts';
import { createOutbound, type Outbound } from '../../../src/adapters/outbound/outbound.ts';
import { CODE_EXCHANGE_DEADLINE_MS, REFRESH_DEADLINE_MS } from '../../../src/domain/time-limits.ts';
import { createTarget, REDIRECT_URI, refreshTokens, startAuthorization, unwrap } from '../../support/oauth.ts';
import { startScriptedServer } from '../../support/scripted-server.ts';

test('deadline: a request that spends a refresh token or a code is left open longer than others', async () => {
  const server = await startScriptedServer(() => ({ body: { access_token: 'at', token_type: 'Bearer' } }));
  onTestFinished(() => server.close());
  const outbound = createOutbound({ allow: ['127.0.0.1'] });
  onTestFinished(() => outbound.close());
  const limits: (number | undefined)[] = [];
  const noting: Outbound = Object.assign(
    (...given: Parameters<Outbound>) => {
      limits.push(given[1]?.timeoutMs);
      return outbound(...given);
    },
    { close: outbound.close },
  );
  const clock = { now: () => Date.now(), monotonic: () => performance.now() };
  const client = createProviderClient({
    outbound: noting,
    clock,
    verifyIdTokenSignature: async () => 'valid',
    signAssertion,
    clientAssertions: { algorithm: async () => 'ES256', sign: async () => 'signed' },
  });
  const params = { authorization_url: `${server.url}/auth`, token_url: `${server.url}/token` };
  const target = createTarget('generic-oauth2', { params });

  const { expected } = await startAuthorization(client, target, []);
  const response = new URLSearchParams({ code: 'c0de', state: expected.state });
  unwrap(await client.exchange(target, response, { ...expected, redirectUri: REDIRECT_URI }));
  unwrap(await refreshTokens(client, target, { refreshToken: 'rt' }));
  expect(limits).toEqual([CODE_EXCHANGE_DEADLINE_MS, REFRESH_DEADLINE_MS]);
});
