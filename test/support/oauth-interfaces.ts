// The standard OAuth interfaces, used and misused, with tokens of users and workloads, which are secrets too.
import { generateKeyPairSync } from 'node:crypto';
import type { Issuer } from './issuer.ts';
import { type Callers, type CanaryContext, randomSecret } from './lifecycle.ts';

const EXCHANGE = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  audience: 'acme',
};

/** `idp` must be a trusted issuer. */
export async function runStandardInterfaces(
  { restartable, recorder, secrets }: CanaryContext,
  { service: key }: Callers,
  idp: Issuer,
) {
  const aud = restartable.current().url;
  const signToken = async (kind: string, ...claims: Parameters<Issuer['sign']>) => {
    const token = await idp.sign(...claims);
    secrets.add(kind, token);
    return token;
  };
  const ask = (path: string, form: Record<string, string>, headers: Record<string, string>, by: string | null = null) =>
    recorder.ask('POST', path, {
      key: by,
      body: String(new URLSearchParams(form)),
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
    });

  const user = await signToken('user token', { sub: 'user_42', aud });
  const stranger = await signToken('user token', { sub: 'user_99', aud });
  const forged = await signToken(
    'user token',
    { sub: 'user_42', aud },
    {},
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  );
  const whoami = await recorder.ask('GET', '/v1/whoami', { key });
  const id = String(whoami.body.id);
  const basic = (secret: string) => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` });
  const mistyped = `${key.slice(0, -1)}_`;
  secrets.add('caller key', mistyped);
  for (const subject_token of [user, stranger, stranger, forged, `${user}x`, randomSecret()]) {
    await ask('/oauth2/token', { ...EXCHANGE, label: 'work', subject_token }, {}, key);
    await ask('/oauth2/token', { ...EXCHANGE, label: 'work', subject_token, audience: subject_token }, basic(key));
    await ask('/oauth2/token', { ...EXCHANGE, subject_token }, basic(mistyped));
    await ask('/oauth2/token', { ...EXCHANGE, subject_token, client_id: id, client_secret: mistyped }, {});
    await ask('/oauth2/token', { ...EXCHANGE, subject_token, subject_token_type: subject_token }, {}, key);
    await ask('/oauth2/introspect', { token: subject_token, token_type_hint: subject_token.slice(0, 64) }, {}, key);
  }

  await ask('/oauth2/token', { ...EXCHANGE, label: 'work', subject_token: user, scope: stranger }, basic(key));

  const workloads = [{ issuer: idp.url, audience: 'valetkey', claims: { sub: 'mailer' } }];
  const grants = [{ actions: ['*'], integrations: ['*'], owners: ['*'] }];
  await recorder.ask('POST', '/v1/callers', { body: { name: 'mailer', grants, workloads } });
  const mailer = await signToken('workload token', { sub: 'mailer' });
  const unknownWorkload = await signToken('workload token', { sub: 'nobody' });
  const path = '/v1/token?integration=acme&owner=user_42&label=work';
  for (const workload of [mailer, mailer, unknownWorkload]) {
    await recorder.ask('GET', '/v1/whoami', { key: workload });
    await recorder.ask('GET', path, { key: workload });
    await recorder.ask('GET', `${path}&token=${workload}`, { key: workload });
    const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
    const form = { ...EXCHANGE, label: 'work', subject_token: user, client_assertion_type, client_assertion: workload };
    await ask('/oauth2/token', form, {});
  }
  await recorder.ask('GET', '/v1/whoami', { key: mistyped });
}
