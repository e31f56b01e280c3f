// The call that checks a token: which of the entry's, and what is sent.
import { toTextValues } from '../../../domain/account.ts';
import type { Whoami } from '../../../domain/api-dialect.ts';
import type { Connection } from '../../../domain/connection.ts';
import { fill, fillAll, type Values } from '../../../domain/fields.ts';
import { whoamisOf } from '../../../domain/provider.ts';
import type { ResolvedIntegration } from '../../integrations/index.ts';

export interface WhoamiCall {
  whoami: Whoami;
  method: string;
  /** Below the host, with the query; for `userinfo`, of the endpoint that is found later. */
  target: string;
  headers: Values;
  /** Instead of the credential's header; undefined: as the token's type says. */
  authorization: string | undefined;
  body: Uint8Array | null;
}

/** The first that fits the connection and can be filled; undefined: there is none. `values`: of the target. */
export function whoamiCallOf(
  { provider, auth }: Pick<ResolvedIntegration, 'provider' | 'auth'>,
  { scopes, captured }: Pick<Connection, 'scopes' | 'captured'>,
  values: Values,
  accessToken: string,
): WhoamiCall | undefined {
  const known = { ...toTextValues(captured), ...values };
  // Systems without scopes grant none, and none are known where the provider did not say.
  const granted = scopes.length === 0 ? null : scopes;
  for (const whoami of whoamisOf(provider, auth, granted)) {
    const target = fill(whoami.path, known, encodeURIComponent);
    if (target !== undefined) return filled(whoami, target, known, accessToken);
  }
  return undefined;
}

function filled(whoami: Whoami, target: string, known: Values, accessToken: string): WhoamiCall {
  const { json, form } = whoami;
  const { authorization, ...headers } = lowerCased(fillAll(whoami.headers, { ...known, access_token: accessToken }));
  const body = json ? JSON.stringify(json) : form ? new URLSearchParams(fillAll(form, known)).toString() : null;
  const type = json ? { 'content-type': 'application/json' } : form ? { 'content-type': FORM } : {};
  return {
    whoami,
    method: whoami.method,
    target,
    headers: { accept: 'application/json', 'user-agent': 'Valetkey', ...type, ...headers },
    authorization,
    body: body === null ? null : new TextEncoder().encode(body),
  };
}

const FORM = 'application/x-www-form-urlencoded';

const lowerCased = (headers: Values): Values =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
