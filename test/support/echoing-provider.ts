// A provider that echoes secrets of requests wherever a response has room for them, as careless systems do in errors.
import { randomBytes } from 'node:crypto';
import {
  type ReceivedRequest,
  type ScriptedResponse,
  type ScriptedServer,
  startScriptedServer,
} from './scripted-server.ts';
import type { Secrets } from './secrets.ts';

/** What a response may echo: the request's parameters and credentials. */
function echoedValues({ form, headers, path }: ReceivedRequest) {
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

/** The last part of the Basic pair that is not empty, with or without the form encoding of RFC 6749 2.3.1. */
const secretIn = (basic: string): string | undefined =>
  Buffer.from(basic, 'base64')
    .toString()
    .split(':')
    .filter((part) => part !== '')
    .map((part) => new URLSearchParams(`v=${part}`).get('v') ?? part)
    .at(-1);

type Echo = (said: ReturnType<typeof echoedValues>) => ScriptedResponse;

/** Echoes by name; the request's path selects one (`/token/{echo}`). */
export const ECHOES = {
  description: (s) => errorResponse({ error: 'invalid_request', error_description: `${s.words}, secret ${s.secret}` }),
  dead_grant: (s) =>
    errorResponse({ error: 'invalid_grant', error_description: `unknown: ${s.token}, for ${s.secret}` }),
  code: (s) => errorResponse({ error: s.token, error_description: 'no' }),
  client: (s) => errorResponse({ error: 'invalid_client', error_description: `"${s.secret}" in "${s.basic}"` }, 401),
  encoded: (s) => errorResponse({ error: 'invalid_request', error_description: `could not use ${s.form}` }),
  quoted: (s) =>
    errorResponse({ error: 'invalid_request', error_description: JSON.stringify({ got: s.token, by: s.secret }) }),
  long: (s) =>
    errorResponse({ error: 'invalid_request', error_description: `${'x '.repeat(140)}${s.token}${s.secret}` }),
  uri: (s) => errorResponse({ error: 'invalid_scope', error_uri: `https://id.example/?${s.form}` }),
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
    errorResponse({ Error: { Code: 'SignatureDoesNotMatch', Message: `${s.words} by ${s.basic}, ${s.secret}` } }, 403),
  hung_up: () => 'drop',
} satisfies Record<string, Echo>;

const errorResponse = (body: object, status = 400): ScriptedResponse => ({ status, body });

/** The captured value in each response of `issueTokens`; not a secret. */
export const CAPTURED_TEAM = `team-${token()}`;

/** `/token/issue` succeeds, with all sorts of tokens and keys. */
function issueTokens(secrets: Secrets): ScriptedResponse {
  const [AccessKeyId, SecretAccessKey, SessionToken] = [token().toUpperCase(), token(), token()];
  const issued = { access_token: token(), refresh_token: token() };
  for (const text of [SecretAccessKey, SessionToken, ...Object.values(issued)]) secrets.add('issued token', text);
  const Credentials = { AccessKeyId, SecretAccessKey, SessionToken, Expiration: Date.now() / 1_000 + 900 };
  const AssumeRoleResponse = { AssumeRoleResult: { Credentials } };
  return { body: { ...issued, token_type: 'Bearer', expires_in: 3_600, team: CAPTURED_TEAM, AssumeRoleResponse } };
}
function token(): string {
  return randomBytes(24).toString('base64url');
}

export function startEchoingProvider(secrets: Secrets): Promise<ScriptedServer> {
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
    // The Bearer token of a revocation is known already.
    if (scheme === 'Bearer' && pathname.startsWith('/token/')) secrets.add('signed assertion', credentials);
    const name = pathname.split('/')[2] ?? '';
    if (name === 'issue' && request.form.get('token') === null && !pathname.startsWith('/revoke'))
      return issueTokens(secrets);
    const echo: Echo = Object.hasOwn(ECHOES, name) ? ECHOES[name as keyof typeof ECHOES] : ECHOES.description;
    return echo(echoedValues(request));
  });
}
