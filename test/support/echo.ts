// A provider that repeats what it was sent wherever an answer has room for it: what careless systems do in their errors.
import { type Received, type Scripted, type ScriptedServer, startScripted } from './scripted.ts';
import type { Secrets } from './secrets.ts';

/** What of a request somebody may repeat: its parameters and its credentials. */
const repeated = ({ form, headers, path }: Received) => ({
  words: [...form].map(([name, value]) => `${name} ${value}`).join(', '),
  basic: headers.authorization ?? '',
  secret: Buffer.from(headers.authorization?.split(' ')[1] ?? '', 'base64')
    .toString()
    .split(':')
    .map(decodeURIComponent)
    .at(-1),
  form: form.toString(),
  token: form.get('refresh_token') ?? form.get('token') ?? form.get('code') ?? path,
});

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
  hung_up: () => 'drop',
} satisfies Record<string, Echo>;

const refusal = (body: Record<string, string | undefined>, status = 400): Scripted => ({ status, body });

export function startEcho(secrets: Secrets): Promise<ScriptedServer> {
  return startScripted((request) => {
    secrets.add('PKCE verifier', request.form.get('code_verifier'));
    secrets.add('Basic credentials', request.headers.authorization?.split(' ')[1]);
    const name = request.path.split('/')[2] ?? '';
    const echo: Echo = Object.hasOwn(ECHOES, name) ? ECHOES[name as keyof typeof ECHOES] : ECHOES.description;
    return echo(repeated(request));
  });
}
