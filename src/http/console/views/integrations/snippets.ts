// What callers send for one integration: commands and code with its real ids, to be copied.
import { html } from 'hono/html';
import { type AuthMode, credentialFieldsOf, isCode } from '../../../../domain/auth-modes.ts';
import type { Html } from '../../../pages/layout.ts';

interface Subject {
  /** Of the integration. */
  id: string;
  auth: AuthMode;
  /** Where callers reach the broker. */
  url: string;
  returnOrigin: string | undefined;
}

const pre = (title: string, text: string): Html => html`<section class="snippet">
  <div class="row"><h3>${title}</h3><button type="button" class="quiet-button" data-copy="${text}" hidden aria-label="Copy: ${title}">Copy</button></div>
  <pre tabindex="0"><code>${text}</code></pre>
</section>`;

const curl = (url: string, path: string, body?: object): string =>
  [
    `curl '${url}${path}' -H "Authorization: Bearer $VALETKEY_KEY"`,
    ...(body
      ? [`  -H 'Content-Type: application/json'`, `  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`]
      : []),
  ].join(' \\\n');

function connectBy({ id, auth, url, returnOrigin }: Subject): Html {
  const owner = { integration: id, owner: 'user_42' };
  const session = { ...owner, return_url: `${returnOrigin ?? 'https://app.example.com'}/accounts`, finish: true };
  const link = pre(
    'Have an owner connect: send them to the "url" of the answer',
    curl(url, '/v1/connect-sessions', session),
  );
  if (isCode(auth)) return link;
  const credentials = Object.fromEntries(
    Object.entries(credentialFieldsOf(auth))
      .filter(([, { optional }]) => !optional)
      .map(([name, { title }]) => [name, `<${title}>`]),
  );
  return html`${link} ${pre('Or import what an owner has given you', curl(url, '/v1/connections', { ...owner, credentials }))}`;
}

export function snippets(subject: Subject): Html {
  const { id, url } = subject;
  const client = `import { createValetkey } from '@valetkey/client';

const valetkey = createValetkey({ url: '${url}', key: VALETKEY_KEY });
const { access_token } = await valetkey.token({ integration: '${id}', owner: 'user_42' });`;
  const exchange = `curl ${url}/oauth2/token -H "Authorization: Bearer $VALETKEY_KEY" \\
  -d grant_type=urn:ietf:params:oauth:grant-type:token-exchange \\
  -d subject_token="$USER_JWT" -d subject_token_type=urn:ietf:params:oauth:token-type:jwt \\
  -d audience=${id}`;
  return html`${connectBy(subject)}
    ${pre('Get a token, with curl', curl(url, `/v1/token?integration=${id}&owner=user_42`))}
    ${pre('Get a token, with the client', client)}
    ${pre('Get a token for the user of a JWT (token exchange)', exchange)}`;
}
