// A provider that repeats what it was sent wherever an answer has room for it: what careless systems do in their errors.
import { randomBytes } from 'node:crypto';
import { type Received, type Scripted, type ScriptedServer, startScriptedServer } from './scripted-server.ts';
import type { Secrets } from './secrets.ts';

/** What of a request somebody may repeat: its parameters and its credentials. */
function repeated({ form, headers, path }: Received) {
  const { searchParams: query, pathname } = new URL(path, 'http://provider');
  const [scheme, credentials = ''] = headers.authorization?.split(' ') ?? [];
  const params = [...form, ...query];
  const named = (...names: string[]) => params.find(([name]) => names.includes(name))?.[1];
  return {
    words: params.map(([name, value]) => `${name} ${value}`).join(', '),
    basic: headers.authorization ?? '',
    secret: (scheme === 'Basic' ? secretIn(credentials) : named('client_secret')) ?? String(headers.dpop),
    form: new URLSearchParams(params).toString(),
    token:
      named('refresh_token', 'token', 'code', 'assertion', 'client_assertion', 'access_token') ??
      (scheme === 'Bearer' ? credentials : pathname),
  };
}

/** The last part of the pair that is not empty, with the form encoding of RFC 6749 2.3.1 or without. */
const secretIn = (basic: string): string | undefined =>
  Buffer.from(basic, 'base64')
    .toString()
    .split(':')
    .filter((part) => part !== '')
    .map((part) => new URLSearchParams(`v=${part}`).get('v') ?? part)
    .at(-1);

type Echo = (said: ReturnType<typeof repeated>) => Scripted;

/** By name, which whoever asks chooses (`/token/{echo}`). */
export const ECHOES = {
  description: (s) => refusal({ error: 'invalid_request', error_description: `${s.words}, secret ${s.secret}` }),
  dead_grant: (s) => refusal({ error: 'invalid_grant', error_description: `unknown: ${s.token}, for ${s.secret}` }),
  code: (s) => refusal({ error: s.token, error_description: 'no' }),
  client: (s) => refusal({ error: 'invalid_client', error_description: `"${s.secret}" in "${s.basic}"` }, 401),
  encoded: (s) => refusal({ error: 'invalid_request', error_description: `could not use ${s.form}` }),
  quoted: (s) =>
    refusal({ error: 'invalid_request', error_description: JSON.stringify({ got: s.token, by: s.secret }) }),
  long: (s) => refusal({ error: 'invalid_request', error_description: `${'x '.repeat(140)}${s.token}${s.secret}` }),
  uri: (s) => refusal({ error: 'invalid_scope', error_uri: `https://id.example/?${s.form}` }),
  page: (s) => ({ status: 500, headers: { 'content-type': 'text/html' }, body: `<pre>${s.words} ${s.secret}</pre>` }),
  success: (s) => ({ status: 200, body: { refresh_token: s.token, error_text: s.words } }),
  half_json: (s) => ({
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: `{"access_token":"${s.token}`,
  }),
  redirect: (s) => ({ status: 302, headers: { location: `https://id.example/?${s.form}` } }),
  challenge: (s) => ({
    status: 401,
    headers: { 'www-authenticate': `Bearer error="invalid_token", error_description="${encodeURIComponent(s.words)}"` },
    body: '',
  }),
  retry: (s) => ({ status: 429, headers: { 'retry-after': encodeURIComponent(s.token) }, body: s.words }),
  amazon: (s) =>
    refusal({ Error: { Code: 'SignatureDoesNotMatch', Message: `${s.words} by ${s.basic}, ${s.secret}` } }, 403),
  hung_up: () => 'drop',
} satisfies Record<string, Echo>;

const refusal = (body: object, status = 400): Scripted => ({ status, body });

/** What is captured of each token that `issue` makes: no secret. */
export const CAPTURED = `team-${token()}`;

/** `/token/issue` answers as it should; tokens, keys and all. */
function issue(secrets: Secrets): Scripted {
  const [AccessKeyId, SecretAccessKey, SessionToken] = [token().toUpperCase(), token(), token()];
  const issued = { access_token: token(), refresh_token: token() };
  for (const text of [SecretAccessKey, SessionToken, ...Object.values(issued)]) secrets.add('issued token', text);
  const Credentials = { AccessKeyId, SecretAccessKey, SessionToken, Expiration: Date.now() / 1_000 + 900 };
  const AssumeRoleResponse = { AssumeRoleResult: { Credentials } };
  return { body: { ...issued, token_type: 'Bearer', expires_in: 3_600, team: CAPTURED, AssumeRoleResponse } };
}
function token(): string {
  return randomBytes(24).toString('base64url');
}

export function startEcho(secrets: Secrets): Promise<ScriptedServer> {
  return startScriptedServer((request) => {
    const { form, headers, path } = request;
    const { pathname, searchParams } = new URL(path, 'http://provider');
    const [scheme, credentials] = headers.authorization?.split(' ') ?? [];
    secrets.add('PKCE verifier', form.get('code_verifier'));
    secrets.add('signed assertion', form.get('assertion'));
    secrets.add('client assertion', form.get('client_assertion'));
    secrets.add('swapped token', searchParams.get('access_token'));
    secrets.add('DPoP proof', headers.dpop?.toString());
    if (scheme === 'Basic') secrets.add('Basic credentials', credentials);
    // Of a vendor that is told of a revocation with the token, it is known already.
    if (scheme === 'Bearer' && pathname.startsWith('/token/')) secrets.add('signed assertion', credentials);
    const name = pathname.split('/')[2] ?? '';
    if (name === 'issue' && request.form.get('token') === null && !pathname.startsWith('/revoke'))
      return issue(secrets);
    const echo: Echo = Object.hasOwn(ECHOES, name) ? ECHOES[name as keyof typeof ECHOES] : ECHOES.description;
    return echo(repeated(request));
  });
}
