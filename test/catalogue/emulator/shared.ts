// What all calls of one row share: who the client is, whether a request is as it must be, and how tokens are made.
import { checkClient } from './client-authentication.ts';
import { createGrantStore, type Grant } from './grants.ts';
import { identityOf, makeAccess } from './identity.ts';
import { idToken } from './openid.ts';
import { filled, headerMisfits, misfits, paramsOf, placeMisfits, type Request, type Values } from './request.ts';
import {
  type CodeRow,
  type Expected,
  type Fresh,
  type Json,
  type MintedRow,
  type Reply,
  type Row,
  type Shape,
  say,
  type TokenCall,
} from './vendor.ts';

export type Desk = ReturnType<typeof createDesk>;

/** `base`: where this row's internet is, with a slash at the end. */
export function createDesk(row: Row, base: string) {
  const identity = identityOf(row);
  const { secrets } = identity;
  const grantStore = createGrantStore();
  const complaints: string[] = [];
  const code: CodeRow | undefined = row.flow === 'code' ? row : undefined;
  const minted: MintedRow | undefined = row.flow === 'minted' ? row : undefined;
  const nameOf = (name: string): string => row.names?.[name] ?? name;
  const moved = (text: string): string => text.replaceAll('https://', base);
  const unmoved = (text: string): string => text.replaceAll(base, 'https://');
  /** What changes while the vendor is open. */
  const now = { redirectUri: '', busy: 0, withdrawn: false };
  /** Those that should have been swapped. */
  const short = new Set<string>();

  const values = (more: Values = {}): Values => ({
    ...row.params,
    ...row.connection,
    ...row.imports,
    client_id: secrets.clientId,
    client_secret: secrets.clientSecret,
    key_id: secrets.keyId,
    ...(identity.certificate && { thumbprint: identity.certificate.thumbprint }),
    redirect_uri: now.redirectUri,
    ...more,
  });

  /** Answers so, and tells the test why. */
  function refuse(reply: Reply, faults: string[], { method, url }: Request): Reply {
    complaints.push(`${method} ${url}: ${faults.join('; ')}`);
    return reply;
  }

  function lifetimeOf(kind: Fresh['grant']): number | null {
    if (code?.swap && kind !== 'code') return code.swap.lifetime;
    return row.lifetime === undefined ? 3_600 : row.lifetime;
  }

  return {
    row,
    code,
    minted,
    identity,
    grantStore,
    complaints,
    short,
    now,
    nameOf,
    moved,
    unmoved,
    values,
    refuse,

    /**
     * The client, where things stand, and each parameter and header. `standard`: the shape that the row's is laid over.
     * Undefined: all as it must be, and the vendor is not busy.
     */
    async refusal(call: TokenCall, request: Request, standard: Shape, more: Values): Promise<Reply | undefined> {
      const { troubles = {} } = call;
      const all = values(more);
      const known = { idName: nameOf('client_id'), publicKey: identity.publicKey, unmoved, values: all };
      const { complaints: client, params } = await checkClient({ ...call, url: filled(call.url, all) }, request, known);
      const shape = { ...standard, ...params, ...call.params };
      const given = paramsOf(request);
      // Some name the secret among the parameters, which then says who asks.
      const isWho = ([, expected]: [string, Expected]) => expected === '{client_secret}';
      const proven = Object.fromEntries(Object.entries(shape).filter(isWho));
      const proof = Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(proven, name)));
      const rest = Object.fromEntries(Object.entries(given).filter(([name]) => !Object.hasOwn(proven, name)));
      const asked = Object.fromEntries(Object.entries(shape).filter((one) => !isWho(one)));
      const who = [...client, ...misfits('parameter', proven, proof, all)];
      const what = [
        ...placeMisfits(call, request),
        ...misfits('parameter', asked, rest, all),
        ...headerMisfits(call.headers ?? {}, request, all),
      ];
      const as = (error: string): Json => ({ error, error_description: [...what, ...who].join('; ') });
      if (who.length > 0) return refuse(troubles.client ?? say(401, as('invalid_client')), [...who, ...what], request);
      if (what.length > 0) return refuse(troubles.request ?? say(400, as('invalid_request')), what, request);
      if (now.busy === 0) return undefined;
      now.busy -= 1;
      return troubles.busy ?? say(429, { error: 'rate_limited' }, { 'retry-after': '30' });
    },

    dead: ({ troubles }: TokenCall): Reply => troubles?.dead ?? say(400, { error: 'invalid_grant' }),

    /** New tokens of the grant; `refresh`: the one to answer with. */
    async fresh(
      kind: Fresh['grant'],
      grant: Grant,
      about: { refresh?: string | undefined; request?: Request; nonce?: string | undefined } = {},
    ): Promise<Fresh> {
      const { refresh, request, nonce } = about;
      const lifetime = lifetimeOf(kind);
      const expiresAt = lifetime === null ? undefined : new Date(Date.now() + lifetime * 1_000);
      const access = await makeAccess(row, expiresAt);
      grantStore.keepAccess(grant, access);
      if (code?.swap && kind === 'code') short.add(access);
      const oidc = code?.oidc;
      const body: Json = {
        access_token: access,
        token_type: 'Bearer',
        ...(lifetime !== null && { expires_in: lifetime }),
        ...(refresh !== undefined && { refresh_token: refresh }),
        ...(grant.scopes.length > 0 && { scope: grant.scopes.join(code?.authorize.separator ?? ' ') }),
        ...(oidc && { id_token: await idToken(oidc, { clientId: secrets.clientId, nonce, moved, values: values() }) }),
      };
      const sent = request ? paramsOf(request) : {};
      return { body, access, refresh, scopes: grant.scopes, expiresAt, grant: kind, sent };
    },
  };
}
